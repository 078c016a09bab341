//! 01.5 · Stampede: 200 callers of a cold key, a hot key that expires, a leader that is killed.
//!
//! ```console
//! $ cargo run --example stampede
//! ```
//!
//! Ends by itself after some eight seconds. It starts itself once more, for there are races that
//! only two processes can run: see `second_process`.

use anyhow::Context;
use caching::cache_aside::{self, CacheAside, LeasedCache};
use caching::stampede::{CoalescingCache, Options, ProtectedCache, Scope};
use caching_examples::second_process::{self, Callers, Order, SecondProcess};
use redis::AsyncCommands;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testbed::load::{Load, Report, Zipf};
use testbed::origin::{Origin, OriginDown};
use testbed::redis::Redis;
use tokio::task::JoinSet;

const CALLERS: usize = 200;
const LOAD: Duration = Duration::from_millis(50);
const LEASE: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_millis(600);

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    if let Some(order) = second_process::order()? {
        return second_process::obey(order).await;
    }
    page::title("01.5 stampede · when the hottest key expires, one loads and the others wait");
    let seed = page::seed()?;
    let redis = testbed::redis::private().await?;
    page::note(redis.origin());
    page::note("The database is simulated: it is in memory, and each load takes 50 ms.");

    cold_key(&redis).await?;
    hot_key(&redis, seed).await?;
    lost_leader(&redis).await?;

    page::next(&[
        ("cargo lab start stampede", "write it yourself, while leaders are killed"),
        ("cargo bench -p caching", "what a hit costs, beside moka and cached"),
    ]);
    Ok(())
}

fn order(redis: &Redis, leases: bool, callers: usize) -> Order {
    Order { url: redis.url().to_owned(), leases, callers, load: LOAD, lease: LEASE }
}

/// Part 1: nobody has the key, and 200 want it at once.
async fn cold_key(redis: &Redis) -> anyhow::Result<()> {
    page::part(1, "200 callers of a cold key, at once");
    let unprotected = unprotected(redis).await?;
    let one_process = Callers::ready(order(redis, false, CALLERS)).await?.call("cold").await?;
    let without_leases = two_processes(redis, false).await?;
    let with_leases = two_processes(redis, true).await?;

    page::gap();
    let loads = |n: u64| format!("{n} load{}", if n == 1 { "" } else { "s" });
    page::figure("cache-aside, one process", loads(unprotected));
    page::figure("single flight, one process", loads(one_process.loads));
    page::figure("single flight, two processes of 100 callers", loads(without_leases));
    page::figure("single flight and leases, two processes", loads(with_leases));
    page::note("Single flight ends where the process does. The lease is in Redis.");
    Ok(())
}

/// The last lesson's cache: it tells the truth, and lets everybody load.
async fn unprotected(redis: &Redis) -> anyhow::Result<u64> {
    let options = cache_aside::Options { timeout: LEASE, ..cache_aside::Options::default() };
    let cache = Arc::new(LeasedCache::open(redis.url(), options)?);
    let database = database();
    let mut calls = JoinSet::new();
    for _ in 0..CALLERS {
        let (cache, load) = (cache.clone(), load(database.clone()));
        calls.spawn(async move { cache.get("unprotected", load).await });
    }
    while let Some(call) = calls.join_next().await {
        call??;
    }
    Ok(database.loads())
}

/// The loads of both processes, for half of the callers each.
async fn two_processes(redis: &Redis, leases: bool) -> anyhow::Result<u64> {
    let order = order(redis, leases, CALLERS / 2);
    let mut second = SecondProcess::start(&order, &[]).await?;
    let first = Callers::ready(order).await?;
    let key = format!("two processes, leases: {leases}");
    second.call(&key)?;
    let (ours, theirs) = (first.call(&key).await?, second.outcome().await?);
    anyhow::ensure!(ours.answered + theirs.answered == CALLERS, "some callers got no value");
    Ok(ours.loads + theirs.loads)
}

fn database() -> Origin<String> {
    let database = Origin::new();
    database.write("hot", "the front page".to_owned());
    database.set_latency(LOAD);
    database
}

async fn load(database: Origin<String>) -> Result<Option<String>, OriginDown> {
    database.load("hot").await
}

/// What a run of [`hot_key`] came to.
struct Expiry {
    report: Report,
    loads: u64,
    waited: u64,
    stale: u64,
}

/// Part 2: everybody reads one key, and it expires.
async fn hot_key(redis: &Redis, seed: u64) -> anyhow::Result<()> {
    page::part(2, "A hot key expires, under 1,000 readers a second");
    page::note("1.5 s; the key lives for 0.6 s; who comes when it is gone waits for a load.");
    let protected = |stale, beta| Options {
        ttl: TTL,
        stale,
        beta,
        scope: Scope::Process,
        lease: LEASE,
        timeout: LEASE,
    };
    let work = Load {
        rate: 1_000.0,
        duration: Duration::from_millis(1_500),
        seed,
        keys: Zipf::new(1, 0.0),
    };
    let without = expiring_unprotected(redis, &work).await?;
    let stale = expiring(redis, &work, "stale", protected(TTL, 0.0)).await?;
    let early = expiring(redis, &work, "early", protected(Duration::ZERO, 1.0)).await?;

    page::heads(&["cache-aside", "serve stale", "refresh early"]);
    let all = |of: fn(&Expiry) -> String| [of(&stale), of(&early)];
    page::row("readers", readers(&without), &all(readers), "");
    page::row("loads", loads(&without), &all(loads), "");
    page::row("readers that waited for a load", waited(&without), &all(waited), "");
    page::row("readers that got an old value", old(&without), &all(old), "");
    page::row("999 of 1,000 (p99.9)", p999(&without), &all(p999), "");
    page::row("slowest reader", slowest(&without), &all(slowest), "");
    page::note("Serve stale: the old value for a moment longer, while one caller loads.");
    page::note("Refresh early: a reader loads before the end, the sooner the more readers.");
    let late = [&without, &stale, &early].map(|expiry| expiry.report.late).into_iter().max();
    if let Some(late) = late.filter(|late| *late > LOAD / 5) {
        let late = page::millis(late);
        page::note(format_args!("Busy machine: readers began up to {late} late, which counts."));
    }
    Ok(())
}

fn readers(expiry: &Expiry) -> String {
    page::count(expiry.report.ok)
}

fn loads(expiry: &Expiry) -> String {
    page::count(expiry.loads)
}

fn waited(expiry: &Expiry) -> String {
    page::count(expiry.waited)
}

fn old(expiry: &Expiry) -> String {
    page::count(expiry.stale)
}

fn p999(expiry: &Expiry) -> String {
    page::millis(expiry.report.p999())
}

fn slowest(expiry: &Expiry) -> String {
    page::millis(expiry.report.max())
}

async fn expiring_unprotected(redis: &Redis, work: &Load) -> anyhow::Result<Expiry> {
    let options =
        cache_aside::Options { ttl: TTL, jitter: 0.0, timeout: LEASE, ..Default::default() };
    let cache = Arc::new(LeasedCache::open(redis.url(), options)?);
    let database = database();
    cache.get("hot", load(database.clone())).await?;
    let (warm_loads, warm) = (database.loads(), cache.metrics());
    let report = work
        .run(|_| {
            let (cache, load) = (cache.clone(), load(database.clone()));
            async move { cache.get("hot", load).await }
        })
        .await;
    let now = cache.metrics();
    let (waited, stale) = (now.misses - warm.misses, now.stale_hits - warm.stale_hits);
    Ok(Expiry { report, loads: database.loads() - warm_loads, waited, stale })
}

async fn expiring(
    redis: &Redis,
    work: &Load,
    key: &'static str,
    options: Options,
) -> anyhow::Result<Expiry> {
    let cache = CoalescingCache::open(redis.url(), options)?;
    let database = database();
    cache.get(key, load(database.clone())).await?;
    let (warm_loads, warm) = (database.loads(), cache.metrics());
    let report = work
        .run(|_| {
            let (cache, load) = (cache.clone(), load(database.clone()));
            async move { cache.get(key, load).await }
        })
        .await;
    let now = cache.metrics();
    let (waited, stale) = (now.misses - warm.misses, now.stale_hits - warm.stale_hits);
    Ok(Expiry { report, loads: database.loads() - warm_loads, waited, stale })
}

/// Part 3: the one who loads for all is gone.
async fn lost_leader(redis: &Redis) -> anyhow::Result<()> {
    page::part(3, "The leader is lost in the middle of its load");
    page::note("99 others wait for it. Its load would take a minute; theirs takes 50 ms.");
    let others = Callers::ready(order(redis, true, CALLERS / 2 - 1)).await?;

    // A future that is dropped still runs its destructors: it tells its followers, and gives the
    // lease back.
    let leader = tokio::spawn({
        let (cache, endless) = (others.cache.clone(), std::future::pending());
        async move { cache.get::<Option<String>, OriginDown>("cancelled", endless).await }
    });
    lease_stands(redis, "cancelled").await?;
    let cancelled = served_without(&others, "cancelled", || leader.abort()).await?;

    // A process that is killed tells nobody.
    let endless = Order { load: Duration::from_secs(60), ..order(redis, true, 1) };
    let mut second = SecondProcess::start(&endless, &[]).await?;
    second.call("killed")?;
    lease_stands(redis, "killed").await?;
    let killed = served_without(&others, "killed", || drop(second)).await?;

    page::gap();
    page::figure("cancelled, in this process: all served after", page::millis(cancelled));
    page::figure("killed (kill -9), another process: all served after", page::millis(killed));
    page::note("A cancelled leader still gives its lease back. A killed one cannot: the");
    page::note("others wait until its lease runs out, here 1 s after it was taken.");
    Ok(())
}

/// How long it took until all were served, from when the leader was lost.
async fn served_without(
    others: &Callers,
    key: &'static str,
    lose: impl FnOnce(),
) -> anyhow::Result<Duration> {
    let waiting = tokio::spawn({
        let others = others.clone();
        async move { others.call(key).await }
    });
    // Time enough for all of them to miss, and to begin to wait.
    tokio::time::sleep(LOAD).await;
    anyhow::ensure!(!waiting.is_finished(), "the others did not wait for the leader");
    let lost = Instant::now();
    lose();
    let outcome = waiting.await??;
    anyhow::ensure!(outcome.answered == CALLERS / 2 - 1, "some callers got no value");
    Ok(lost.elapsed())
}

/// Waits until somebody leads: its lease stands beside the key, see `caching::lease`.
async fn lease_stands(redis: &Redis, key: &str) -> anyhow::Result<()> {
    let mut connection = caching::connection::open(redis.url(), LEASE)?;
    let stands = async {
        while !connection.exists::<_, bool>(format!("{{{key}}}:lease")).await? {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(5), stands).await.context("nobody leads")?
}
