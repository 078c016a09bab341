//! 03.6 · GCRA: a token bucket in one number.
//!
//! A bucket is a level and the time at which it was looked at. The generic cell rate algorithm
//! keeps the one number from which both follow: the *theoretical arrival time* (TAT), at which
//! the bucket will be full again. A key that spends moves it on by the cost's time; time does the
//! rest by passing. What is allowed may move it no further than one window ahead of the clock.
//!
//! ```text
//!          now                       now + window
//!   ────────┼────────────┼───────────────┼──────▶ time
//!           │◀─  spent ─▶│◀─ to spend ──▶│
//!                       TAT
//! ```
//!
//! [`Limiter`] names the promises, [`Gcra`] keeps them in Redis:
//!
//! | promise | how |
//! | --- | --- |
//! | Two clients never spend the same unit | one script, which runs alone |
//! | One round trip | `EVALSHA`, and `EVAL` where Redis has forgotten it |
//! | Nobody's clock but one counts | `TIME`, inside the script |
//! | Nothing is rounded away | whole microseconds, and `%.0f` where Lua would print 14 digits |
//! | Nothing lives for ever | one `SET` with a TTL until the TAT, when the key says nothing more |
//! | Losing Redis opens or closes, as chosen | [`Options::outage`] |
//!
//! What it does not promise:
//!
//! - **The same in an outage.** Nobody counts while Redis is gone.
//! - **Memory of a Redis that lost its own.** A restart without persistence, an eviction or a
//!   failover to a replica that lags gives keys their burst back.
//! - **A clock that jumps.** By NTP a server's clock may step. Backwards, a key waits until the
//!   clock is where it was, or until its own debt is over; forwards, it has its burst early.
//! - **Fairness.** Who asks for less gets it earlier: a large cost may wait while small ones pass.
//!
//! [`Local`] and [`Single`] are the same in the memory of one process.
//!
//! Sources: ATM Forum, *Traffic Management Specification 4.0*, 1996, section 4.4.3 (the virtual
//! scheduling algorithm); B. Leach, *Rate limiting, cells, and GCRA*, 2015.
//!
//! [`Options::outage`]: crate::limiter::Options::outage

mod local;

pub use local::{Local, Single};

use crate::limiter::{Decision, Limiter, Options, Quota};
use crate::metrics::Snapshot;
use crate::script::{Program, Scripted};
use redis::RedisError;
use redis::aio::ConnectionManager;
use std::sync::LazyLock;

// ANCHOR: script
static GCRA: LazyLock<Program> = LazyLock::new(|| {
    Program::new(
        r"local window, cost = tonumber(ARGV[1]), tonumber(ARGV[2])
          local now, spare = tonumber(ARGV[3]), tonumber(ARGV[4])
          if not now then
            local time = redis.call('TIME')
            now = time[1] * 1000000 + time[2]
          end
          local tat = tonumber(redis.call('GET', KEYS[1])) or 0
          -- A TAT that is past saves nothing up.
          local ahead = math.max(tat - now, 0)
          if cost == 0 or ahead + cost > window then
            return {cost == 0 and 1 or 0, math.max(window - ahead, 0), ahead}
          end
          ahead = ahead + cost
          -- tostring and .. print 14 digits, and microseconds since 1970 have 16.
          tat = string.format('%.0f', now + ahead)
          -- Redis counts its TTLs in milliseconds: rounded up, so never too early.
          redis.call('SET', KEYS[1], tat, 'PX', math.ceil(ahead / 1000) + 1 + spare)
          return {1, window - ahead, ahead}",
    )
});
// ANCHOR_END: script

/// The reference: GCRA in Redis, one string a key, for as many processes as use it.
///
/// The string at the key is the TAT in microseconds since 1970, and `redis-cli` shows it. A key
/// exists only while its burst is not whole.
#[derive(Debug)]
pub struct Gcra(Scripted);

impl Gcra {
    /// A limiter on a connection that others use, too: several quotas need no more than one. It
    /// should come from [`connection::open`] with the timeout of these `options`, which bounds
    /// how long a decision waits.
    pub fn on(redis: ConnectionManager, quota: Quota, options: Options) -> Gcra {
        Gcra(Scripted::new(redis, &GCRA, quota, options))
    }

    /// Decisions, outages, latency, since the limiter was made.
    pub fn metrics(&self) -> Snapshot {
        self.0.metrics()
    }
}

impl Limiter for Gcra {
    fn open(url: &str, quota: Quota, options: Options) -> Result<Gcra, RedisError> {
        Ok(Gcra::on(connection::open(url, options.timeout)?, quota, options))
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        self.0.decide(key, cost).await
    }
}
