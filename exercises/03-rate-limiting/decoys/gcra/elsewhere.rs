//! Wrong answers whose script is right: what is wrong is where the time comes from, what happens
//! between two steps, and what a lost connection means.

use super::super::plain::{Plain, RIGHT};
use grading::Decoy;
use rate_limiting::limiter::{Decision, Limiter, Options, Outage, Quota};
use rate_limiting_exercises::gcra::check;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, RedisResult, SetExpiry, SetOptions};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::OnceCell;

pub(super) fn all() -> Vec<Decoy> {
    grading::decoys![check;
        ClientClock: server_clock,
        GetComputeSet: no_room_between,
        LockAround: cut_everywhere,
        CompareAndSet: one_round_trip,
        KeyOfEachProcess: two_processes,
        TidiesKeys: keys_apart,
        LoadsOnce: forgotten_scripts,
        ConnectsOnce: broken_connection,
        NoTimeout: outage_open,
        ErrorIsRefusal: outage_open,
        DefaultsToAllow: outage_closed,
    ]
}

/// The process's own time, in microseconds since 1970.
fn system_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

/// The client's time as an argument of the script. Of two gateways whose clocks are five seconds
/// apart, one sees a TAT that is always too far ahead, and refuses everybody. Rejected by
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

impl Plain {
    /// The server's time, or the given one.
    async fn time(&self) -> RedisResult<u64> {
        if let Some(now) = self.options.clock.given() {
            return Ok(now);
        }
        let mut redis = self.redis.clone();
        let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut redis).await?;
        Ok(seconds * 1_000_000 + micros)
    }

    /// GET, compute, SET: right, where nobody else is at the same key.
    async fn in_steps(&self, key: &str, cost: u32) -> RedisResult<(bool, u64, u64)> {
        let mut redis = self.redis.clone();
        let (window, price) = (self.quota.window_micros(), self.quota.price(cost).unwrap_or(0));
        let now = self.time().await?;
        let tat: Option<u64> = redis.get(key).await?;
        let ahead = tat.unwrap_or(0).saturating_sub(now);
        if price == 0 || ahead + price > window {
            return Ok((price == 0, window.saturating_sub(ahead), ahead));
        }
        let ahead = ahead + price;
        let ttl = SetExpiry::PX(ahead.div_ceil(1_000) + 1 + self.spare());
        let options = SetOptions::default().with_expiration(ttl);
        let () = redis.set_options(key, now + ahead, options).await?;
        Ok((true, window - ahead, ahead))
    }
}

/// GET, a subtraction, SET, all of them right. Between GET and SET there is room for everybody
/// else: of fifty who come together, fifty read the same TAT. Rejected by `no_room_between`.
struct GetComputeSet(Plain);

impl Limiter for GetComputeSet {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(GetComputeSet)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        self.0.decision(cost, self.0.in_steps(key, cost).await)
    }
}

/// The same within a lock at a key beside it. Who is cut off before the end leaves the lock, which
/// has no TTL, and its key is refused for ever. Rejected by `cut_everywhere`.
struct LockAround(Plain);

impl Limiter for LockAround {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(LockAround)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let (mut redis, lock) = (self.0.redis.clone(), format!("{key}:lock"));
        for _ in 0..50 {
            let locked: RedisResult<bool> = redis.set_nx(&lock, 1).await;
            match locked {
                Err(_) => break,
                Ok(false) => tokio::time::sleep(Duration::from_millis(2)).await,
                Ok(true) => {
                    let asked = self.0.in_steps(key, cost).await;
                    let unlocked: RedisResult<()> = redis.del(&lock).await;
                    let _ = unlocked;
                    return self.0.decision(cost, asked);
                }
            }
        }
        self.0.in_outage(cost)
    }
}

/// GET, compute, and a script that sets the TAT if it is still the one that was read; or else again.
/// It never gives too much. But it is three round trips at the best of times, and more for each
/// client at the same key: the hotter, the slower. Rejected by `one_round_trip`.
struct CompareAndSet(Plain);

impl CompareAndSet {
    async fn ask(&self, key: &str, cost: u32) -> RedisResult<(bool, u64, u64)> {
        let mut redis = self.0.redis.clone();
        let Plain { quota, .. } = &self.0;
        let (window, price) = (quota.window_micros(), quota.price(cost).unwrap_or(0));
        loop {
            let now = self.0.time().await?;
            let tat: Option<u64> = redis.get(key).await?;
            let ahead = tat.unwrap_or(0).saturating_sub(now);
            if price == 0 || ahead + price > window {
                return Ok((price == 0, window.saturating_sub(ahead), ahead));
            }
            let ahead = ahead + price;
            let swap = redis::Script::new(
                r"if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
                  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
                  return 1",
            );
            let mut swap = swap.key(key);
            swap.arg(tat.map_or(String::new(), |tat| tat.to_string())).arg(now + ahead);
            swap.arg(ahead.div_ceil(1_000) + 1 + self.0.spare());
            if swap.invoke_async(&mut redis).await? {
                return Ok((true, window - ahead, ahead));
            }
        }
    }
}

impl Limiter for CompareAndSet {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(CompareAndSet)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        self.0.decision(cost, self.ask(key, cost).await)
    }
}

/// Each process counts for itself, at a key that holds its number: no two of them ever meet, so
/// nothing need be atomic. And nothing is shared. Rejected by `two_processes`.
struct KeyOfEachProcess(Plain);

impl Limiter for KeyOfEachProcess {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(KeyOfEachProcess)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        self.0.by(RIGHT, &format!("{key}:{}", std::process::id()), cost).await
    }
}

/// Tidies its keys up: lower case, and nothing after a colon but the first part. Two users are then
/// one. Rejected by `keys_apart`.
struct TidiesKeys(Plain);

impl Limiter for TidiesKeys {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(TidiesKeys)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let tidy: Vec<String> = key.split(':').take(2).map(str::to_lowercase).collect();
        self.0.by(RIGHT, &tidy.join(":"), cost).await
    }
}

/// Loads its script at the first decision and remembers that it has. Redis forgets it at the next
/// restart, and the limiter does not. Rejected by `forgotten_scripts`.
struct LoadsOnce {
    plain: Plain,
    hash: OnceCell<String>,
}

impl LoadsOnce {
    async fn ask(&self, key: &str, cost: u32) -> RedisResult<(bool, u64, u64)> {
        let Plain { quota, options, .. } = &self.plain;
        let mut redis = self.plain.redis.clone();
        let load = || async {
            let script = format!("{}{RIGHT}", super::super::plain::ARGUMENTS);
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

impl Limiter for LoadsOnce {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Ok(LoadsOnce { plain: Plain::open(url, quota, options)?, hash: OnceCell::new() })
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        self.plain.decision(cost, self.ask(key, cost).await)
    }
}

/// One multiplexed connection, made at the first use and kept. It never mends: after one restart of
/// Redis there is an outage until the next deployment. Rejected by `broken_connection`.
struct ConnectsOnce {
    plain: Plain,
    client: redis::Client,
    connection: OnceCell<MultiplexedConnection>,
}

impl ConnectsOnce {
    async fn ask(&self, key: &str, cost: u32) -> RedisResult<(bool, u64, u64)> {
        let Plain { quota, options, .. } = &self.plain;
        let connect = || self.client.get_multiplexed_async_connection();
        let mut redis = self.connection.get_or_try_init(connect).await?.clone();
        redis.set_response_timeout(options.timeout);
        let script = redis::Script::new(&format!("{}{RIGHT}", super::super::plain::ARGUMENTS));
        let mut call = script.key(key);
        call.arg(quota.window_micros()).arg(quota.price(cost).unwrap_or(0));
        call.arg(quota.every_micros());
        call.arg(options.clock.given().map_or(String::new(), |now| now.to_string()));
        call.arg(self.plain.spare()).invoke_async(&mut redis).await
    }
}

impl Limiter for ConnectsOnce {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        let (client, connection) = (redis::Client::open(url)?, OnceCell::new());
        Ok(ConnectsOnce { plain: Plain::open(url, quota, options)?, client, connection })
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        self.plain.decision(cost, self.ask(key, cost).await)
    }
}

/// Waits for Redis as long as Redis likes. A server that hangs stops every request of the shop, at
/// the limiter that was to protect it. Rejected by `outage_open`.
struct NoTimeout(Plain);

impl Limiter for NoTimeout {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        let patient = Options { timeout: Duration::from_secs(3_600), ..options };
        Plain::open(url, quota, patient).map(NoTimeout)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        self.0.by(RIGHT, key, cost).await
    }
}

/// An error of Redis is "refused", whatever the options say. Rejected by `outage_open`.
struct ErrorIsRefusal(Plain);

impl Limiter for ErrorIsRefusal {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(ErrorIsRefusal)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        match self.0.ask(self.0.options.clock.given(), RIGHT, key, cost).await {
            Err(_) => self.0.always(Outage::Closed, cost),
            answer => self.0.decision(cost, answer),
        }
    }
}

/// `unwrap_or_default` on the answer: nothing is known of the key, so it has all of its burst, and
/// says that Redis said so. Rejected by `outage_closed`.
struct DefaultsToAllow(Plain);

impl Limiter for DefaultsToAllow {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Self> {
        Plain::open(url, quota, options).map(DefaultsToAllow)
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let unknown = (true, self.0.quota.window_micros(), 0);
        let asked = self.0.ask(self.0.options.clock.given(), RIGHT, key, cost).await;
        self.0.decision(cost, Ok(asked.unwrap_or(unknown)))
    }
}
