//! 02.2 · Lease: a lock that ends by itself.
//!
//! What it does **not** promise, first, because it is believed too often:
//!
//! - **No mutual exclusion.** A holder may be stopped (a scheduler, a collector, a laptop that
//!   sleeps, `SIGSTOP`) right after it has looked, and go on long after its lease went to another.
//!   Then two believe that they hold it, and no clock and no signal can prevent that. Whatever the
//!   lease protects must itself refuse the late one, by the fencing token: that is lesson 02.4. A
//!   lease alone saves work that would be done twice, and no more.
//! - **Nothing across a failover.** Redis replicates after it has answered. A replica that becomes
//!   the primary may not have heard of the lease, and grants it again. The same holds for a Redis
//!   that lost its memory, or evicts keys that have a TTL.
//! - **No turns.** Who waits asks again and again; whoever asks first after the release gets it,
//!   and nobody is promised a turn.
//! - **No recursion.** Who holds a name and acquires it again waits for itself.
//!
//! What [`RedisLease`] promises:
//!
//! | promise | how |
//! | --- | --- |
//! | One holder, as Redis sees it | `SET NX` with a token that nobody else can have |
//! | Nothing lives for ever, wherever a process or a connection ends | value and TTL are one command |
//! | A late owner cannot free or extend its successor's lease | compare and delete, compare and extend: scripts |
//! | The holder hears of the loss before Redis forgets the lease | [its own clock](Held::lost), from before it asked |
//! | A reply that is lost costs nobody a TTL | the next attempt recognises its own token |
//! | A caller that goes away leaves nothing behind | what it got, or may have got, is given back in the background |
//! | Fencing tokens rise, also when Redis forgets | a counter that begins with the server's time, in µs |
//!
//! The tokens rise on one assumption: when the counter begins anew, because Redis has lost its memory,
//! failed over, or kept it for [a day](RedisLease), the server's clock does not stand behind the last
//! token. It would have to be set back by about the time for which the counter has stood. As long as
//! Redis remembers, its clock may do what it likes.
//!
//! Sources: [Distributed locks with Redis](https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/)
//! for token, script and drift; M. Kleppmann,
//! [How to do distributed locking](https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html)
//! for what is not promised; C. Gray and D. Cheriton, "Leases: an efficient fault-tolerant
//! mechanism for distributed file cache consistency", SOSP 1989, for the idea.

mod claim;
mod validity;

use crate::backoff::Backoff;
use claim::Claim;
use redis::RedisError;
use redis::aio::ConnectionManager;
use std::future::Future;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;
use validity::Validity;

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

    /// Asks for `name` until it is ours, for at most `patience`; with a patience of zero, once, and
    /// with `Duration::MAX` for ever. Whoever holds it is another, also on these same leases.
    /// The last answer is waited for like any other, so a Redis that hangs may take
    /// [`Options::timeout`] on top.
    ///
    /// The caller may be dropped at any moment, and Redis may say yes when nobody listens any
    /// more: what was got is given back, and nobody waits for a TTL because of it.
    ///
    /// # Errors
    /// What the last attempt ended with: [`Error::Busy`] if another held it, [`Error::Redis`] if
    /// Redis could not be asked, [`Error::Lost`] if the answer took longer than the lease lasts.
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
    /// ends before the lease does in Redis, also while Redis cannot be reached. Meant for
    /// `select!`; it may be dropped and asked for again.
    fn lost(&self) -> impl Future<Output = ()> + Send;

    /// Gives the lease back, and nobody else's.
    ///
    /// # Errors
    /// [`Error::Lost`] if it was not ours any more, [`Error::Redis`] if Redis could not be told:
    /// then it ends with its TTL at the latest.
    fn release(self) -> impl Future<Output = Result<(), Error>> + Send;
}

/// How leases behave.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long a lease lasts that nobody extends, to the millisecond.
    pub ttl: Duration,
    /// How long a command waits for Redis to connect, and then for it to answer. Small beside the
    /// TTL: what an answer takes is taken from the lease.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options { ttl: Duration::from_secs(10), timeout: Duration::from_millis(500) }
    }
}

/// Why there is no lease, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another held it all the time.
    #[error("somebody else holds it, after {0:.0?} of waiting")]
    Busy(Duration),
    /// It is not ours any more.
    #[error("the lease is lost: its time was over, or Redis has forgotten it")]
    Lost,
    /// Redis failed.
    #[error("Redis failed: {0}")]
    Redis(#[from] RedisError),
}
// ANCHOR_END: contract

/// The reference: a lease in one Redis, with fencing tokens.
///
/// An acquire that nobody contests is one round trip, a release another. The lease on `stock` stands
/// at `lock:{stock}`, the counter of its fencing tokens at `lock:{stock}:token`, for a day after it has
/// begun, so that names that come and go leave nothing behind. The braces are Redis Cluster's hash
/// tag: both keys are in one slot. Clones share their connection.
#[derive(Clone, Debug)]
pub struct RedisLease {
    redis: ConnectionManager,
    /// What is given back in the background is given back here, wherever it is dropped.
    runtime: Handle,
    options: Options,
}

/// A lease from [`RedisLease`].
///
/// Dropped, it is given back by a task on the runtime in which [`Lease::open`] was called; tried
/// until the TTL is over, if Redis does not answer. Where that runtime is gone, or the process ends
/// at once, nothing is sent, and the TTL ends it. Who can wait should [`release`](Held::release).
#[derive(Debug)]
pub struct RedisHeld {
    claim: Claim,
    token: u64,
    validity: Validity,
}

impl Lease for RedisLease {
    type Held = RedisHeld;

    /// # Panics
    /// Outside a Tokio runtime.
    fn open(url: &str, options: Options) -> Result<RedisLease, RedisError> {
        let redis = connection::open(url, options.timeout)?;
        Ok(RedisLease { redis, runtime: Handle::current(), options })
    }

    async fn acquire(&self, name: &str, patience: Duration) -> Result<RedisHeld, Error> {
        // ANCHOR: acquire
        let began = Instant::now();
        let deadline = after(began, patience);
        // Whoever drops this future drops the claim, and it is given back if it may be held. One
        // token for all attempts: what an attempt got whose reply was lost, the next one recognises.
        let mut claim = Claim::new(&self.redis, &self.runtime, name, self.options.ttl);
        let mut backoff = backoff();
        loop {
            // From before the question: Redis begins to count later than we do, never earlier.
            let asked = Instant::now();
            let reason = match claim.ask().await {
                Ok(Some(token)) => {
                    let validity = Validity::since(asked, self.options.ttl);
                    if !validity.is_over() {
                        return Ok(RedisHeld { claim, token, validity });
                    }
                    Error::Lost
                }
                Ok(None) => Error::Busy(began.elapsed()),
                // It may be a moment's trouble, as when Redis restarts.
                Err(error) => Error::Redis(error),
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(reason);
            }
            tokio::time::sleep(backoff.next().min(left)).await;
        }
        // ANCHOR_END: acquire
    }
}

impl Held for RedisHeld {
    fn token(&self) -> u64 {
        self.token
    }

    async fn extend(&self) -> Result<(), Error> {
        let asked = Instant::now();
        if self.claim.extend().await? {
            self.validity.extend(asked, self.claim.ttl());
            Ok(())
        } else {
            self.validity.lose();
            Err(Error::Lost)
        }
    }

    async fn lost(&self) {
        self.validity.over().await;
    }

    async fn release(mut self) -> Result<(), Error> {
        // On an error the claim is dropped as one that may be held: it is tried again behind the
        // caller's back.
        match self.claim.release().await? {
            true => Ok(()),
            false => Err(Error::Lost),
        }
    }
}

/// The first pause is about what an uncontested turn takes: a holder that does a thing or two is soon
/// done. Pauses longer than the longest would save little traffic, and the lease would lie idle.
fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(4), Duration::from_millis(128))
}

/// As much later as the clock can say: a patience of `Duration::MAX` means for ever.
fn after(instant: Instant, time: Duration) -> Instant {
    const THIRTY_YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    instant.checked_add(time).unwrap_or_else(|| instant + THIRTY_YEARS)
}
