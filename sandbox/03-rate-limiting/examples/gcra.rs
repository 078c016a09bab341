//! 03.6 · GCRA: one number in one step, what things cost, and a limiter without its Redis.
//!
//! ```console
//! $ cargo run --example gcra
//! ```
//!
//! Ends by itself after some three seconds. `SEED=7` draws other requests.

use page::count;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rate_limiting::connection;
use rate_limiting::gcra::{Gcra, Local};
use rate_limiting::limiter::{By, Decision, Limiter, Options, Outage, Quota};
use redis::aio::ConnectionManager;
use redis::{AsyncCommands, RedisResult};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use testbed::gate::Gate;
use testbed::load::{Load, Zipf};
use testbed::proxy::{Proxy, Request};
use testbed::redis::Redis;
use testbed::together;

const BURST: u32 = 5;
const CLIENTS: usize = 20;
const ROUNDS: usize = 20;

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("03.6 gcra · a token bucket in one number");
    let seed = page::seed()?;
    let redis = testbed::redis::private().await?;
    page::note(redis.origin());
    page::note(format_args!("The requests are drawn from seed {seed}; SEED=<n> draws others."));

    at_once(&redis).await?;
    costs(&redis, seed).await?;
    outage(&redis, seed).await?;

    page::next(&[
        ("cargo lab start gcra", "write it yourself, with tests that race you"),
        ("cargo run --example http_limits", "how to tell a client to come back later"),
    ]);
    Ok(())
}

/// Nothing comes back while it runs, and nothing is given up for lost.
fn slow(burst: u32) -> (Quota, Options) {
    let quota = Quota::new(burst, Duration::from_secs(60)).expect("less than a year");
    (quota, Options { timeout: Duration::from_secs(5), ..Options::default() })
}

// ANCHOR: naive
/// GCRA as it is often written: read, compute, write.
struct Naive {
    redis: ConnectionManager,
    quota: Quota,
    options: Options,
}

impl Naive {
    async fn try_to(&self, key: &str, cost: u32) -> RedisResult<bool> {
        let mut redis = self.redis.clone();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = now.as_micros() as u64;
        let tat: Option<u64> = redis.get(key).await?;
        let tat = tat.unwrap_or(0).max(now) + u64::from(cost) * self.quota.every_micros();
        let allowed = tat <= now + self.quota.window_micros();
        if allowed {
            let () = redis.pset_ex(key, tat, (tat - now).div_ceil(1_000)).await?;
        }
        Ok(allowed)
    }
}
// ANCHOR_END: naive

impl Limiter for Naive {
    fn open(url: &str, quota: Quota, options: Options) -> RedisResult<Naive> {
        Ok(Naive { redis: connection::open(url, options.timeout)?, quota, options })
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let outage = Decision::in_outage(self.options.outage, self.quota, cost);
        let tried = self.try_to(key, cost).await;
        tried.map_or(outage, |allowed| Decision { allowed, by: By::State, ..outage })
    }
}

/// Part 1: twenty clients who ask at the same moment.
async fn at_once(redis: &Redis) -> anyhow::Result<()> {
    page::part(1, "Twenty clients at once, and five units");
    page::note("Each client is at a barrier before the request that writes, until all have");
    page::note("come there. Left to chance, they would meet on a bad day in production.");
    let naive = rush::<Naive>(redis, "naive", |request| request.is("PSETEX")).await?;
    let gcra = rush::<Gcra>(redis, "gcra", |request| request.is("EVALSHA")).await?;
    page::heads(&["GET, then SET", "one script"]);
    let times = |what: usize| format!("{} of {}", what, CLIENTS * ROUNDS);
    page::row("allowed in 20 rounds", times(naive), &[times(gcra)], "");
    let most = BURST as usize * ROUNDS;
    page::row("the quota", most, &[most.to_string()], "");
    Ok(())
}

/// How many were allowed in all rounds.
async fn rush<L: Limiter>(
    redis: &Redis,
    prefix: &str,
    writes: impl Fn(&Request) -> bool + Copy + Send + Sync + 'static,
) -> anyhow::Result<usize> {
    let (quota, options) = slow(BURST);
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let proxy = Proxy::before(redis.url()).await?;
        let limiter = Arc::new(L::open(proxy.url(), quota, options.clone())?);
        // Connected, and the script known, before the race.
        let warm = limiter.decide(&format!("{prefix}:warm:{client}"), 1).await;
        anyhow::ensure!(warm.by == By::State, "Redis did not answer");
        clients.push((proxy, limiter));
    }
    let mut allowed = 0;
    for round in 0..ROUNDS {
        let gate = Gate::barrier(CLIENTS);
        let key = format!("{prefix}:{round}");
        let asking = clients.iter().map(|(proxy, limiter)| {
            let _ = proxy.hold_at(&gate, writes);
            let (limiter, key) = (Arc::clone(limiter), key.clone());
            async move { limiter.decide(&key, 1).await.allowed }
        });
        allowed += together(asking).await.into_iter().filter(|allowed| *allowed).count();
    }
    Ok(allowed)
}

/// Part 2: requests that are not worth the same.
async fn costs(redis: &Redis, seed: u64) -> anyhow::Result<()> {
    const REQUESTS: usize = 400;
    /// What it costs the shop, and how many of a hundred requests it is.
    const KINDS: [(&str, u32, u32); 3] = [("page", 1, 70), ("search", 5, 20), ("checkout", 10, 10)];
    page::part(2, "What a request costs");
    page::note("A page costs the shop 1, a search 5, a checkout 10. A partner has 200 units,");
    page::note("and sends 400 requests. What passes, if each counts one, and by its cost?");
    let (quota, options) = slow(200);
    let gcra = Gcra::open(redis.url(), quota, options)?;
    let mut random = StdRng::seed_from_u64(seed);
    let mut passed = [[0_u32; 3]; 2];
    for _ in 0..REQUESTS {
        let mut dice = random.random_range(0..100);
        let drawn = |(_, _, share): &(&str, u32, u32)| {
            let hit = dice < *share;
            dice = dice.saturating_sub(*share);
            hit
        };
        let kind = KINDS.iter().position(drawn).unwrap_or(0);
        for (by_cost, key) in [(0, "partner, each one"), (1, "partner, by cost")] {
            let cost = if by_cost == 1 { KINDS[kind].1 } else { 1 };
            passed[by_cost][kind] += u32::from(gcra.decide(key, cost).await.allowed);
        }
    }
    page::heads(&["each counts 1", "by cost"]);
    for (kind, (name, cost, _)) in KINDS.iter().enumerate() {
        let what = format!("passed: {name}, costs {cost}");
        page::row(&what, passed[0][kind], &[passed[1][kind].to_string()], "");
    }
    let work = |passed: [u32; 3]| -> u32 {
        KINDS.iter().zip(passed).map(|((_, cost, _), passed)| cost * passed).sum()
    };
    page::row("work for the shop, of 200", work(passed[0]), &[work(passed[1]).to_string()], "");
    Ok(())
}

/// One decision, as its caller saw it.
struct Answer {
    began: Instant,
    ended: Instant,
    decision: Decision,
}

/// Part 3: Redis is gone for a while, under load.
async fn outage(redis: &Redis, seed: u64) -> anyhow::Result<()> {
    page::part(3, "Redis is lost, and comes back");
    // Another's server is not ours to kill. There, a proxy before it refuses connections.
    let proxy = match redis.pid() {
        Some(_) => None,
        None => Some(Proxy::before(redis.url()).await?),
    };
    page::note(match proxy {
        None => "500 requests/s for 1.2 s. After 0.4 s Redis is killed, 0.4 s later restarted.",
        Some(_) => "500 requests/s for 1.2 s. After 0.4 s a proxy cuts Redis off, for 0.4 s.",
    });
    page::note("20 at once and 20 a second are allowed, to one limiter that is open without");
    page::note("Redis, and to one that is closed.");
    let url = proxy.as_ref().map_or(redis.url(), Proxy::url);
    let limiter = |outage| {
        let options = Options { outage, ..Options::default() };
        Gcra::open(url, Quota::per_second(20, 20)?, options).map_err(anyhow::Error::from)
    };
    let limiters = [Arc::new(limiter(Outage::Open)?), Arc::new(limiter(Outage::Closed)?)];
    let answers: Arc<[Mutex<Vec<Answer>>; 2]> = Arc::default();

    let duration = Duration::from_millis(1_200);
    let work = Load { rate: 500.0, duration, seed, keys: Zipf::new(1, 1.0) };
    let asking = work.run(|arrival| {
        let (limiters, answers) = (limiters.clone(), Arc::clone(&answers));
        async move {
            let which = arrival.index as usize % 2;
            let began = Instant::now();
            let decision = limiters[which].decide(["open", "closed"][which], 1).await;
            let answer = Answer { began, ended: Instant::now(), decision };
            answers[which].lock().unwrap_or_else(PoisonError::into_inner).push(answer);
            Ok::<_, std::convert::Infallible>(())
        }
    });
    let losing = async {
        let pause = Duration::from_millis(400);
        tokio::time::sleep(pause).await;
        match &proxy {
            None => redis.kill().await?,
            Some(proxy) => proxy.refuse(),
        }
        tokio::time::sleep(pause).await;
        match &proxy {
            None => redis.restart().await?,
            Some(proxy) => proxy.accept().await?,
        }
        anyhow::Ok(Instant::now())
    };
    let (_, back) = tokio::join!(asking, losing);
    let back = back?;

    page::heads(&["open", "closed"]);
    let row = |what: &str, of: &dyn Fn(&[Answer]) -> String| {
        let [open, closed] = [&answers[0], &answers[1]]
            .map(|answers| of(&answers.lock().unwrap_or_else(PoisonError::into_inner)));
        page::row(what, open, &[closed], "");
    };
    let number = |answers: &[Answer], which: &dyn Fn(&Decision) -> bool| {
        count(answers.iter().filter(|answer| which(&answer.decision)).count() as u64)
    };
    row("asked", &|answers| count(answers.len() as u64));
    row("allowed by Redis", &|all| number(all, &|one| one.allowed && one.by == By::State));
    row("refused by Redis", &|all| number(all, &|one| !one.allowed && one.by == By::State));
    row("allowed without Redis", &|all| number(all, &|one| one.allowed && one.by == By::Outage));
    row("refused without Redis", &|all| number(all, &|one| !one.allowed && one.by == By::Outage));
    row("slowest decision", &|answers| {
        let slowest = answers.iter().map(|answer| answer.ended - answer.began).max();
        page::millis(slowest.unwrap_or_default())
    });
    row("Redis decides again after", &|answers| {
        let of_redis = answers.iter().filter(|answer| answer.decision.by == By::State);
        let first = of_redis.map(|answer| answer.ended).filter(|ended| *ended >= back).min();
        first.map_or("never".to_owned(), |first| page::millis(first - back))
    });
    page::note("A limiter's metrics count what it decided blindly: watch that number.");
    in_memory()
}

/// What a decision takes where there is no Redis to ask.
fn in_memory() -> anyhow::Result<()> {
    const DECISIONS: u32 = 100_000;
    let local = Local::new(Quota::new(u32::MAX, Duration::from_micros(1))?, 1_000);
    let began = Instant::now();
    for _ in 0..DECISIONS {
        anyhow::ensure!(local.decide("partner:7", 1).allowed, "its burst is large enough");
    }
    let each = began.elapsed() / DECISIONS;
    page::note(format_args!(
        "In memory, for one process alone, a decision takes {each:?}, unoptimised."
    ));
    Ok(())
}
