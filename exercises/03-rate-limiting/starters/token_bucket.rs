//! 03.4 · Token bucket
//!
//! Build a limiter. Each key has a bucket of `burst` tokens; a request takes as many as it costs or
//! is refused; one token comes back each `every`, up to the burst. All gateways of the shop ask the
//! same Redis, so the buckets are there.
//!
//! Your limiter has to keep these promises, and the checks will try to break each of them:
//!
//! 1. Burst and rate are exact. No fraction of a token is lost, however often somebody looks, and a
//!    refusal takes nothing.
//! 2. Two clients never take the same token, and it does not matter whose clock is wrong.
//! 3. A decision is one round trip, whatever it decides.
//! 4. Nothing stays in Redis longer than it says something, and nothing goes earlier.
//! 5. Without Redis `Options::outage` decides, in time.
//!
//! The contract with all its details is the trait `Limiter`:
//! sandbox/03-rate-limiting/src/limiter.rs. Write `decide`; `open` is done, unless you want more
//! fields. The connection that it opens reconnects by itself and times out: see
//! crates/connection/src/lib.rs. `options.clock.given()` is the time to decide by, or `None` for
//! the server's own; `options.clock.spare()` is what to add to a TTL.
//!
//! Two functions spare you the arithmetic of the answer: `Decision::in_state`, of a level, and
//! `Decision::in_outage`.
//!
//! A first step: HMGET, compute here, HSET. Then run the checks and read the first timeline.

use rate_limiting::limiter::{Decision, Limiter, Options, Quota};
use redis::RedisError;
use redis::aio::ConnectionManager;

/// Your limiter.
#[allow(dead_code)] // until decide uses the fields
pub struct MyBucket {
    redis: ConnectionManager,
    quota: Quota,
    options: Options,
}

impl Limiter for MyBucket {
    fn open(url: &str, quota: Quota, options: Options) -> Result<Self, RedisError> {
        let redis = rate_limiting::connection::open(url, options.timeout)?;
        Ok(MyBucket { redis, quota, options })
    }

    async fn decide(&self, _key: &str, _cost: u32) -> Decision {
        todo!("fill the bucket up to now, and take the cost out if it is there")
    }
}
