//! 02.2 · Lease: a lock that ends by itself.

use redis::RedisError;
use std::future::Future;
use std::time::Duration;

// ANCHOR: contract
/// The contract: leases on names, from one Redis.
pub trait Lease: Send + Sync + Sized + 'static {
    /// A lease that is held.
    type Held: Held;

    /// Leases from the Redis at `url`. Connects at the first command, so that a program can start
    /// while Redis is down.
    ///
    /// # Errors
    /// Only for a `url` that cannot be read.
    fn open(url: &str, options: Options) -> Result<Self, RedisError>;

    /// Waits until `name` is ours, for at most `patience`; with a patience of zero it asks once.
    ///
    /// The caller may be dropped at any moment, and may run out of patience just as Redis says
    /// yes: what it got is given back, and nobody waits for a TTL because of it.
    ///
    /// # Errors
    /// [`Error::Busy`] if another held it all the time, [`Error::Redis`] if Redis could not be
    /// asked.
    fn acquire(
        &self,
        name: &str,
        patience: Duration,
    ) -> impl Future<Output = Result<Self::Held, Error>> + Send;
}

/// A lease that is held until it is released, dropped, or lost. Dropping it gives it back in the
/// background, without waiting for anything.
pub trait Held: Send + Sync + Sized + 'static {
    /// The fencing token: higher than that of every earlier holder of the same name.
    fn token(&self) -> u64;

    /// Begins the TTL anew.
    ///
    /// # Errors
    /// [`Error::Lost`] if it is not ours any more, [`Error::Redis`] if that is not known: then it
    /// is ours until [`Held::lost`] says otherwise.
    fn extend(&self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Ends when the lease must be taken for lost: another may hold it from now on. At the latest
    /// when the TTL is over by this process's own clock, counted from before Redis was asked; so it
    /// ends before the lease does in Redis, also while Redis cannot be reached.
    fn lost(&self) -> impl Future<Output = ()> + Send;

    /// Gives the lease back, and nobody else's.
    ///
    /// # Errors
    /// [`Error::Lost`] if it was not ours any more, [`Error::Redis`] if Redis could not be told:
    /// then it ends with its TTL.
    fn release(self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// How leases behave.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long a lease lasts that nobody extends.
    pub ttl: Duration,
    /// How long a command waits for Redis to connect, and then for it to answer.
    pub timeout: Duration,
}

/// Why there is no lease, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another held it all the time.
    #[error("somebody else holds it, after {0:?} of waiting")]
    Busy(Duration),
    /// It is not ours any more.
    #[error("the lease is lost: its time was over, or Redis has forgotten it")]
    Lost,
    /// Redis failed.
    #[error("Redis failed: {0}")]
    Redis(#[from] RedisError),
}
// ANCHOR_END: contract
