//! One owner's claim on a name, as Redis knows it: asked for, extended, given back.

use super::{Backoff, after};
use rand::TryRng;
use rand::rngs::SysRng;
use redis::aio::ConnectionManager;
use redis::{RedisResult, Script};
use std::io;
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
/// A counter alone would begin again at 1 when Redis loses its memory. So the token is at least the
/// server's time, in µs since 1970, which has moved on meanwhile. Lua's numbers are doubles: whole
/// up to 2^53, which is the year 2255, but as text they keep 14 digits unless told otherwise.
static ACQUIRE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"local lease, counter, owner, ttl = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
          if not redis.call('SET', lease, owner, 'NX', 'PX', ttl) then
              if redis.call('GET', lease) ~= owner then return false end
              redis.call('PEXPIRE', lease, ttl)
          end
          local now = redis.call('TIME')
          local last = tonumber(redis.call('GET', counter) or 0)
          local token = math.max(last + 1, now[1] * 1000000 + now[2])
          redis.call('SET', counter, string.format('%.0f', token), 'PX', ARGV[3])
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

/// How long the last fencing token of a name is kept after its last use: longer than a server's
/// clock is ever set back, as until then it is what keeps the tokens rising.
const TOKEN_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// A name, an owner that nobody else can be, and what is known about whether it holds the name.
#[derive(Debug)]
pub(super) struct Claim {
    redis: ConnectionManager,
    runtime: Handle,
    lease: String,
    counter: String,
    /// Empty until Redis is asked for the first time.
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
            owner: String::new(),
            ttl,
            perhaps_held: false,
        }
    }

    pub(super) fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Asks once. The fencing token, or `None` if another holds the name. One round trip.
    pub(super) async fn ask(&mut self) -> RedisResult<Option<u64>> {
        if self.owner.is_empty() {
            self.owner = new_owner()?;
        }
        let doubt = std::mem::replace(&mut self.perhaps_held, true);
        let mut script = ACQUIRE.key(&self.lease);
        script.key(&self.counter).arg(&self.owner).arg(millis(self.ttl)).arg(millis(TOKEN_KEPT));
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
    let mut backoff = Backoff::new();
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

/// 128 bits from the system, which no process draws twice: not by luck, not after a fork, not in
/// two copies of one virtual machine.
fn new_owner() -> io::Result<String> {
    let mut bits = [0; 16];
    SysRng.try_fill_bytes(&mut bits).map_err(io::Error::other)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bits)))
}

/// Redis counts in whole milliseconds, refuses zero, and refuses an end that a signed 64-bit
/// number of milliseconds since 1970 cannot hold: a thousand years are for ever.
fn millis(duration: Duration) -> u64 {
    const FOR_EVER: u64 = 1_000 * 365 * 24 * 60 * 60 * 1_000;
    u64::try_from(duration.as_millis()).map_or(FOR_EVER, |millis| millis.clamp(1, FOR_EVER))
}
