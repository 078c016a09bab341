//! What the decoys have in common: a connection, a script that is sent, an answer that is read.
//! A decoy is wrong in one thing, and this is the rest of it.

use rate_limiting::limiter::{Decision, Options, Outage, Quota};
use redis::aio::ConnectionManager;
use redis::{RedisResult, Script};

pub(super) struct Plain {
    pub(super) redis: ConnectionManager,
    pub(super) quota: Quota,
    pub(super) options: Options,
}

/// What a script answers: whether it was spent, what is left, the time until all of it is back.
pub(super) type Answer = (bool, u64, u64);

/// The beginning of every script here: `window`, `cost` and `every` in microseconds, `now`, and
/// `spare`, in milliseconds.
pub(super) const ARGUMENTS: &str = r"
    local window, cost, every = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
    local now, spare = tonumber(ARGV[4]), tonumber(ARGV[5])
    if not now then
      local time = redis.call('TIME')
      now = time[1] * 1000000 + time[2]
    end
    local exact = function(number) return string.format('%.0f', number) end
";

impl Plain {
    pub(super) fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Plain> {
        let redis = rate_limiting::connection::open(url, options.timeout)?;
        Ok(Plain { redis, quota, options })
    }

    /// Decides by a script that begins with [`ARGUMENTS`] and goes on as told.
    pub(super) async fn by(&self, script: &str, key: &str, cost: u32) -> Decision {
        self.at(self.options.clock.given(), script, key, cost).await
    }

    /// The same by a time of the caller's.
    pub(super) async fn at(
        &self,
        now: Option<u64>,
        script: &str,
        key: &str,
        cost: u32,
    ) -> Decision {
        let asked = self.ask(now, script, key, cost).await;
        self.decision(cost, asked)
    }

    pub(super) async fn ask(
        &self,
        now: Option<u64>,
        script: &str,
        key: &str,
        cost: u32,
    ) -> RedisResult<Answer> {
        let script = Script::new(&format!("{ARGUMENTS}{script}"));
        let mut call = script.key(key);
        call.arg(self.quota.window_micros()).arg(self.quota.price(cost).unwrap_or(0));
        call.arg(self.quota.every_micros()).arg(now.map_or(String::new(), |now| now.to_string()));
        call.arg(self.spare());
        call.invoke_async(&mut self.redis.clone()).await
    }

    /// The answer in full; an error is an outage.
    pub(super) fn decision(&self, cost: u32, asked: RedisResult<Answer>) -> Decision {
        let known = |(allowed, level, full_in)| {
            let allowed = allowed && self.quota.price(cost).is_some();
            Decision::in_state(self.quota, cost, allowed, level, full_in)
        };
        asked.map_or_else(|_| self.in_outage(cost), known)
    }

    pub(super) fn in_outage(&self, cost: u32) -> Decision {
        Decision::in_outage(self.options.outage, self.quota, cost)
    }

    /// What `outage` would decide, whatever the options say.
    pub(super) fn always(&self, outage: Outage, cost: u32) -> Decision {
        Decision::in_outage(outage, self.quota, cost)
    }

    /// What a TTL has to be longer by, in milliseconds.
    pub(super) fn spare(&self) -> u64 {
        self.options.clock.spare().as_millis() as u64
    }
}

/// GCRA as it should be, for decoys that are wrong elsewhere.
pub(super) const RIGHT: &str = r"
    local ahead = math.max((tonumber(redis.call('GET', KEYS[1])) or 0) - now, 0)
    if cost == 0 or ahead + cost > window then
      return {cost == 0 and 1 or 0, math.max(window - ahead, 0), ahead}
    end
    ahead = ahead + cost
    redis.call('SET', KEYS[1], exact(now + ahead), 'PX', math.ceil(ahead / 1000) + 1 + spare)
    return {1, window - ahead, ahead}
";
