//! Connections to PostgreSQL that may be lost without anybody waiting for them.

use super::Error;
use deadpool_postgres::tokio_postgres::{Row, types::ToSql};
use deadpool_postgres::{Object, Pool};
use std::time::Duration;

/// More statements at once wait for each other.
const CONNECTIONS: usize = 8;

/// A pool whose every statement ends in time: at most one timeout for a free connection, one for
/// connecting, and one for the answer. A connection that was lost is made again by the next
/// statement; the one on which it was lost fails.
#[derive(Clone, Debug)]
pub struct Connections {
    pool: Pool,
    timeout: Duration,
}

impl Connections {
    /// Connections to the database at `url`. The first is made by the first statement.
    ///
    /// # Errors
    /// Only for a `url` that cannot be read.
    pub fn open(url: &str, timeout: Duration) -> Result<Connections, Error> {
        let pool = database::pool(url, timeout, CONNECTIONS)?;
        Ok(Connections { pool, timeout })
    }

    /// Runs one statement, in a transaction of its own, and gives its row if it has one. One round
    /// trip, and another when a connection meets the statement for the first time.
    ///
    /// # Errors
    /// Anything but a refusal by PostgreSQL leaves open whether the statement was carried out.
    pub async fn row(
        &self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Error> {
        let connection = self.pool.get().await?;
        let answer = async {
            let statement = connection.prepare_cached(statement).await?;
            connection.query_opt(&statement, parameters).await
        };
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(answer) => Ok(answer?),
            // Who gets this connection next would wait behind us.
            Err(_) => {
                drop(Object::take(connection));
                Err(Error::Slow(self.timeout))
            }
        }
    }
}
