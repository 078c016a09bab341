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
//! The reader did nothing wrong by its own lights; it was only late. So a reader that misses
//! leaves a lease at the key before it loads: a token that nobody else has. It may put its value
//! there only in place of that token. The writer's `DEL` removes whatever stands at the key, the
//! value or the lease, and with the lease the late reader's right.
//!
//! The idea is from Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013, section 3.2.1.
//! There the server hands out the token; Redis has `SET NX` and scripts instead.
//!
//! One key holds either state, so the protocol needs no second key that could expire apart from
//! the first or live in another slot of a cluster. A stored value is JSON, and no JSON text begins
//! with the letter l, so the two cannot be taken for each other.
//!
//! A lease has a TTL because its holder may die. A holder that is slower than its lease loses the
//! right to fill, never more: the check is for the token, not for the time.

use redis::aio::ConnectionManager;
use redis::{AsyncCommands, ExistenceCheck, RedisResult, Script, SetExpiry, SetOptions};
use std::sync::LazyLock;
use std::time::Duration;

const PREFIX: &[u8] = b"lease:";

/// What stands at a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing.
    Absent,
    /// Somebody's lease: a load is under way.
    Leased,
    /// A value's bytes.
    Value(Vec<u8>),
}

impl Entry {
    /// Reads what `GET` returned.
    pub fn of(stored: Option<Vec<u8>>) -> Entry {
        match stored {
            None => Entry::Absent,
            Some(bytes) if bytes.starts_with(PREFIX) => Entry::Leased,
            Some(bytes) => Entry::Value(bytes),
        }
    }
}

/// The right to fill one key once.
///
/// Dropped without having been used (the load failed, or its caller went away), it is given back
/// in the background, so that the next reader need not wait for its TTL.
#[derive(Debug)]
#[must_use]
pub struct Lease {
    redis: ConnectionManager,
    key: String,
    token: Vec<u8>,
    held: bool,
}

/// What a lease may replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Only nothing: whoever comes first gets the lease.
    Nothing,
    /// Whatever stands there: for a value that can no longer be read.
    Anything,
}

impl Lease {
    /// Takes the lease on `key` for at most `ttl`, or `None` if something stands there already.
    /// One round trip.
    ///
    /// # Errors
    /// Redis's own. The lease may have been taken all the same; its TTL then frees it.
    pub async fn acquire(
        redis: &ConnectionManager,
        key: &str,
        ttl: Duration,
        over: Over,
    ) -> RedisResult<Option<Lease>> {
        // 128 random bits: two holders never share a token, and a late one cannot be mistaken for
        // its successor.
        let token = format!("lease:{:032x}", rand::random::<u128>()).into_bytes();
        let mut options = SetOptions::default().with_expiration(SetExpiry::PX(millis(ttl)));
        if over == Over::Nothing {
            options = options.conditional_set(ExistenceCheck::NX);
        }
        let mut lease = Lease { redis: redis.clone(), key: key.to_owned(), token, held: true };
        // An error leaves open whether the lease was taken. Returning drops it, which gives it
        // back if it was.
        lease.held = lease.redis.set_options(key, &lease.token, options).await?;
        Ok(lease.held.then_some(lease))
    }

    /// Puts `value` in the lease's place for `ttl`, and answers whether the lease still stood
    /// there. `false` means that the key was invalidated, evicted or flushed in the meantime: the
    /// value may be old, and is not stored. One round trip.
    ///
    /// # Errors
    /// Redis's own. Whether the value was stored is then unknown; either way it is no older than
    /// the last invalidation.
    pub async fn fill(mut self, value: &[u8], ttl: Duration) -> RedisResult<bool> {
        // The comparison and the SET must be one step: between two, a DEL fits.
        // SET with PX, and not SET then PEXPIRE: between those two, the process can die, and the
        // entry would live for ever.
        static FILL: LazyLock<Script> = LazyLock::new(|| {
            Script::new(
                r"if redis.call('GET', KEYS[1]) == ARGV[1] then
                      redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
                      return 1
                  end
                  return 0",
            )
        });
        self.held = false;
        // `invoke_async` sends EVALSHA and falls back to loading the script, so a restarted or
        // flushed Redis costs one more round trip and no error.
        let mut fill = FILL.key(&self.key);
        fill.arg(&self.token).arg(value).arg(millis(ttl));
        fill.invoke_async(&mut self.redis).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        static RELEASE: LazyLock<Script> = LazyLock::new(|| {
            Script::new(
                r"if redis.call('GET', KEYS[1]) == ARGV[1] then
                      return redis.call('DEL', KEYS[1])
                  end
                  return 0",
            )
        });
        // Without a runtime there is nothing to send it with, and the TTL does it.
        let (true, Ok(runtime)) = (self.held, tokio::runtime::Handle::try_current()) else {
            return;
        };
        let mut redis = self.redis.clone();
        let key = std::mem::take(&mut self.key);
        let token = std::mem::take(&mut self.token);
        runtime.spawn(async move {
            let released: RedisResult<i32> =
                RELEASE.key(&key).arg(&token).invoke_async(&mut redis).await;
            if let Err(error) = released {
                tracing::debug!(key, %error, "a lease is left to its TTL");
            }
        });
    }
}

/// Redis counts in whole milliseconds and refuses zero.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}
