//! A connection that goes back only when it is known to be good.

use deadpool_postgres::tokio_postgres::Client;
use deadpool_postgres::{Object, Pool, PoolError};

/// A connection of the pool. Unless it is given back, it is closed when this is dropped: its caller
/// has left in the middle of something, and who got it next would wait behind an answer that may
/// never come. To the server the end of the connection is the end of its transaction.
pub(super) struct Lent(Option<Object>);

impl Lent {
    pub(super) async fn by(pool: &Pool) -> Result<Lent, PoolError> {
        Ok(Lent(Some(pool.get().await?)))
    }

    pub(super) fn client(&mut self) -> &mut Client {
        self.0.as_mut().expect("it is taken only at the end")
    }

    /// All that was asked on it has been answered, or will be at once.
    pub(super) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}
