//! One owner's claim on a name, as Redis knows it: asked for, extended, given back.

use super::{after, backoff};
use redis::aio::ConnectionManager;
use redis::{RedisResult, Script};
use std::sync::LazyLock;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

// ANCHOR: acquire
/// Takes the lease and draws its fencing token, in one step: between two, a process could die with
/// a lease that nobody can use, or two holders could draw in the wrong order.
///
/// An owner that finds itself there already has lost the reply to an earlier attempt. It begins the
/// TTL anew and draws again: the token that was lost was never used.
///
/// A counter that began with 1 would begin so again when Redis loses its memory. This one begins with
/// the server's time, in µs since 1970, which moves on faster than anybody draws. Lua's numbers are
/// doubles: whole up to 2^53, which is the year 2255, but as text they keep 14 digits unless told
/// otherwise.
static ACQUIRE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"local lease, counter, owner, ttl = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
          if not redis.call('SET', lease, owner, 'NX', 'PX', ttl) then
              if redis.call('GET', lease) ~= owner then return false end
              redis.call('PEXPIRE', lease, ttl)
          end
          local token = redis.call('INCR', counter)
          if token == 1 then
              local now = redis.call('TIME')
              token = now[1] * 1000000 + now[2]
              redis.call('SET', counter, string.format('%.0f', token), 'PX', ARGV[3])
          end
          return token",
    )
});
// ANCHOR_END: acquire

// ANCHOR: release
/// The comparison and the step that depends on it are one. Between two, the TTL may end and another
/// acquire, whose lease this would then delete.
static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
          return redis.call('DEL', KEYS[1])",
    )
});

static EXTEND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
          return redis.call('PEXPIRE', KEYS[1], ARGV[2])",
    )
});
// ANCHOR_END: release

/// How long the counter of a name is kept before it begins anew, so that names which are not used any
/// more leave nothing behind. Also by how much a clock may then have been set back: the tokens have
/// fallen behind it by nearly as long.
const COUNTER_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// A name, an owner that nobody else can be, and what is known about whether it holds the name.
#[derive(Debug)]
pub(super) struct Claim {
    redis: ConnectionManager,
    runtime: Handle,
    lease: String,
    counter: String,
    owner: String,
    ttl: Duration,
    /// Redis was asked and has not said no. A claim that is dropped like this is given back.
    perhaps_held: bool,
}

impl Claim {
    pub(super) fn new(
        redis: &ConnectionManager,
        runtime: &Handle,
        name: &str,
        ttl: Duration,
    ) -> Claim {
        Claim {
            redis: redis.clone(),
            runtime: runtime.clone(),
            lease: format!("lock:{{{name}}}"),
            counter: format!("lock:{{{name}}}:token"),
            owner: new_owner(),
            ttl,
            perhaps_held: false,
        }
    }

    pub(super) fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Asks once. The fencing token, or `None` if another holds the name. One round trip.
    pub(super) async fn ask(&mut self) -> RedisResult<Option<u64>> {
        let doubt = std::mem::replace(&mut self.perhaps_held, true);
        let mut script = ACQUIRE.key(&self.lease);
        script.key(&self.counter).arg(&self.owner).arg(millis(self.ttl)).arg(millis(COUNTER_KEPT));
        // `invoke_async` sends EVALSHA, and falls back to loading the script: a Redis that was
        // restarted or flushed costs two more round trips and no error.
        let token: Option<u64> = script.invoke_async(&mut self.redis).await?;
        // A no that follows a reply that was lost does not end the doubt: the lost request may
        // still be on its way, on the connection that was given up.
        self.perhaps_held = doubt || token.is_some();
        Ok(token)
    }

    /// Begins the TTL anew, if the name is still ours. One round trip.
    pub(super) async fn extend(&self) -> RedisResult<bool> {
        let mut script = EXTEND.key(&self.lease);
        script.arg(&self.owner).arg(millis(self.ttl));
        script.invoke_async(&mut self.redis.clone()).await
    }

    /// Gives the name back, if it is still ours. One round trip.
    pub(super) async fn release(&mut self) -> RedisResult<bool> {
        let released =
            RELEASE.key(&self.lease).arg(&self.owner).invoke_async(&mut self.redis).await?;
        self.perhaps_held = false;
        Ok(released)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.perhaps_held {
            let lease = std::mem::take(&mut self.lease);
            let owner = std::mem::take(&mut self.owner);
            // On a runtime that has ended this does nothing.
            self.runtime.spawn(give_back(self.redis.clone(), lease, owner, self.ttl));
        }
    }
}

/// Until Redis has heard it, or the TTL is over and there is nothing left to give back.
async fn give_back(mut redis: ConnectionManager, lease: String, owner: String, ttl: Duration) {
    let over = after(Instant::now(), ttl);
    let mut backoff = backoff();
    loop {
        let told: RedisResult<bool> =
            RELEASE.key(&lease).arg(&owner).invoke_async(&mut redis).await;
        match told {
            Ok(_) => return,
            Err(error) if Instant::now() >= over => {
                tracing::debug!(lease, %error, "a lease was left to its TTL");
                return;
            }
            Err(_) => tokio::time::sleep(backoff.next()).await,
        }
    }
}

/// 128 bits of a generator that is made for secrets (ChaCha, seeded by the system): nobody draws or
/// guesses them twice.
fn new_owner() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Redis counts in whole milliseconds, refuses zero, and refuses an end that a signed 64-bit
/// number of milliseconds since 1970 cannot hold: a thousand years are for ever.
fn millis(duration: Duration) -> u64 {
    const FOR_EVER: u64 = 1_000 * 365 * 24 * 60 * 60 * 1_000;
    u64::try_from(duration.as_millis()).map_or(FOR_EVER, |millis| millis.clamp(1, FOR_EVER))
}
