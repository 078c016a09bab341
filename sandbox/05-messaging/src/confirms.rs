//! 05.4 · Publisher confirms.

use crate::{Error, Message};
use std::future::Future;
use std::time::Duration;

/// The contract: a publisher whose `Ok` means that the message is safe.
pub trait Publisher: Send + Sync + Sized + 'static {
    /// A publisher to the broker at `url`. Connects at the first call.
    ///
    /// # Errors
    /// Only for a `url` that cannot be read.
    fn open(url: &str, options: Options) -> Result<Self, Error>;

    /// Publishes to `exchange` under the message's key, and waits until the broker has confirmed
    /// that it lies in every queue that wants it.
    ///
    /// # Errors
    /// [`NotConfirmed`].
    fn publish(
        &self,
        exchange: &str,
        message: &Message,
    ) -> impl Future<Output = Result<(), NotConfirmed>> + Send;

    /// Publishes all of them in their order, without waiting for one before the next is sent. What
    /// became of each, in the same order.
    fn publish_all(
        &self,
        exchange: &str,
        messages: &[Message],
    ) -> impl Future<Output = Vec<Result<(), NotConfirmed>>> + Send;
}

/// How a publisher behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long to wait for connecting, and for each confirm.
    pub timeout: Duration,
    /// How many messages may be on their way unconfirmed.
    pub window: usize,
}

/// Why a message may not be where it should be.
#[derive(Debug, thiserror::Error)]
pub enum NotConfirmed {
    /// No queue wants it: the broker gave it back. It is nowhere.
    #[error("no queue wants `{key}`")]
    Unroutable {
        /// The routing key.
        key: String,
    },
    /// The broker could not keep it: a queue is full, or a disk. It may be in some of the queues.
    #[error("the broker refused it")]
    Refused,
    /// Nobody knows: the answer did not come. Publish the same message again, with the same id.
    #[error("it is not known whether it was published: {0}")]
    Unknown(#[from] Error),
}
