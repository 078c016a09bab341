//! What every limiter answers: the contract that the lessons of this topic share.

use redis::RedisError;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

// ANCHOR: contract
/// The contract: a limiter in Redis, for as many processes as use it.
pub trait Limiter: Send + Sync + Sized + 'static {
    /// A limiter on the Redis at `url`, with one `quota` for each key. Connects at the first
    /// decision, so that a program can start while Redis is down.
    ///
    /// # Errors
    /// Only for a `url` that cannot be read.
    fn open(url: &str, quota: Quota, options: Options) -> Result<Self, RedisError>;

    /// Whether `key` may spend `cost` units now, and spends them if so; a refusal spends nothing.
    /// One round trip, by the server's clock. A `cost` of 0 looks and spends nothing; one above
    /// the quota's burst is never allowed.
    ///
    /// It always answers: where Redis is gone, stalls, or forgets its scripts too often,
    /// [`Options::outage`] decides, within twice [`Options::timeout`]. A request that timed out may
    /// still be carried out, so an outage can cost a key what it did not use.
    fn decide(&self, key: &str, cost: u32) -> impl Future<Output = Decision> + Send;
}

/// How much a key may spend: one unit each `every`, and up to `burst` units at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    burst: u32,
    every_micros: u64,
}

/// What a limiter said, and what a caller may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the cost was spent.
    pub allowed: bool,
    /// Whole units that could be spent at once now.
    pub remaining: u32,
    /// How long to wait until the same cost is allowed, if nobody else spends: zero where it was
    /// allowed, `None` where it never will be.
    pub retry_after: Option<Duration>,
    /// How long until the whole burst is there again, if nobody spends.
    pub reset_after: Duration,
    /// Who decided.
    pub by: By,
}

/// Who made a [`Decision`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The limiter's state.
    State,
    /// [`Options::outage`], as the state could not be reached.
    Outage,
}

/// What a limiter does while it cannot reach its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// Allows everything: for a shop window, which should rather be overrun than dark.
    Open,
    /// Refuses everything: for guesses at a password.
    Closed,
}
// ANCHOR_END: contract

/// How a limiter behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a decision waits for Redis to connect, and then for it to answer.
    pub timeout: Duration,
    /// What holds when that was in vain.
    pub outage: Outage,
    /// By whose clock it is decided.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Options {
        Options { timeout: Duration::from_millis(100), outage: Outage::Open, clock: Clock::Server }
    }
}

/// By whose clock a limiter decides.
#[derive(Clone, Debug)]
pub enum Clock {
    /// Redis's own (`TIME`), the only one that all processes share.
    Server,
    /// One that is set by hand, to replay a trace of requests in no time.
    Given(GivenClock),
}

impl Clock {
    /// The time to decide by, in microseconds since 1970; `None` where the server is to look at
    /// its own clock.
    pub fn given(&self) -> Option<u64> {
        match self {
            Clock::Server => None,
            Clock::Given(clock) => Some(clock.micros()),
        }
    }
}

/// A clock that stands until it is set. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub struct GivenClock {
    micros: Arc<AtomicU64>,
}

impl GivenClock {
    /// The latest time that it can show: Lua's numbers are doubles, which hold whole numbers up to
    /// 2^53 exactly. In microseconds since 1970 that is the year 2255.
    pub const LATEST: u64 = 1 << 53;

    /// Sets it, forwards or backwards.
    pub fn set(&self, micros: u64) {
        self.micros.store(micros, Ordering::SeqCst);
    }

    /// What it shows.
    pub fn micros(&self) -> u64 {
        self.micros.load(Ordering::SeqCst)
    }
}

/// A quota that no limiter can keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a quota needs a burst of at least 1, a unit of at least 1 µs, and both times each other below a year"
)]
pub struct OddQuota;

impl Quota {
    /// The longest time from empty to full. With it, every sum of times that a script makes stays
    /// a whole number that a double holds.
    const LONGEST: u64 = 365 * 24 * 3_600 * 1_000_000;

    /// One unit each `every`, up to `burst` at once. `every` is rounded up to whole microseconds.
    ///
    /// # Errors
    /// [`OddQuota`] for a burst or a time of zero, and for a burst that takes a year to refill.
    pub fn new(burst: u32, every: Duration) -> Result<Quota, OddQuota> {
        let every_micros = u64::try_from(every.as_nanos().div_ceil(1_000)).map_err(|_| OddQuota)?;
        let full = u64::from(burst).checked_mul(every_micros).ok_or(OddQuota)?;
        match full {
            1..Quota::LONGEST => Ok(Quota { burst, every_micros }),
            _ => Err(OddQuota),
        }
    }

    /// `units` a second, up to `burst` at once. Where a second does not divide into `units`, the
    /// unit's time is rounded up to the next microsecond: 3 a second is one each 333,334 µs.
    ///
    /// # Errors
    /// As [`Quota::new`], and for more than a million units.
    pub fn per_second(units: u32, burst: u32) -> Result<Quota, OddQuota> {
        match units {
            1..=1_000_000 => {
                Quota::new(burst, Duration::from_micros(1_000_000_u64.div_ceil(u64::from(units))))
            }
            _ => Err(OddQuota),
        }
    }

    /// The most units at once.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// The time in which one unit comes back, in microseconds.
    pub fn every_micros(&self) -> u64 {
        self.every_micros
    }

    /// The time from empty to full.
    pub fn window(&self) -> Duration {
        Duration::from_micros(u64::from(self.burst) * self.every_micros)
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at once, one more each {:?}",
            self.burst,
            Duration::from_micros(self.every_micros)
        )
    }
}

impl Decision {
    /// What `outage` decides where the state cannot be reached. Nothing is known of the key then,
    /// so an open limiter shows the whole burst, and a closed one says to come back in a second.
    pub fn in_outage(outage: Outage, quota: Quota) -> Decision {
        let allowed = outage == Outage::Open;
        Decision {
            allowed,
            remaining: if allowed { quota.burst() } else { 0 },
            retry_after: Some(if allowed { Duration::ZERO } else { Duration::from_secs(1) }),
            reset_after: Duration::ZERO,
            by: By::Outage,
        }
    }
}
