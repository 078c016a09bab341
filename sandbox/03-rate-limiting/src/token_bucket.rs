//! 03.4 · Token bucket: a burst at once, and then a rate.
//!
//! Each key has a bucket of `burst` tokens. A request takes as many as it costs, or is refused and
//! takes none; one token comes back each `every`, up to the burst. Nobody fills the buckets: when
//! one is looked at, what has come back since the last time is added.
//!
//! The arithmetic is two lines, and goes wrong in whole tokens: who looks every millisecond at a
//! bucket that fills by one a second, and rounds down, adds nothing each time and forgets the rest.
//! So the level is kept in microseconds of refill: one token is worth `every_micros`, a whole
//! number, and nothing is ever rounded.
//!
//! | promise | how |
//! | --- | --- |
//! | Burst and rate are exact, and no fraction is lost | whole microseconds of refill |
//! | A clock that goes backwards gives nothing twice | the bucket's time never does |
//! | A refusal spends nothing | it writes nothing |
//! | Two clients never take the same token | one script, which runs alone |
//! | Nothing lives for ever | a TTL until the bucket is full, when the key says nothing more |
//!
//! What it does not promise is the same as of [GCRA](crate::gcra), which is this bucket in one
//! number, and what one would rather ship. This one is easier to read in `redis-cli`, and to
//! extend: a hash has room for a second rate.
//!
//! Source: J. Turner, *New directions in communications (or which way to the information age?)*,
//! IEEE Communications Magazine 24(10), 1986, where the bucket counts what was spent; the two
//! are the same, seen from either side.

use crate::limiter::{Decision, Limiter, Options, Quota};
use crate::metrics::Snapshot;
use crate::script::{Program, Scripted};
use redis::RedisError;
use redis::aio::ConnectionManager;
use std::sync::LazyLock;

// ANCHOR: script
static TOKEN_BUCKET: LazyLock<Program> = LazyLock::new(|| {
    Program::new(
        r"local window, cost = tonumber(ARGV[1]), tonumber(ARGV[2])
          local now, spare = tonumber(ARGV[3]), tonumber(ARGV[4])
          if not now then
            local time = redis.call('TIME')
            now = time[1] * 1000000 + time[2]
          end
          local bucket = redis.call('HMGET', KEYS[1], 'level', 'at')
          local level, last = tonumber(bucket[1]) or window, tonumber(bucket[2]) or now
          -- The bucket's time stands while the clock is behind it: what it gave is given.
          local at = math.max(last, now)
          level = math.min(level + (at - last), window)
          local full_in = (at - now) + (window - level)
          if cost == 0 or cost > level then
            return {cost == 0 and 1 or 0, level, full_in}
          end
          level, full_in = level - cost, full_in + cost
          -- tostring and .. print 14 digits, and microseconds since 1970 have 16.
          local exact = function(number) return string.format('%.0f', number) end
          redis.call('HSET', KEYS[1], 'level', exact(level), 'at', exact(at))
          -- Redis counts its TTLs in milliseconds: rounded up, so never too early.
          redis.call('PEXPIRE', KEYS[1], math.ceil(full_in / 1000) + 1 + spare)
          return {1, level, full_in}",
    )
});
// ANCHOR_END: script

/// The reference: token buckets in Redis, one hash a key, for as many processes as use it.
///
/// The hash holds `level`, in microseconds of refill, and `at`, the time of that level in
/// microseconds since 1970. A key exists only while its bucket is not full.
#[derive(Debug)]
pub struct TokenBucket(Scripted);

impl TokenBucket {
    /// A limiter on a connection that others use, too: several quotas need no more than one. It
    /// should come from [`connection::open`] with the timeout of these `options`, which bounds
    /// how long a decision waits.
    pub fn on(redis: ConnectionManager, quota: Quota, options: Options) -> TokenBucket {
        TokenBucket(Scripted::new(redis, &TOKEN_BUCKET, quota, options))
    }

    /// Decisions, outages, latency, since the limiter was made.
    pub fn metrics(&self) -> Snapshot {
        self.0.metrics()
    }
}

impl Limiter for TokenBucket {
    fn open(url: &str, quota: Quota, options: Options) -> Result<TokenBucket, RedisError> {
        Ok(TokenBucket::on(connection::open(url, options.timeout)?, quota, options))
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        self.0.decide(key, cost).await
    }
}
