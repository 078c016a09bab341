//! Wrong answers whose script is right: what is wrong is where the time comes from, what happens
//! between two steps, and what an error means.

use super::super::plain::{ARGUMENTS, Plain};
use super::RIGHT;
use grading::Decoy;
use rate_limiting::limiter::{Decision, Limiter, Options, Outage, Quota};
use rate_limiting_exercises::token_bucket::check;
use redis::{AsyncCommands, RedisResult};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) fn all() -> Vec<Decoy> {
    grading::decoys![check;
        ClientClock: server_clock,
        GetComputeSet: no_room_between,
        RefillTimer: exact,
        BucketsInMemory: two_processes,
        ExpireApart: cut_everywhere,
        PingsFirst: one_round_trip,
        EvalshaOnly: forgotten_scripts,
        RetriesOutsideTime: outage_closed,
        AlwaysOpen: outage_closed,
        AlwaysClosed: outage_open,
    ]
}

/// The process's own time, in microseconds since 1970.
fn system_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

/// The time is an argument of the script, and it is the client's. What was true when the request
/// began is not when it arrives; and of ten gateways one has a clock that is wrong. Rejected by
/// `server_clock`.
struct ClientClock(Plain);

impl Limiter for ClientClock {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(ClientClock)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let now = self.0.options.clock.given().unwrap_or_else(system_time);
        self.0.at(Some(now), RIGHT, key, cost).await
    }
}

/// HMGET, a little arithmetic, HSET: right, as long as nobody else is at the same key. In a flood,
/// all read the same level and all are allowed. Rejected by `no_room_between`.
struct GetComputeSet(Plain);

impl GetComputeSet {
    async fn ask(&self, key: &str, cost: u32) -> RedisResult<(bool, u64, u64)> {
        let Plain { quota, options, .. } = &self.0;
        let mut redis = self.0.redis.clone();
        let (window, price) = (quota.window_micros(), quota.price(cost).unwrap_or(0));
        let now = match options.clock.given() {
            Some(now) => now,
            None => {
                let (seconds, micros): (u64, u64) =
                    redis::cmd("TIME").query_async(&mut redis).await?;
                seconds * 1_000_000 + micros
            }
        };
        let (level, last): (Option<u64>, Option<u64>) = redis.hmget(key, &["level", "at"]).await?;
        let (level, last) = (level.unwrap_or(window), last.unwrap_or(now));
        let at = last.max(now);
        let level = (level + (at - last)).min(window);
        let full_in = (at - now) + (window - level);
        if price == 0 || price > level {
            return Ok((price == 0, level, full_in));
        }
        let (level, full_in) = (level - price, full_in + price);
        let ttl = full_in.div_ceil(1_000) + 1 + self.0.spare();
        let mut spend = redis::pipe();
        spend.atomic().hset_multiple(key, &[("level", level), ("at", at)]).ignore();
        spend.pexpire(key, ttl as i64).ignore();
        let () = spend.query_async(&mut redis).await?;
        Ok((true, level, full_in))
    }
}

impl Limiter for GetComputeSet {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(GetComputeSet)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        self.0.decision(cost, self.ask(key, cost).await)
    }
}

/// A task for each key puts a token into Redis each `every`, as the picture of the bucket suggests.
/// Between two ticks nothing has come back; two processes tick twice; and each key that was ever
/// seen keeps a timer. Rejected by `exact`.
struct RefillTimer {
    plain: Plain,
    filled: Arc<Mutex<HashSet<String>>>,
}

impl RefillTimer {
    fn refill(&self, key: &str) {
        let mut filled = self.filled.lock().unwrap_or_else(PoisonError::into_inner);
        if !filled.insert(key.to_owned()) {
            return;
        }
        let (redis, key) = (self.plain.redis.clone(), key.to_owned());
        let every = Duration::from_micros(self.plain.quota.every_micros());
        let program = Arc::downgrade(&self.filled);
        tokio::spawn(async move {
            // Until the limiter is dropped.
            while program.upgrade().is_some() {
                tokio::time::sleep(every).await;
                let drop = redis::Script::new(
                    "local spent = tonumber(redis.call('GET', KEYS[1])) or 0
                     if spent > 0 then redis.call('DECR', KEYS[1]) end",
                );
                let dropped: RedisResult<()> =
                    drop.key(&key).invoke_async(&mut redis.clone()).await;
                let _ = dropped;
            }
        });
    }
}

impl Limiter for RefillTimer {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Ok(RefillTimer { plain: Plain::open(url, quota, options)?, filled: Arc::default() })
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        if cost > 0 {
            self.refill(key);
        }
        let script = r"
            local spent = (tonumber(redis.call('GET', KEYS[1])) or 0) * every
            if cost == 0 or spent + cost > window then
              return {cost == 0 and 1 or 0, window - spent, spent}
            end
            spent = spent + cost
            redis.call('SET', KEYS[1], exact(spent / every), 'PX', math.ceil(spent / 1000) + spare)
            return {1, window - spent, spent}";
        self.plain.by(script, key, cost).await
    }
}

/// A map in the process, and a PING, so that Redis is not quite out of it. With four gateways each
/// customer has four times the quota, and after a deployment all of it again. Rejected by
/// `two_processes`.
struct BucketsInMemory(Plain);

type Buckets = HashMap<String, (u64, u64)>;
static BUCKETS: Mutex<Option<Buckets>> = Mutex::new(None);

impl Limiter for BucketsInMemory {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(BucketsInMemory)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let Plain { redis, quota, options } = &self.0;
        let answered: RedisResult<()> = redis.clone().ping().await;
        if answered.is_err() {
            return self.0.in_outage(cost);
        }
        let now = options.clock.given().unwrap_or_else(system_time);
        let (window, price) = (quota.window_micros(), quota.price(cost));
        let mut buckets = BUCKETS.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.get_or_insert_default().entry(key.to_owned()).or_insert((window, now));
        let at = bucket.1.max(now);
        let level = (bucket.0 + (at - bucket.1)).min(window);
        let allowed = price.is_some_and(|price| price <= level);
        *bucket = (if allowed { level - price.unwrap_or(0) } else { level }, at);
        let full_in = (at - now) + (window - bucket.0);
        Decision::in_state(*quota, cost, allowed, bucket.0, full_in)
    }
}

/// The script, and then PEXPIRE. Where the connection breaks between the two, the bucket stays for
/// ever. Rejected by `cut_everywhere`.
struct ExpireApart(Plain);

impl Limiter for ExpireApart {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(ExpireApart)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let forever = RIGHT.replace("redis.call('PEXPIRE'", "redis.call('PTTL', KEYS[1]) --");
        let decision = self.0.by(&forever, key, cost).await;
        let ttl = decision.reset_after.as_millis() as u64 + 1 + self.0.spare();
        let expired: RedisResult<()> = self.0.redis.clone().pexpire(key, ttl as i64).await;
        let _ = expired;
        decision
    }
}

/// A PING before each decision, as connection pools have it, to be sure that Redis is there. It is
/// twice the wait for each request of the shop, and Redis may be gone a moment later all the same.
/// Rejected by `one_round_trip`.
struct PingsFirst(Plain);

impl Limiter for PingsFirst {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(PingsFirst)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let there: RedisResult<()> = self.0.redis.clone().ping().await;
        match there {
            Ok(()) => self.0.by(RIGHT, key, cost).await,
            Err(_) => self.0.in_outage(cost),
        }
    }
}

/// EVALSHA with the hash of a script that was loaded at the first decision. After a restart of
/// Redis, or SCRIPT FLUSH, it is an outage until the next deployment. Rejected by
/// `forgotten_scripts`.
struct EvalshaOnly {
    plain: Plain,
    hash: tokio::sync::OnceCell<String>,
}

impl EvalshaOnly {
    async fn ask(&self, key: &str, cost: u32) -> RedisResult<(bool, u64, u64)> {
        let Plain { quota, options, .. } = &self.plain;
        let mut redis = self.plain.redis.clone();
        let load = || async {
            let script = format!("{ARGUMENTS}{RIGHT}");
            redis::cmd("SCRIPT").arg("LOAD").arg(script).query_async(&mut redis.clone()).await
        };
        let hash: &String = self.hash.get_or_try_init(load).await?;
        let mut call = redis::cmd("EVALSHA");
        call.arg(hash).arg(1).arg(key).arg(quota.window_micros());
        call.arg(quota.price(cost).unwrap_or(0)).arg(quota.every_micros());
        call.arg(options.clock.given().map_or(String::new(), |now| now.to_string()));
        call.arg(self.plain.spare()).query_async(&mut redis).await
    }
}

impl Limiter for EvalshaOnly {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        let plain = Plain::open(url, quota, options)?;
        Ok(EvalshaOnly { plain, hash: tokio::sync::OnceCell::new() })
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        self.plain.decision(cost, self.ask(key, cost).await)
    }
}

/// Tries five times, with a pause in between, before it believes that Redis is gone. Each caller
/// waits for all of that, and in front of the limiter the requests pile up. Rejected by
/// `outage_closed`.
struct RetriesOutsideTime(Plain);

impl Limiter for RetriesOutsideTime {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(RetriesOutsideTime)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        for _ in 0..5 {
            let asked = self.0.ask(self.0.options.clock.given(), RIGHT, key, cost).await;
            if asked.is_ok() {
                return self.0.decision(cost, asked);
            }
            tokio::time::sleep(self.0.options.timeout * 2).await;
        }
        self.0.in_outage(cost)
    }
}

/// An error is "allowed": rather one request too many than an outage. Whoever takes Redis away may
/// then guess passwords as fast as he likes. Rejected by `outage_closed`.
struct AlwaysOpen(Plain);

impl Limiter for AlwaysOpen {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(AlwaysOpen)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        match self.0.ask(self.0.options.clock.given(), RIGHT, key, cost).await {
            Err(_) => self.0.always(Outage::Open, cost),
            answer => self.0.decision(cost, answer),
        }
    }
}

/// An error is "refused", as `unwrap_or(false)` has it. The limiter was to protect the shop, and
/// closes it. Rejected by `outage_open`.
struct AlwaysClosed(Plain);

impl Limiter for AlwaysClosed {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(AlwaysClosed)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        match self.0.ask(self.0.options.clock.given(), RIGHT, key, cost).await {
            Err(_) => self.0.always(Outage::Closed, cost),
            answer => self.0.decision(cost, answer),
        }
    }
}
