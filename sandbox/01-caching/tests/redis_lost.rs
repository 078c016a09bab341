//! Redis is killed under readers and restarted: no reader sees an error, all are answered, and
//! the hits come back by themselves.

use caching::cache_aside::{self, CacheAside, LeasedCache};
use caching::stampede::{self, CoalescingCache, ProtectedCache};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use testbed::origin::{Origin, OriginDown};
use testbed::redis::Redis;
use tokio::task::JoinSet;

const READERS: usize = 20;
const KEYS: usize = 10;
const SOON: Duration = Duration::from_secs(10);

fn database() -> Origin<u64> {
    let database = Origin::new();
    database.set_latency(Duration::from_millis(2));
    for key in 0..KEYS {
        database.write(&key.to_string(), key as u64);
    }
    database
}

async fn load(database: Origin<u64>, key: String) -> Result<Option<u64>, OriginDown> {
    database.load(&key).await
}

/// Reads with `read` until the end, which says whether the answer was right; `hits` and `errors`
/// are the cache's own counts of its hits and of Redis's errors.
async fn lose_redis<F>(
    redis: &Redis,
    database: &Origin<u64>,
    read: impl Fn(usize) -> F + Clone + Send + 'static,
    hits: impl Fn() -> u64,
    errors: impl Fn() -> u64,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let over = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicU64::new(0));
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        let (over, reads, read) = (over.clone(), reads.clone(), read.clone());
        readers.spawn(async move {
            for turn in reader.. {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                // A wrong answer and an error panic, and end the test below.
                read(turn % KEYS).await;
                reads.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }

    until("hits, before", || hits() > 100).await;
    redis.kill().await.expect("the server is ours to kill");
    let (loads, lost) = (database.loads(), errors());
    let answered = reads.load(Ordering::SeqCst);
    until("errors of Redis, which nobody sees", || errors() > lost).await;
    until("loads while Redis is gone", || database.loads() > loads + 20).await;
    until("reads while Redis is gone", || reads.load(Ordering::SeqCst) > answered + 100).await;
    redis.restart().await.expect("the server comes back");
    let before = hits();
    until("hits, after", || hits() > before + 100).await;

    over.store(true, Ordering::SeqCst);
    while let Some(reader) = readers.join_next().await {
        reader.expect("no reader got an error or a wrong answer");
    }
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("no {what} in {SOON:?}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leased_cache_survives_the_loss_of_redis() {
    let redis = testbed::redis::process().await.unwrap();
    let cache = LeasedCache::open(redis.url(), cache_aside::Options::default()).unwrap();
    let (cache, database) = (Arc::new(cache), database());
    let read = {
        let (cache, database) = (cache.clone(), database.clone());
        move |key: usize| {
            let (cache, database) = (cache.clone(), database.clone());
            async move {
                let name = key.to_string();
                let answer = cache.get(&name, load(database, name.clone())).await;
                assert_eq!(answer.unwrap(), Some(key as u64));
            }
        }
    };
    let (hits, errors) = (|| cache.metrics().hits, || cache.metrics().redis_errors);
    lose_redis(&redis, &database, read, hits, errors).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_coalescing_cache_survives_the_loss_of_redis() {
    let redis = testbed::redis::process().await.unwrap();
    let cache = CoalescingCache::open(redis.url(), stampede::Options::default()).unwrap();
    let database = database();
    let read = {
        let (cache, database) = (cache.clone(), database.clone());
        move |key: usize| {
            let (cache, database) = (cache.clone(), database.clone());
            async move {
                let name = key.to_string();
                let answer = cache.get(&name, load(database, name.clone())).await;
                assert_eq!(answer.unwrap(), Some(key as u64));
            }
        }
    };
    let (hits, errors) = (|| cache.metrics().hits, || cache.metrics().redis_errors);
    lose_redis(&redis, &database, read, hits, errors).await;
}
