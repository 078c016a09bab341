//! A lease on a key: the right to fill it, until somebody invalidates it.
//!
//! The trap that this closes, step by step:
//!
//! ```text
//! reader   GET product:7 → nil
//! reader   SELECT … → 10.00
//! writer                        UPDATE … 20.00, COMMIT
//! writer                        DEL product:7
//! reader   SET product:7 10.00          the old price, until its TTL, for everybody
//! ```
//!
//! The reader did nothing wrong by its own lights; it was only late. So a reader that misses takes
//! a lease before it loads: a token that nobody else has, at a key beside the value's. It may
//! store its value only while that token stands. The writer deletes the value and the lease in one
//! command, and with the lease the late reader's right.
//!
//! The idea is from Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013, section 3.2.1.
//! There the server hands out the token; Redis has `SET NX` and scripts instead.
//!
//! A lease has a TTL because its holder may die. A holder that is slower than its lease loses the
//! right to fill, never more: the comparison is with the token, not with the time. So a lease that
//! ends early costs a load and never the truth. A Redis that loses its memory, by a restart or by
//! eviction, ends leases early, and that is all.
//!
//! The lease of `product:7` stands at `{product:7}:lease`. The braces are Redis Cluster's hash
//! tag: both keys are in one slot, so that one script may touch both. Keys that contain braces
//! themselves are not for a cluster.

use redis::aio::ConnectionManager;
use redis::{
    AsyncCommands, ExistenceCheck, RedisError, RedisResult, Script, SetExpiry, SetOptions,
};
use std::sync::LazyLock;
use std::time::Duration;

/// The right to fill one key once.
///
/// Dropped without having been used (the load failed, or its caller went away), it is given back
/// in the background, so that the next reader need not wait for its TTL.
#[derive(Debug)]
#[must_use]
pub struct Lease {
    redis: ConnectionManager,
    key: String,
    token: String,
    held: bool,
}

/// A token for a lease that is yet to be acquired: 128 random bits, so that two holders never share
/// one, and a late one cannot be mistaken for its successor.
pub fn new_token() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// What [`Lease::read_or_acquire`] found at a key.
#[derive(Debug)]
pub enum Found {
    /// A value has come in the meantime: its bytes.
    Value(Vec<u8>),
    /// Somebody else holds the lease with this token: a load is under way.
    Leased(String),
    /// Nothing was there, and the lease is now ours.
    Granted(Lease),
}

impl Lease {
    /// Takes the lease on `key` for at most `ttl`, or `None` if somebody holds it. One round trip.
    ///
    /// # Errors
    /// Redis's own. If the lease was taken all the same, it is given back.
    pub async fn acquire(
        redis: &ConnectionManager,
        key: &str,
        token: String,
        ttl: Duration,
    ) -> RedisResult<Option<Lease>> {
        let mut lease = Lease::unheld(redis, key, token);
        let expiry = SetExpiry::PX(millis(ttl));
        let only_if_absent =
            SetOptions::default().conditional_set(ExistenceCheck::NX).with_expiration(expiry);
        // An error leaves open whether Redis did it. Returning drops the lease, and a lease that
        // is dropped while it may be held is given back.
        lease.held = true;
        lease.held = lease.redis.set_options(lease_key(key), &lease.token, only_if_absent).await?;
        Ok(lease.held.then_some(lease))
    }

    /// The value at `key`, or whose load to wait for, or the lease: in one round trip, and in one
    /// step, so that of many callers exactly one is granted the lease.
    ///
    /// # Errors
    /// Redis's own. If the lease was taken all the same, it is given back.
    pub async fn read_or_acquire(
        redis: &ConnectionManager,
        key: &str,
        token: String,
        ttl: Duration,
    ) -> RedisResult<Found> {
        static READ_OR_ACQUIRE: LazyLock<Script> = LazyLock::new(|| {
            Script::new(
                r"local value = redis.pcall('GET', KEYS[1])
                  if type(value) == 'string' then return {value, ''} end
                  local holder = redis.call('GET', KEYS[2])
                  if holder then return {false, holder} end
                  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
                  return {false, ARGV[1]}",
            )
        });
        let mut lease = Lease::unheld(redis, key, token);
        lease.held = true;
        let mut script = READ_OR_ACQUIRE.key(key);
        script.key(lease_key(key)).arg(&lease.token).arg(millis(ttl));
        let (value, holder): (Option<Vec<u8>>, String) =
            script.invoke_async(&mut lease.redis).await?;
        lease.held = value.is_none() && holder == lease.token;
        Ok(match value {
            Some(value) => Found::Value(value),
            None if lease.held => Found::Granted(lease),
            None => Found::Leased(holder),
        })
    }

    /// Stores `value` for `ttl` if the lease still stands, and answers whether it did. `false`
    /// means that the key was invalidated, or the lease ran out, in the meantime: the value may be
    /// old, and is not stored. One round trip.
    ///
    /// # Errors
    /// Redis's own. Whether the value was stored is then unknown; if it was, the lease stood, so it
    /// is no older than the last invalidation.
    pub async fn fill(mut self, value: &[u8], ttl: Duration) -> RedisResult<bool> {
        // ANCHOR: fill
        // The comparison and the SET are one step: between two, an invalidation would fit.
        // The value and its TTL are one command: between two, the process could die, and the
        // entry would live for ever.
        static FILL: LazyLock<Script> = LazyLock::new(|| {
            Script::new(
                r"if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
                  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
                  redis.call('DEL', KEYS[2])
                  return 1",
            )
        });
        // `invoke_async` sends EVALSHA, and falls back to loading the script: a Redis that was
        // restarted or flushed costs two more round trips and no error.
        let mut script = FILL.key(&self.key);
        script.key(lease_key(&self.key)).arg(&self.token).arg(value).arg(millis(ttl));
        let filled = script.invoke_async(&mut self.redis).await?;
        // ANCHOR_END: fill
        self.held = false;
        Ok(filled)
    }

    fn unheld(redis: &ConnectionManager, key: &str, token: String) -> Lease {
        Lease { redis: redis.clone(), key: key.to_owned(), token, held: false }
    }
}

/// Whether Redis refused to read a key because somebody else keeps a list, a set or a hash there.
/// For a cache that is an entry which cannot be read: a miss, and to be replaced.
pub fn is_foreign(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}

/// The token of the lease that stands on `key`, if one does. One round trip.
///
/// # Errors
/// Redis's own.
pub async fn holder(redis: &ConnectionManager, key: &str) -> RedisResult<Option<String>> {
    redis.clone().get(lease_key(key)).await
}

/// Forgets the value at `key` and breaks the lease on it, in one step.
///
/// # Errors
/// Redis's own, after one more try where the connection was at fault: `DEL` may be done twice, and
/// a closed connection shows only at the next command, so writers are spared an error for each
/// restart of Redis.
pub async fn invalidate(redis: &ConnectionManager, key: &str) -> RedisResult<()> {
    let both = [key.to_owned(), lease_key(key)];
    let mut redis = redis.clone();
    match redis.del(&both).await {
        Err(error) if error.is_io_error() => redis.del(&both).await,
        result => result,
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        static RELEASE: LazyLock<Script> = LazyLock::new(|| {
            Script::new(
                r"if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end",
            )
        });
        // Without a runtime there is nothing to send it with, and the TTL does it.
        let (true, Ok(runtime)) = (self.held, tokio::runtime::Handle::try_current()) else {
            return;
        };
        let mut redis = self.redis.clone();
        let (key, token) = (lease_key(&self.key), std::mem::take(&mut self.token));
        runtime.spawn(async move {
            let released: RedisResult<()> =
                RELEASE.key(&key).arg(&token).invoke_async(&mut redis).await;
            if let Err(error) = released {
                tracing::debug!(key, %error, "a lease is left to its TTL");
            }
        });
    }
}

fn lease_key(key: &str) -> String {
    format!("{{{key}}}:lease")
}

/// Redis counts in whole milliseconds, refuses zero, and refuses an end that a signed 64-bit
/// number of milliseconds since 1970 cannot hold: a thousand years are for ever.
fn millis(duration: Duration) -> u64 {
    const FOR_EVER: u64 = 1_000 * 365 * 24 * 60 * 60 * 1_000;
    u64::try_from(duration.as_millis()).map_or(FOR_EVER, |millis| millis.clamp(1, FOR_EVER))
}
