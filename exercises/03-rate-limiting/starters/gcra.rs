//! 03.6 · GCRA
//!
//! Build a limiter that keeps one number for each key: the theoretical arrival time (TAT), at which
//! its burst will be whole again. Who spends moves it on; time does the rest by passing. It may never
//! be further ahead of the clock than the quota's window.
//!
//! Your limiter has to keep these promises, and the checks will try to break each of them:
//!
//! 1. It is exact to the microsecond, now and in 2254, and with any cost.
//! 2. Two clients never spend the same unit, and it does not matter whose clock is wrong.
//! 3. A decision is one round trip, also after a decision that taught Redis the script.
//! 4. A Redis that was told SCRIPT FLUSH, a connection that was killed: no caller notices.
//! 5. Nothing stays in Redis longer than it says something, and nothing goes earlier.
//! 6. Without Redis `Options::outage` decides, in time.
//!
//! The contract with all its details is the trait `Limiter`:
//! sandbox/03-rate-limiting/src/limiter.rs. Write `decide`; `open` is done, unless you want more
//! fields. The connection that it opens reconnects by itself and times out: see
//! crates/connection/src/lib.rs. `options.clock.given()` is the time to decide by, or `None` for
//! the server's own; `options.clock.spare()` is what to add to a TTL.
//!
//! Two functions spare you the arithmetic of the answer: `Decision::in_state`, of what is left and
//! the time until it is whole, and `Decision::in_outage`.
//!
//! A first step: GET the TAT, compute here, SET it. Then run the checks and read the first timeline.

use rate_limiting::limiter::{Decision, Limiter, Options, Quota};
use redis::RedisError;
use redis::aio::ConnectionManager;

/// Your limiter.
#[allow(dead_code)] // until decide uses the fields
pub struct MyLimiter {
    redis: ConnectionManager,
    quota: Quota,
    options: Options,
}

impl Limiter for MyLimiter {
    fn open(url: &str, quota: Quota, options: Options) -> Result<Self, RedisError> {
        let redis = rate_limiting::connection::open(url, options.timeout)?;
        Ok(MyLimiter { redis, quota, options })
    }

    async fn decide(&self, _key: &str, _cost: u32) -> Decision {
        todo!("move the TAT on by the cost, if that is not too far ahead of the clock")
    }
}
