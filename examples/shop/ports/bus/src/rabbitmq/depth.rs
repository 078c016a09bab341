//! How much waits in a queue.

use messaging::lapin::options::QueueDeclareOptions;
use messaging::lapin::types::FieldTable;

use super::Shared;
use super::dead::is_not_found;
use crate::Error;

impl Shared {
    /// By a passive declaration, which makes nothing and is told the number of ready messages.
    pub(super) async fn depth(&self, queue: &str) -> Result<u64, Error> {
        // A channel of its own: to a queue that is not there, the broker answers by closing it.
        let channel = self.consuming.channel().await?;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let declared = channel.queue_declare(queue.into(), passive, FieldTable::default());
        match self.consuming.answer(declared).await {
            Ok(declared) => {
                let depth = u64::from(declared.message_count());
                self.consuming.answer(channel.close(200, "looked".into())).await?;
                Ok(depth)
            }
            Err(messaging::Error::Broker(error)) if is_not_found(&error) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}
