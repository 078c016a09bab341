//! One suite, both sides: what a service may rely on, whichever cache it has.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::{RawValue, to_raw_value};
use shop_cache::{Cache, Error, Options, Protection};
use testbed::redis::Redis;
use tokio::sync::{Barrier, oneshot};

const BOTH: [Protection; 2] = [Protection::Aside, Protection::Coalesced];

/// A cache for one test, with the server that it needs.
struct Place {
    url: String,
    _redis: Option<Redis>,
}

impl Place {
    async fn memory() -> Place {
        Place { url: "memory:".into(), _redis: None }
    }

    async fn redis() -> Place {
        let redis = testbed::redis::private().await.expect("a Redis");
        Place { url: redis.url().into(), _redis: Some(redis) }
    }

    fn open(&self, ttl: Duration) -> Cache {
        // Patient: a machine that is busy is not a Redis that is gone.
        let timeout = Duration::from_secs(10);
        Cache::open(&self.url, Options { ttl, timeout, ..Options::default() }).expect("a cache")
    }
}

/// Writes each test once for each side.
macro_rules! sides {
    ($($test:ident)*) => {
        sides! { @side memory $($test)* }
        sides! { @side redis $($test)* }
    };
    (@side $side:ident $($test:ident)*) => {
        mod $side {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(super::Place::$side().await).await;
            })*
        }
    };
}

sides! {
    the_second_read_is_a_copy
    a_copy_ends_with_its_time
    a_reader_who_is_late_leaves_nothing_behind
    two_hundred_readers_of_a_cold_key_cause_one_load
    without_coalescing_each_reader_loads
    a_failure_reaches_who_waited_and_is_forgotten
    a_leader_who_goes_away_hangs_nobody
    documents_come_back_byte_for_byte
}

const MINUTE: Duration = Duration::from_secs(60);

fn document(text: &str) -> Box<RawValue> {
    to_raw_value(text).expect("a string is JSON")
}

async fn read(cache: &Cache, how: Protection, key: &str, loaded: &'static str) -> Bytes {
    let load = async move { Ok::<_, Infallible>(document(loaded)) };
    cache.get(how, key, load).await.expect("no error")
}

async fn the_second_read_is_a_copy(place: Place) {
    let cache = place.open(MINUTE);
    for how in BOTH {
        let key = format!("{how:?}");
        assert_eq!(read(&cache, how, &key, "old").await, "\"old\"");
        assert_eq!(read(&cache, how, &key, "new").await, "\"old\"");
        cache.invalidate(&key).await.expect("told");
        assert_eq!(read(&cache, how, &key, "new").await, "\"new\"");
    }
}

async fn a_copy_ends_with_its_time(place: Place) {
    let cache = place.open(Duration::from_millis(100));
    for how in BOTH {
        let key = format!("{how:?}");
        read(&cache, how, &key, "old").await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(read(&cache, how, &key, "new").await, "\"new\"");
    }
}

/// The writer's invalidation comes while a reader holds what it has loaded.
async fn a_reader_who_is_late_leaves_nothing_behind(place: Place) {
    let cache = place.open(MINUTE);
    for how in BOTH {
        let key = format!("{how:?}");
        let (loading, begun) = oneshot::channel();
        let (go_on, held) = oneshot::channel::<()>();
        let late = {
            let (cache, key) = (cache.clone(), key.clone());
            tokio::spawn(async move {
                let load = async move {
                    loading.send(()).expect("the writer waits");
                    held.await.expect("the writer lets it go on");
                    Ok::<_, Infallible>(document("old"))
                };
                cache.get(how, &key, load).await.expect("no error")
            })
        };
        begun.await.expect("the load has begun");
        cache.invalidate(&key).await.expect("told");
        go_on.send(()).expect("the reader waits");
        assert_eq!(late.await.expect("no panic"), "\"old\"", "it began before the write");
        assert_eq!(read(&cache, how, &key, "new").await, "\"new\"", "{how:?}");
        assert_eq!(read(&cache, how, &key, "newer").await, "\"new\"", "and that one is kept");
    }
}

async fn crowd(cache: &Cache, how: Protection, readers: usize) -> u64 {
    let loads = Arc::new(AtomicU64::new(0));
    let together = Arc::new(Barrier::new(readers));
    let crowd: Vec<_> = (0..readers)
        .map(|_| {
            let (cache, loads) = (cache.clone(), Arc::clone(&loads));
            let together = Arc::clone(&together);
            tokio::spawn(async move {
                let load = async move {
                    loads.fetch_add(1, Ordering::Relaxed);
                    // Longer than it takes all of them to ask.
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    Ok::<_, Infallible>(document("hot"))
                };
                together.wait().await;
                cache.get(how, "hot", load).await.expect("no error")
            })
        })
        .collect();
    for reader in crowd {
        assert_eq!(reader.await.expect("no panic"), "\"hot\"");
    }
    loads.load(Ordering::Relaxed)
}

async fn two_hundred_readers_of_a_cold_key_cause_one_load(place: Place) {
    assert_eq!(crowd(&place.open(MINUTE), Protection::Coalesced, 200).await, 1);
}

async fn without_coalescing_each_reader_loads(place: Place) {
    assert_eq!(crowd(&place.open(MINUTE), Protection::Aside, 20).await, 20);
}

async fn a_failure_reaches_who_waited_and_is_forgotten(place: Place) {
    let cache = place.open(MINUTE);
    for how in BOTH {
        let key = format!("{how:?}");
        let load = async { Err::<Box<RawValue>, _>("out of order") };
        assert_eq!(*cache.get(how, &key, load).await.expect_err("it failed"), "out of order");
        assert_eq!(read(&cache, how, &key, "well").await, "\"well\"");
    }
}

async fn a_leader_who_goes_away_hangs_nobody(place: Place) {
    let cache = place.open(MINUTE);
    let (loading, begun) = oneshot::channel();
    let leader = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let load = async move {
                loading.send(()).expect("the test waits");
                std::future::pending::<Result<Box<RawValue>, Infallible>>().await
            };
            cache.get(Protection::Coalesced, "hot", load).await
        })
    };
    begun.await.expect("it leads");
    let follower = {
        let cache = cache.clone();
        tokio::spawn(async move { read(&cache, Protection::Coalesced, "hot", "hot").await })
    };
    // Long enough to join; if it has not, it finds the way free, which is as good.
    tokio::time::sleep(Duration::from_millis(50)).await;
    leader.abort();
    let served = tokio::time::timeout(Duration::from_secs(3), follower).await;
    assert_eq!(served.expect("long before a lease ends").expect("no panic"), "\"hot\"");
}

async fn documents_come_back_byte_for_byte(place: Place) {
    let cache = place.open(MINUTE);
    for how in BOTH {
        let written = r#"{"b": [1,  2.50, "Käse \u0000"], "a": null}"#;
        let load = || async move {
            Ok::<_, Infallible>(RawValue::from_string(written.into()).expect("JSON"))
        };
        let key = format!("{how:?}");
        for _ in 0..2 {
            assert_eq!(cache.get(how, &key, load()).await.expect("no error"), written);
        }
    }
}

#[tokio::test]
async fn the_database_answers_while_redis_is_gone() {
    let redis = testbed::redis::process().await.expect("a Redis of our own");
    let cache = Cache::open(redis.url(), Options::default()).expect("a cache");
    read(&cache, Protection::Coalesced, "tea", "old").await;
    redis.kill().await.expect("killed");
    for how in BOTH {
        assert_eq!(read(&cache, how, "tea", "loaded").await, "\"loaded\"");
    }
    let told = cache.invalidate("tea").await;
    assert!(matches!(told, Err(Error::Redis(_))), "a writer must know: {told:?}");
}

#[test]
fn a_place_that_is_none_says_what_would_be_one() {
    let told = Cache::open("memcached://here", Options::default()).expect_err("no place");
    assert!(told.to_string().contains("memory: or redis://"), "{told}");
}
