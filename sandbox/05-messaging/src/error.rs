//! What can go wrong between a program and its broker.

use std::time::Duration;

/// Why the broker was of no help.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The URL is not one.
    #[error("the broker's URL cannot be read: {0}")]
    Url(String),
    /// RabbitMQ, or the way to it, failed. It may have done what it was asked for.
    #[error("RabbitMQ failed: {0}")]
    Broker(#[from] lapin::Error),
    /// No answer came in time. It may have done what it was asked for.
    #[error("RabbitMQ did not answer within {0:.0?}")]
    Slow(Duration),
}
