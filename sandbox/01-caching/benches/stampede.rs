//! What a hit of the protected cache costs, and 200 callers of a cold key, beside moka and cached.
//!
//! ```console
//! $ cargo bench -p caching --bench stampede
//! ```
//!
//! Hits: one thread, one at a time. The 200 callers: on two threads, before a database that takes
//! 5 ms. After criterion's own figures come the ratios and counts of this run. It fails if a hit
//! costs more than 1.10 raw GETs, or if 200 callers cause more than one load.

#[path = "../examples/second_process.rs"]
#[allow(unreachable_pub)]
mod second_process;

use cached::macros::cached;
use caching::connection;
use caching::stampede::{CoalescingCache, Options, ProtectedCache, Scope};
use criterion::Criterion;
use redis::AsyncCommands;
use redis::aio::ConnectionManager;
use second_process::{Order, SecondProcess};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use testbed::origin::{Origin, OriginDown};
use testbed::proxy::Proxy;
use testbed::ratios::{self, Ratios};
use testbed::redis::Redis;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const CALLERS: usize = 200;
const LOAD: Duration = Duration::from_millis(5);
const OPTIONS: Options = Options {
    ttl: Duration::from_secs(3_600),
    stale: Duration::ZERO,
    beta: 1.0,
    scope: Scope::Fleet,
    lease: Duration::from_secs(5),
    timeout: Duration::from_secs(5),
};

/// The one database of all, so that each cache's loads are counted alike.
static DATABASE: LazyLock<Origin<u64>> = LazyLock::new(|| {
    let database = Origin::new();
    database.set_latency(LOAD);
    database
});

async fn load(key: String) -> Result<u64, OriginDown> {
    Ok(DATABASE.load(&key).await?.expect("every key of this benchmark is written first"))
}

/// A key that nobody has asked for yet. Its row is there: `cached` would not keep a `None`.
fn cold() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let key = format!("cold:{number}");
    DATABASE.write(&key, number);
    key
}

/// As a user of the crate `cached` writes it: one call loads, others of the same key wait.
#[cached(ttl_secs = 60, key = "String", convert = "{ key.clone() }", sync_writes = "by_key")]
async fn cached_load(key: String) -> u64 {
    load(key).await.expect("the database is up")
}

type Moka = moka::future::Cache<String, u64>;

/// All callers ask for one cold key at once; how long until the last has it.
async fn callers<F>(call: impl Fn(String) -> F) -> Duration
where
    F: Future<Output = ()> + Send + 'static,
{
    let key = cold();
    let began = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..CALLERS {
        calls.spawn(call(key.clone()));
    }
    calls.join_all().await;
    began.elapsed()
}

fn call_redis(cache: &CoalescingCache) -> impl Fn(String) -> BoxedCall {
    let cache = cache.clone();
    move |key| {
        let cache = cache.clone();
        Box::pin(async move {
            cache.get(&key, load(key.clone())).await.expect("the database is up");
        })
    }
}

fn call_moka(moka: &Moka) -> impl Fn(String) -> BoxedCall {
    let moka = moka.clone();
    move |key| {
        let moka = moka.clone();
        Box::pin(async move {
            let load = async { load(key.clone()).await.expect("the database is up") };
            moka.get_with_by_ref(&key, load).await;
        })
    }
}

fn call_cached(key: String) -> BoxedCall {
    Box::pin(async move {
        cached_load(key).await;
    })
}

type BoxedCall = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn main() -> anyhow::Result<()> {
    let many = Runtime::new()?;
    if let Some(order) = second_process::order()? {
        return many.block_on(second_process::obey(order));
    }
    let redis = many.block_on(testbed::redis::private())?;
    let one = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let hot = one.block_on(Hot::warm(&redis))?;
    let caches = many.block_on(async {
        let moka = Moka::builder().time_to_live(OPTIONS.ttl).build();
        anyhow::Ok((CoalescingCache::open(redis.url(), OPTIONS)?, moka))
    })?;
    let (redis_callers, moka_callers) = (call_redis(&caches.0), call_moka(&caches.1));

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    let mut group = criterion.benchmark_group("stampede");
    let (hot, many) = (&hot, &many);
    group.bench_function("raw GET", |b| b.to_async(&one).iter(|| hot.get()));
    group.bench_function("hit", |b| b.to_async(&one).iter(|| hot.hit()));
    // On the runtime's own threads: `iter` would run the callers on this one, beside them.
    group.bench_function("200 callers of a cold key", |b| {
        b.iter_custom(|times| many.block_on(repeat(times, &redis_callers)));
    });
    group.bench_function("200 callers, moka get_with", |b| {
        b.iter_custom(|times| many.block_on(repeat(times, &moka_callers)));
    });
    group.bench_function("200 callers, cached", |b| {
        b.iter_custom(|times| many.block_on(repeat(times, &call_cached)));
    });
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        let mut ratios = Ratios::of("stampede");
        let (get, hit) = (async || hot.get().await, async || hot.hit().await);
        one.block_on(ratios.at_most(1.10, "hit / raw GET", get, hit));
        let trips = one.block_on(round_trips(&redis))?;
        println!("\n  {:<40}{trips:>12}", "round trips of a hit");
        println!("\n  loads for 200 callers of a cold key (the most of 20 keys)\n");
        let most = many.block_on(async {
            let redis_most = most_loads(&redis_callers).await;
            println!("  {:<40}{redis_most:>12}", "one process");
            println!(
                "  {:<40}{:>12}",
                "one process, moka get_with",
                most_loads(&moka_callers).await
            );
            println!("  {:<40}{:>12}", "one process, cached", most_loads(&call_cached).await);
            let without = two_processes(&redis, false).await?;
            println!("  {:<40}{without:>12}", "two processes, single flight only");
            let with = two_processes(&redis, true).await?;
            println!("  {:<40}{with:>12}", "two processes, with leases");
            anyhow::Ok(redis_most.max(with))
        })?;
        anyhow::ensure!(most == 1, "200 callers of a cold key caused {most} loads");
        ratios.end();
    }
    Ok(())
}

/// A hot key, and a connection like the cache's own.
struct Hot {
    raw: ConnectionManager,
    cache: CoalescingCache,
}

impl Hot {
    async fn warm(redis: &Redis) -> anyhow::Result<Hot> {
        let raw = connection::open(redis.url(), OPTIONS.timeout)?;
        DATABASE.write("hot", 7);
        let hot = Hot { raw, cache: CoalescingCache::open(redis.url(), OPTIONS)? };
        hot.hit().await;
        hot.get().await;
        Ok(hot)
    }

    async fn get(&self) {
        let bytes: Option<Vec<u8>> = self.raw.clone().get("hot").await.expect("Redis answers");
        assert!(bytes.is_some());
    }

    async fn hit(&self) {
        self.cache.get("hot", load("hot".to_owned())).await.expect("the database is up");
    }
}

async fn repeat<F>(times: u64, call: &impl Fn(String) -> F) -> Duration
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut took = Duration::ZERO;
    for _ in 0..times {
        took += callers(call).await;
    }
    took
}

/// The most loads that one cold key has caused, of 20.
async fn most_loads<F>(call: &impl Fn(String) -> F) -> u64
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut most = 0;
    for _ in 0..20 {
        let before = DATABASE.loads();
        callers(call).await;
        most = most.max(DATABASE.loads() - before);
    }
    most
}

/// The most loads of both processes together that one cold key has caused, of 20.
async fn two_processes(redis: &Redis, leases: bool) -> anyhow::Result<u64> {
    let (callers, load, lease) = (CALLERS / 2, Duration::from_millis(20), OPTIONS.lease);
    let order = Order { url: redis.url().to_owned(), leases, callers, load, lease };
    let mut second = SecondProcess::start(&order, &[]).await?;
    let first = second_process::Callers::ready(order).await?;
    let mut most = 0;
    for round in 0..20 {
        let key = format!("two:{leases}:{round}");
        second.call(&key)?;
        let (ours, theirs) = (first.call(&key).await?, second.outcome().await?);
        most = most.max(ours.loads + theirs.loads);
    }
    Ok(most)
}

async fn round_trips(redis: &Redis) -> anyhow::Result<usize> {
    let proxy = Proxy::before(redis.url()).await?;
    let cache = CoalescingCache::open(proxy.url(), OPTIONS)?;
    DATABASE.write("counted", 7);
    cache.get("counted", load("counted".to_owned())).await?;
    proxy.reset_count();
    cache.get("counted", load("counted".to_owned())).await?;
    Ok(proxy.counts().round_trips)
}
