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
    /// One round trip, by the server's clock, and a clock that goes backwards gives nothing twice.
    /// A `cost` of 0 looks, is always allowed and leaves nothing behind; one above the quota's
    /// burst never is.
    ///
    /// It always answers: where Redis is gone, stalls, or answers what nobody understands,
    /// [`Options::outage`] decides, within twice [`Options::timeout`]. A request that timed out may
    /// still be carried out, so an outage can cost a key what it did not use.
    ///
    /// A key is kept in Redis until its burst is whole again, at most a second longer, and longer
    /// by [`Clock::spare`].
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
    /// Allows what the burst allows: for a shop window, which should rather be overrun than dark.
    Open,
    /// Refuses: for guesses at a password.
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

    /// How much longer a key lives than this clock has it. Redis counts a TTL by its own clock,
    /// which goes on while a given one stands: an hour is enough for any trace.
    pub fn spare(&self) -> Duration {
        match self {
            Clock::Server => Duration::ZERO,
            Clock::Given(_) => Duration::from_secs(3_600),
        }
    }
}

/// A clock that stands until it is set. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub struct GivenClock {
    micros: Arc<AtomicU64>,
}

impl GivenClock {
    /// The latest time that it shows. Lua's numbers are doubles, which hold whole numbers up to
    /// 2^53 exactly, and a limiter adds its window to the time. In microseconds since 1970 this is
    /// the year 2254.
    pub const LATEST: u64 = (1 << 53) - Quota::LONGEST;

    /// Sets it, forwards or backwards, to at most [`GivenClock::LATEST`].
    pub fn set(&self, micros: u64) {
        self.micros.store(micros.min(GivenClock::LATEST), Ordering::SeqCst);
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
        Duration::from_micros(self.window_micros())
    }

    /// The same in microseconds.
    #[inline]
    pub fn window_micros(&self) -> u64 {
        u64::from(self.burst) * self.every_micros
    }

    /// The time in which `cost` comes back, in microseconds; `None` where it is above the burst.
    #[inline]
    pub fn price(&self, cost: u32) -> Option<u64> {
        (cost <= self.burst).then(|| u64::from(cost) * self.every_micros)
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
    /// What `outage` decides of a `cost` where the state cannot be reached. Nothing is known of the
    /// key then, so an open limiter shows the whole burst, and a closed one says to come back in a
    /// second. A cost of 0 is allowed and one above the burst is not, here as ever.
    pub fn in_outage(outage: Outage, quota: Quota, cost: u32) -> Decision {
        let open = outage == Outage::Open;
        let allowed = cost == 0 || (open && cost <= quota.burst);
        let retry_after = match allowed {
            true => Some(Duration::ZERO),
            false => (cost <= quota.burst).then_some(Duration::from_secs(1)),
        };
        Decision {
            allowed,
            remaining: if open { quota.burst } else { 0 },
            retry_after,
            reset_after: Duration::ZERO,
            by: By::Outage,
        }
    }

    /// What follows from a state in which a `cost` was `allowed` or not. `level` is what could be
    /// spent after that, and `full_in` how long it takes to be full again, both in microseconds of
    /// refill.
    #[inline]
    pub fn in_state(quota: Quota, cost: u32, allowed: bool, level: u64, full_in: u64) -> Decision {
        let retry_after = match quota.price(cost) {
            // The cost is there as soon as no more than the rest of the burst is missing.
            Some(price) if !allowed => {
                Some((full_in + price).saturating_sub(quota.window_micros()))
            }
            price => price.map(|_| 0),
        };
        Decision {
            allowed,
            // A level is at most the window, so this is at most the burst.
            remaining: u32::try_from(level / quota.every_micros).unwrap_or(quota.burst),
            retry_after: retry_after.map(Duration::from_micros),
            reset_after: Duration::from_micros(full_in),
            by: By::State,
        }
    }
}
