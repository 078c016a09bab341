//! 03.4 · Token bucket: against two bursts at the edge of a window, and fractions that are lost.
//!
//! ```console
//! $ cargo run --example token_bucket
//! ```
//!
//! Ends by itself after some three seconds. `SEED=7` draws other requests.

use anyhow::Context;
use page::count;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rate_limiting::connection;
use rate_limiting::limiter::{Clock, Decision, GivenClock, Limiter, Options, Quota};
use rate_limiting::token_bucket::TokenBucket;
use redis::aio::ConnectionManager;
use redis::{RedisResult, Script};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use testbed::load::{Load, Zipf};
use testbed::redis::Redis;

/// Nothing is given up for lost on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("03.4 token_bucket · a burst at once, and then a rate");
    let seed = page::seed()?;
    let redis = testbed::redis::private().await?;
    page::note(redis.origin());
    page::note(format_args!("The requests are drawn from seed {seed}; SEED=<n> draws others."));

    edges(&redis, seed).await?;
    polls(&redis).await?;
    for_real(&redis, seed).await?;

    page::next(&[
        ("cargo lab start token_bucket", "write it yourself, with tests that race you"),
        ("cargo run --example gcra", "the same bucket in one number"),
    ]);
    Ok(())
}

/// A limiter whose clock the example sets, and the time since its beginning.
struct Replay<L> {
    limiter: L,
    clock: GivenClock,
}

impl<L: Limiter> Replay<L> {
    fn on(redis: &Redis, quota: Quota) -> anyhow::Result<Replay<L>> {
        let clock = GivenClock::default();
        let given = Clock::Given(clock.clone());
        let options = Options { timeout: TIMEOUT, clock: given, ..Options::default() };
        Ok(Replay { limiter: L::open(redis.url(), quota, options)?, clock })
    }

    async fn allowed(&self, micros: u64, key: &str) -> bool {
        // The beginning is the beginning of a second, as it is for a counter by the second.
        self.clock.set(1_790_000_000_000_000 + micros);
        self.limiter.decide(key, 1).await.allowed
    }
}

/// What the two limiters that are not buckets have in common.
struct Naive {
    redis: ConnectionManager,
    quota: Quota,
    options: Options,
}

impl Naive {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Naive> {
        Ok(Naive { redis: connection::open(url, options.timeout)?, quota, options })
    }

    async fn by(&self, script: &Script, key: &str) -> Decision {
        let mut call = script.key(key);
        call.arg(self.quota.burst()).arg(self.quota.every_micros());
        call.arg(self.options.clock.given().unwrap_or_default());
        let allowed: RedisResult<bool> = call.invoke_async(&mut self.redis.clone()).await;
        let outage = Decision::in_outage(self.options.outage, self.quota, 1);
        allowed.map_or(outage, |allowed| Decision { allowed, ..outage })
    }
}

/// A counter for each window, with a TTL: lesson 03.1.
struct FixedWindow(Naive);

impl Limiter for FixedWindow {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<FixedWindow> {
        Naive::open(url, quota, options).map(FixedWindow)
    }

    async fn decide(&self, key: &str, _: u32) -> Decision {
        let script = Script::new(
            r"local window = ARGV[1] * ARGV[2]
              local key = KEYS[1] .. ':' .. string.format('%.0f', math.floor(ARGV[3] / window))
              local count = redis.call('INCR', key)
              if count == 1 then redis.call('EXPIRE', key, 60) end
              return count <= tonumber(ARGV[1])",
        );
        self.0.by(&script, key).await
    }
}

// ANCHOR: rounded
/// A bucket of whole tokens, which adds at each look those that have come since the last.
struct WholeTokens(Naive);

impl Limiter for WholeTokens {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<WholeTokens> {
        Naive::open(url, quota, options).map(WholeTokens)
    }

    async fn decide(&self, key: &str, _: u32) -> Decision {
        let script = Script::new(
            r"local burst, every, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
              local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
              local tokens, at = tonumber(bucket[1]) or burst, tonumber(bucket[2]) or now
              tokens = math.min(tokens + math.floor((now - at) / every), burst)
              local allowed = tokens >= 1
              if allowed then tokens = tokens - 1 end
              redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', string.format('%.0f', now))
              redis.call('EXPIRE', KEYS[1], 60)
              return allowed",
        );
        self.0.by(&script, key).await
    }
}
// ANCHOR_END: rounded

/// Part 1: who sends all of it at the edge of a window.
async fn edges(redis: &Redis, seed: u64) -> anyhow::Result<()> {
    const SECONDS: u64 = 20;
    let quota = Quota::per_second(10, 10)?;
    page::part(1, "Ten a second, and a bot that knows when the second ends");
    page::note("It sends ten requests in the last 5 ms of each second, and ten in the");
    page::note("first 5 ms of the next, for 20 s. The clock is replayed, so it takes no time.");

    let mut random = StdRng::seed_from_u64(seed);
    let mut requests = Vec::new();
    for second in 1..=SECONDS {
        let edge = second * 1_000_000;
        requests.extend((0..10).map(|_| edge - random.random_range(1..5_000)));
        requests.extend((0..10).map(|_| edge + random.random_range(0..5_000)));
    }
    requests.sort_unstable();
    let window = passed(&Replay::<FixedWindow>::on(redis, quota)?, &requests, "window").await;
    let bucket = passed(&Replay::<TokenBucket>::on(redis, quota)?, &requests, "bucket").await;

    page::heads(&["counter", "token bucket"]);
    let row = |what: &str, of: &dyn Fn(&[u64]) -> usize| {
        page::row(what, count(of(&window) as u64), &[count(of(&bucket) as u64)], "");
    };
    row("requests", &|_| requests.len());
    row("allowed", &<[u64]>::len);
    row("most of them in 10 ms", &|allowed| most_within(allowed, 10_000));
    page::note("Both mean ten a second. The counter has forgotten the last second when the");
    page::note("next begins. The bucket has no seconds: what is spent comes back one by one.");
    Ok(())
}

/// The times of those requests that were allowed.
async fn passed<L: Limiter>(replay: &Replay<L>, requests: &[u64], key: &str) -> Vec<u64> {
    let mut allowed = Vec::new();
    for at in requests {
        if replay.allowed(*at, key).await {
            allowed.push(*at);
        }
    }
    allowed
}

fn most_within(times: &[u64], micros: u64) -> usize {
    let from = |first: usize| times[first..].partition_point(|at| *at < times[first] + micros);
    (0..times.len()).map(from).max().unwrap_or(0)
}

/// Part 2: who asks so often that no token comes in between.
async fn polls(redis: &Redis) -> anyhow::Result<()> {
    const POLLS: u64 = 2_000;
    let quota = Quota::new(1, Duration::from_millis(100))?;
    page::part(2, "One each 100 ms, and a client that asks every millisecond");
    page::note("For 2 s, on a clock that is replayed.");
    let times: Vec<u64> = (0..POLLS).map(|milli| milli * 1_000).collect();
    let rounded = passed(&Replay::<WholeTokens>::on(redis, quota)?, &times, "rounded").await;
    let exact = passed(&Replay::<TokenBucket>::on(redis, quota)?, &times, "exact").await;

    page::heads(&["whole tokens", "token bucket"]);
    page::row("polls", count(POLLS), &[count(POLLS)], "");
    page::row("allowed", count(rounded.len() as u64), &[count(exact.len() as u64)], "");
    page::note("Of a millisecond comes a hundredth of a token. Rounded down it is none, and");
    page::note("whoever writes the time of each look starts anew. This one counts in");
    page::note("microseconds of refill, and a look writes nothing.");
    Ok(())
}

/// Part 3: by Redis's own clock, under load.
async fn for_real(redis: &Redis, seed: u64) -> anyhow::Result<()> {
    const RATE: u32 = 100;
    const BURST: u32 = 50;
    page::part(3, "By Redis's own clock: 100 a second, 50 at once");
    page::note("1,000 requests a second for 1.5 s, which do not wait for each other.");
    let options = Options { timeout: TIMEOUT, ..Options::default() };
    let bucket = TokenBucket::open(redis.url(), Quota::per_second(RATE, BURST)?, options)?;
    let bucket = Arc::new(bucket);
    let allowed = Arc::new(AtomicU64::new(0));
    let duration = Duration::from_millis(1_500);
    let load = Load { rate: 1_000.0, duration, seed, keys: Zipf::new(1, 1.0) };
    let began = Instant::now();
    let report = load
        .run(|_| {
            let (bucket, allowed) = (Arc::clone(&bucket), Arc::clone(&allowed));
            async move {
                let decision = bucket.decide("partner:7", 1).await;
                allowed.fetch_add(u64::from(decision.allowed), Ordering::Relaxed);
                Ok::<_, std::convert::Infallible>(())
            }
        })
        .await;
    let most = u64::from(BURST) + began.elapsed().as_micros() as u64 * u64::from(RATE) / 1_000_000;
    let metrics = bucket.metrics();
    anyhow::ensure!(metrics.by_outage == 0, "Redis did not answer in time");

    page::gap();
    page::figure("asked", count(report.offered));
    page::figure("allowed", count(allowed.load(Ordering::Relaxed)));
    page::figure("the burst, and what came back in that time", count(most));
    page::figure("half of the decisions took at most (p50)", page::millis(metrics.p50));
    page::figure("99 of 100 at most (p99)", page::millis(metrics.p99));
    let left = redis::Client::open(redis.url())?;
    let mut left = left.get_multiplexed_async_connection().await?;
    let ttl: i64 = redis::AsyncCommands::pttl(&mut left, "partner:7").await?;
    let ttl = u64::try_from(ttl).context("the bucket has a TTL")?;
    page::figure("the bucket is forgotten when it is full, in", format!("{ttl} ms"));
    Ok(())
}
