//! What a hit and a miss of the cache cost, beside a raw `GET` and the caches of a process.
//!
//! ```console
//! $ cargo bench -p caching --bench cache_aside
//! ```
//!
//! One thread, one operation at a time: the times are those of a round trip. After criterion's own
//! figures come the ratios and counts of this run. It fails if a hit costs more than 1.10 raw GETs.

use cached::macros::cached;
use caching::cache_aside::{CacheAside, LeasedCache, Options};
use caching::connection;
use criterion::Criterion;
use redis::AsyncCommands;
use redis::aio::ConnectionManager;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::time::Duration;
use testbed::proxy::Proxy;
use testbed::ratios::{self, Ratios};
use testbed::redis::Redis;
use tokio::runtime::Runtime;

#[derive(Clone, Serialize, Deserialize)]
struct Product {
    name: String,
    cents: u64,
}

async fn load() -> Result<Product, Infallible> {
    Ok(Product { name: "a product".to_owned(), cents: 1_000 })
}

/// As a user of the crate `cached` writes it: one call loads, others of the same key wait.
#[cached(ttl_secs = 60, key = "String", convert = "{ key.to_owned() }", sync_writes = "by_key")]
async fn cached_product(key: &str) -> Product {
    let _ = key;
    let Ok(product) = load().await;
    product
}

const KEY: &str = "product:7";
/// Nothing is to expire or to be given up for lost while it is measured.
const OPTIONS: Options = Options {
    ttl: Duration::from_secs(3_600),
    jitter: 0.0,
    timeout: Duration::from_secs(5),
    lease: Duration::from_secs(5),
};

/// What is measured. All of it hits, once [`Subjects::warm`] is done.
struct Subjects {
    /// A connection like the cache's own.
    raw: ConnectionManager,
    cache: LeasedCache,
    moka: moka::future::Cache<String, Product>,
}

impl Subjects {
    async fn warm(redis: &Redis) -> anyhow::Result<Subjects> {
        let subjects = Subjects {
            raw: connection::open(redis.url(), OPTIONS.timeout)?,
            cache: LeasedCache::open(redis.url(), OPTIONS)?,
            moka: moka::future::Cache::builder().time_to_live(OPTIONS.ttl).build(),
        };
        subjects.hit().await;
        subjects.get().await;
        subjects.moka().await;
        cached_product(KEY).await;
        Ok(subjects)
    }

    async fn get(&self) {
        let bytes: Option<Vec<u8>> = self.raw.clone().get(KEY).await.expect("Redis answers");
        assert!(bytes.is_some());
    }

    async fn hit(&self) {
        self.cache.get(KEY, load()).await.expect("the load cannot fail");
    }

    /// The least that a miss can be: GET, the load, SET with a TTL. No lease, and no truth.
    async fn naive_miss(&self) {
        let mut redis = self.raw.clone();
        let _: () = redis.del("naive").await.expect("Redis answers");
        let nothing: Option<Vec<u8>> = redis.get("naive").await.expect("Redis answers");
        assert!(nothing.is_none());
        let Ok(product) = load().await;
        let json = serde_json::to_vec(&product).expect("a product is JSON");
        let _: () = redis.set_ex("naive", json, 3_600).await.expect("Redis answers");
    }

    async fn miss(&self) {
        self.cache.invalidate("cold").await.expect("Redis answers");
        self.cache.get("cold", load()).await.expect("the load cannot fail");
    }

    async fn moka(&self) {
        self.moka
            .get_with_by_ref(KEY, async { load().await.unwrap_or_else(|no| match no {}) })
            .await;
    }
}

fn main() -> anyhow::Result<()> {
    // One thread: a hit is then one round trip and nothing of the scheduler's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let redis = runtime.block_on(testbed::redis::private())?;
    let subjects = runtime.block_on(Subjects::warm(&redis))?;

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("cache_aside");
    let at = &runtime;
    let subject = &subjects;
    group.bench_function("raw GET", |b| b.to_async(at).iter(|| subject.get()));
    group.bench_function("hit", |b| b.to_async(at).iter(|| subject.hit()));
    group.bench_function("hit, moka get_with", |b| b.to_async(at).iter(|| subject.moka()));
    group.bench_function("hit, cached", |b| b.to_async(at).iter(|| cached_product(KEY)));
    group
        .bench_function("DEL, then a naive miss", |b| b.to_async(at).iter(|| subject.naive_miss()));
    group.bench_function("invalidate, then a miss", |b| b.to_async(at).iter(|| subject.miss()));
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        summary(&runtime, &redis, &subjects)?;
    }
    Ok(())
}

fn summary(runtime: &Runtime, redis: &Redis, subjects: &Subjects) -> anyhow::Result<()> {
    runtime.block_on(async {
        let mut ratios = Ratios::of("cache_aside");
        let get = async || subjects.get().await;
        let hit = async || subjects.hit().await;
        let (naive, miss) = (async || subjects.naive_miss().await, async || subjects.miss().await);
        ratios.at_most(1.10, "hit / raw GET", get, hit).await;
        ratios.compare("DEL and miss / naive DEL and miss", naive, miss).await;
        let moka = async || subjects.moka().await;
        ratios.compare("hit / moka get_with, in memory", moka, hit).await;
        let cached = async || drop(cached_product(KEY).await);
        ratios.compare("hit / cached, in memory", cached, hit).await;

        let (hit, miss) = round_trips(redis).await?;
        println!("\n  {:<40}{hit:>12}", "round trips of a hit");
        println!("  {:<40}{miss:>12}", "round trips of a miss");
        ratios.end();
        Ok(())
    })
}

/// Round trips of a hit and of a miss, counted by a proxy.
async fn round_trips(redis: &Redis) -> anyhow::Result<(usize, usize)> {
    let proxy = Proxy::before(redis.url()).await?;
    let cache = LeasedCache::open(proxy.url(), OPTIONS)?;
    // The first script costs one more: Redis must learn it.
    cache.get("first", load()).await?;
    proxy.reset_count();
    cache.get("counted", load()).await?;
    let miss = proxy.counts().round_trips;
    proxy.reset_count();
    cache.get("counted", load()).await?;
    Ok((proxy.counts().round_trips, miss))
}
