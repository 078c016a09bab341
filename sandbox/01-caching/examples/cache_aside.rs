//! 01.2 · Cache-aside: what it saves, how it goes wrong, and what happens without Redis.
//!
//! ```console
//! $ cargo run --example cache_aside
//! ```
//!
//! Ends by itself after some four seconds. `SEED=7` draws other products.

use anyhow::Context;
use caching::Value;
use caching::cache_aside::{CacheAside, Error, LeasedCache, Options};
use redis::aio::ConnectionManager;
use redis::{AsyncCommands, RedisError};
use serde::{Deserialize, Serialize};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use testbed::load::{Load, Report, Zipf};
use testbed::origin::Origin;
use testbed::proxy::Proxy;
use testbed::redis::Redis;

const PRODUCTS: usize = 100;
const DATABASE_TAKES: Duration = Duration::from_millis(5);
const ROUNDS: usize = 20;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Product {
    name: String,
    cents: u64,
}

type Database = Origin<Product>;

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("01.2 cache_aside · ask the cache, then the database, then leave a copy");
    let seed = page::seed()?;
    let redis = testbed::redis::private().await?;
    page::note(redis.origin());
    page::note("The database is simulated: it is in memory, and each read takes 5 ms.");
    page::note(format_args!("The keys are drawn from seed {seed}; SEED=<n> draws others."));

    let database = Database::new();
    database.set_latency(DATABASE_TAKES);
    for product in 0..PRODUCTS {
        database.write(&key(product), Product { name: format!("No. {product}"), cents: 1_000 });
    }
    reads(&redis, &database, seed).await?;
    late_readers(&redis).await?;
    outage(&redis, &database, seed).await?;

    page::next(&[
        ("cargo lab start cache_aside", "write it yourself, with tests that race you"),
        ("cargo run --example stampede", "what 200 readers of one cold key do"),
    ]);
    Ok(())
}

fn key(product: usize) -> String {
    format!("product:{product}")
}

async fn load(database: Database, key: String) -> anyhow::Result<Product> {
    database.load(&key).await?.context("there is no such product")
}

fn readers(seed: u64, duration: Duration) -> Load {
    Load { rate: 1_500.0, duration, seed, keys: Zipf::new(PRODUCTS, 1.0) }
}

/// Part 1: the same reads, of the database and of the cache.
async fn reads(redis: &Redis, database: &Database, seed: u64) -> anyhow::Result<()> {
    let work = readers(seed, Duration::from_secs(1));
    page::part(1, "The same reads, without a cache and with one");
    page::note("1,500 reads in 1 s, which do not wait for each other, of 100 products.");
    page::note("A few are read often: the first by one reader in five (Zipf, exponent 1).");

    let before = database.loads();
    let without = work.run(|arrival| load(database.clone(), key(arrival.key))).await;
    let loads_without = database.loads() - before;

    let cache = Arc::new(LeasedCache::open(redis.url(), Options::default())?);
    let before = database.loads();
    let with = work
        .run(|arrival| {
            let (cache, database, key) = (cache.clone(), database.clone(), key(arrival.key));
            async move { cache.get(&key, load(database, key.clone())).await }
        })
        .await;
    let loads_with = database.loads() - before;
    let hits = cache.metrics().hit_ratio();

    page::heads(&["no cache", "cache-aside"]);
    let count = page::count;
    page::row("reads", count(without.ok), &[count(with.ok)], "");
    page::row("errors", count(without.errors), &[count(with.errors)], "");
    let ratio = times_less(loads_without as f64, loads_with as f64);
    page::row("answered by the database", count(loads_without), &[count(loads_with)], &ratio);
    page::row("hits", "", &[format!("{:.0} %", hits * 100.0)], "");
    for (what, of) in [("half took at most (p50)", 0.50), ("99 of 100 at most (p99)", 0.99)] {
        let (without, with) = (without.quantile(of), with.quantile(of));
        let ratio = times_less(without.as_secs_f64(), with.as_secs_f64());
        page::row(what, page::millis(without), &[page::millis(with)], &ratio);
    }
    page::note("The slowest reads are the misses: they pay for the cache and the database.");
    page::note("A read of a cold key is no faster with a cache, only the next one is.");
    late_generator(&[&without, &with]);
    Ok(())
}

/// `÷ 21`: how many times less the second is. Nothing where there is nothing to divide by.
fn times_less(without: f64, with: f64) -> String {
    match without / with {
        ratio if !ratio.is_finite() => String::new(),
        ratio if ratio < 10.0 => format!("÷ {ratio:.1}"),
        ratio => format!("÷ {ratio:.0}"),
    }
}

/// Latencies begin when a read was due. Where the generator itself was late, that is in them.
fn late_generator(reports: &[&Report]) {
    let late = reports.iter().map(|report| report.late).max().unwrap_or_default();
    if late > DATABASE_TAKES {
        let late = page::millis(late);
        page::note(format_args!("Busy machine: reads began up to {late} late, which counts."));
    }
}

// ANCHOR: naive
/// Cache-aside as it is mostly written.
struct Naive(ConnectionManager);

impl CacheAside for Naive {
    fn open(url: &str, options: Options) -> Result<Naive, RedisError> {
        Ok(Naive(caching::connection::open(url, options.timeout)?))
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        let stored: Option<String> = self.0.clone().get(key).await?;
        if let Some(value) = stored.and_then(|json| serde_json::from_str(&json).ok()) {
            return Ok(value);
        }
        let value = load.await.map_err(Error::Load)?;
        if let Ok(json) = serde_json::to_string(&value) {
            let _: () = self.0.clone().set_ex(key, json, 60).await?;
        }
        Ok(value)
    }

    async fn invalidate(&self, key: &str) -> Result<(), RedisError> {
        self.0.clone().del(key).await
    }
}
// ANCHOR_END: naive

/// Part 2: a reader that is late by one write.
async fn late_readers(redis: &Redis) -> anyhow::Result<()> {
    page::part(2, "The late reader");
    page::note("reader   misses, reads the old price, is held up for a moment");
    page::note("writer   commits the new price, deletes the key, tells the customer");
    page::note("reader   stores what it has read: the old price, until its TTL");
    let naive = old_prices::<Naive>(redis, "naive").await?;
    let leased = old_prices::<LeasedCache>(redis, "leased").await?;

    page::heads(&["GET, SET, DEL", "with leases"]);
    let of = |old: usize| format!("{old} of {ROUNDS}");
    page::row("old price after the write", of(naive), &[of(leased)], "");
    page::note("A reader that misses takes a lease, and may store only while it stands.");
    page::note("The writer deletes the lease along with the value.");
    Ok(())
}

/// How often of [`ROUNDS`] the old price was served after the write had been acknowledged.
///
/// Left to chance the two would hardly ever meet. So the reader's load is held at a gate, its row
/// already read, until the writer is done.
async fn old_prices<C: CacheAside>(redis: &Redis, prefix: &str) -> anyhow::Result<usize> {
    let cache = Arc::new(C::open(redis.url(), Options::default())?);
    let database = Database::new();
    let price = |cents| Product { name: "the same".into(), cents };
    let mut old = 0;
    for round in 0..ROUNDS {
        let key = format!("{prefix}:{round}");
        database.write(&key, price(1_000));
        let gate = database.hold_loads();
        let reader = tokio::spawn({
            let (cache, database, key) = (cache.clone(), database.clone(), key.clone());
            async move { cache.get(&key, load(database, key.clone())).await }
        });
        gate.arrived(1, Duration::from_secs(5)).await?;
        database.stop_holding();
        database.write(&key, price(2_000));
        cache.invalidate(&key).await.context("the writer's invalidation")?;
        gate.open();
        reader.await?.context("the late reader")?;
        let now = cache.get(&key, load(database.clone(), key.clone())).await?;
        old += usize::from(now.cents == 1_000);
    }
    Ok(old)
}

/// One answered read.
struct Answer {
    began: Instant,
    ended: Instant,
    hit: bool,
}

/// Part 3: Redis is gone for a while, under readers.
async fn outage(redis: &Redis, database: &Database, seed: u64) -> anyhow::Result<()> {
    page::part(3, "Redis is lost, and comes back");
    // Another's server is not ours to kill. There, a proxy before it refuses connections.
    let proxy = match redis.pid() {
        Some(_) => None,
        None => Some(Proxy::before(redis.url()).await?),
    };
    page::note(match proxy {
        None => "1,500 reads/s. After 0.4 s Redis is killed (kill -9), 0.4 s later restarted.",
        Some(_) => "1,500 reads/s. After 0.4 s a proxy cuts Redis off, for 0.4 s: it is shared.",
    });
    let url = proxy.as_ref().map_or(redis.url(), Proxy::url);
    let cache = Arc::new(LeasedCache::open(url, Options::default())?);
    let answers: Arc<Mutex<Vec<Answer>>> = Arc::default();

    let work = readers(seed.wrapping_add(1), Duration::from_millis(1_200));
    let reading = work.run(|arrival| {
        let (cache, database, key) = (cache.clone(), database.clone(), key(arrival.key));
        let answers = Arc::clone(&answers);
        async move {
            let began = Instant::now();
            let missed = Arc::new(AtomicBool::new(false));
            let loading = {
                let (missed, key) = (missed.clone(), key.clone());
                async move {
                    missed.store(true, Ordering::Relaxed);
                    load(database, key).await
                }
            };
            cache.get(&key, loading).await?;
            let hit = !missed.load(Ordering::Relaxed);
            let answer = Answer { began, ended: Instant::now(), hit };
            answers.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
            Ok::<_, Error<anyhow::Error>>(())
        }
    });
    let losing = async {
        let pause = Duration::from_millis(400);
        tokio::time::sleep(pause).await;
        match &proxy {
            None => redis.kill().await?,
            Some(proxy) => proxy.refuse(),
        }
        let gone = Instant::now();
        tokio::time::sleep(pause).await;
        match &proxy {
            None => redis.restart().await?,
            Some(proxy) => proxy.accept().await?,
        }
        anyhow::Ok((gone, Instant::now()))
    };
    let (report, outage) = tokio::join!(reading, losing);
    let (gone, back) = outage?;

    let answers = std::mem::take(&mut *answers.lock().unwrap_or_else(PoisonError::into_inner));
    let count = |of: &dyn Fn(&Answer) -> bool| answers.iter().filter(|answer| of(answer)).count();
    let meanwhile = |answer: &Answer| answer.began >= gone && answer.ended < back;
    let first_hit = answers.iter().filter(|answer| answer.hit).map(|answer| answer.ended);
    let first_hit = first_hit.filter(|ended| *ended >= back).min();
    let hits_after = count(&|answer| answer.began >= back && answer.hit);
    let after = count(&|answer| answer.began >= back);

    page::gap();
    page::figure("reads", page::count(report.offered));
    page::figure("errors that reached a caller", report.errors);
    let by_database = count(&|answer| meanwhile(answer) && !answer.hit);
    page::figure("while Redis was gone, answered by the database", by_database);
    let by_redis = count(&|answer| meanwhile(answer) && answer.hit);
    page::figure("while Redis was gone, answered by Redis", by_redis);
    page::figure("slowest read of all", page::millis(report.max()));
    match first_hit {
        Some(at) => page::figure("first hit after Redis was back", page::millis(at - back)),
        None => page::figure("first hit after Redis was back", "none"),
    }
    page::figure(
        "hits among the reads after that",
        format!("{:.0} %", 100.0 * hits_after as f64 / after.max(1) as f64),
    );
    page::note(match proxy {
        None => "Nobody told the cache. Redis came back empty, and was filled by its readers.",
        Some(_) => "Nobody told the cache. What it held before the outage is there again.",
    });
    late_generator(&[&report]);
    Ok(())
}
