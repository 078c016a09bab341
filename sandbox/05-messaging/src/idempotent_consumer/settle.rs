//! What the broker is told, once the inbox has spoken.

use super::{Error, Once};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicRejectOptions};
use std::time::Duration;

// ANCHOR: settle
/// Acknowledges what is done, and nothing else. What is not done goes back to its queue after
/// `pause`; what can never be done, for it has no id, goes to the dead letters.
///
/// The pause is for a database that is down. Without one, every message would be delivered as often
/// as its queue allows within milliseconds, and all of them would lie among the dead.
///
/// `basic.reject` and not `basic.nack`: from RabbitMQ 4.3 on only the former counts as an attempt.
///
/// # Errors
/// lapin's: the channel is gone, and the broker delivers again what it had given to it.
pub async fn settle(
    delivery: &Delivery,
    outcome: &Result<Once, Error>,
    pause: Duration,
) -> lapin::Result<()> {
    let requeue = match outcome {
        Ok(Once::First | Once::Seen) => {
            return delivery.ack(BasicAckOptions::default()).await.map(drop);
        }
        Err(Error::NoId) => false,
        Err(_) => {
            tokio::time::sleep(pause).await;
            true
        }
    };
    delivery.reject(BasicRejectOptions { requeue }).await.map(drop)
}
// ANCHOR_END: settle
