//! What has to be done now and then, whoever is busy with what: one task for each handle.

use std::sync::{Arc, Weak};

use tokio::time::timeout;

use super::{POLL, Shared, holder, queue};
use crate::Error;

/// Looks after the queues until nobody has the handle any more.
pub(super) async fn keep(shared: Weak<Shared>) {
    let mut seen = 0;
    while let Some(shared) = shared.upgrade() {
        // Where the file cannot be reached, those are told who want something of it. Here, the
        // next round tries again.
        if let Ok(changes) = shared.tend().await
            && changes != seen
        {
            seen = changes;
            shared.arrivals.notify_waiters();
        }
        let abandonment = Arc::clone(&shared.abandonment);
        drop(shared);
        let _ = timeout(POLL, abandonment.notified()).await;
    }
}

impl Shared {
    /// Puts back what was let go, here or by those who are no more. Says how many changes there
    /// have been that a waiting consumer may want to know of, from here or from elsewhere.
    async fn tend(&self) -> Result<i64, Error> {
        self.put_back().await?;
        let look = queue::look(&self.database).await?;
        for (queue, holder) in look.held {
            let gone = holder::is_gone(&self.holders, &holder);
            if gone.map_err(|error| Error::Unavailable(Box::new(error)))? {
                let mut change = self.database.begin().await?;
                queue::release_all(&mut change, &queue, &holder).await?;
                change.commit().await?;
                self.arrivals.notify_waiters();
            }
        }
        Ok(look.changes)
    }

    /// Puts back what was dropped. Where that fails, it stays remembered.
    async fn put_back(&self) -> Result<(), Error> {
        let messages = std::mem::take(&mut *self.abandoned());
        if messages.is_empty() {
            return Ok(());
        }
        let outcome = async {
            let mut change = self.database.begin().await?;
            for message in &messages {
                queue::release(&mut change, message).await?;
            }
            Ok::<_, Error>(change.commit().await?)
        };
        let outcome = outcome.await;
        if outcome.is_err() {
            // Released twice is no harm: the second time there is no such row.
            self.abandoned().extend(messages);
        }
        outcome
    }
}
