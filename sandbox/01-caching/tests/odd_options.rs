//! Options that nobody should set, and somebody will: no reader pays for them with its value.

use caching::cache_aside::{self, CacheAside, LeasedCache};
use caching::stampede::{self, CoalescingCache, ProtectedCache};
use std::convert::Infallible;
use std::time::Duration;

async fn load() -> Result<u64, Infallible> {
    Ok(7)
}

async fn leased(options: cache_aside::Options) {
    let redis = testbed::redis::private().await.expect("a server");
    let cache = LeasedCache::open(redis.url(), options).expect("a URL");
    for _ in 0..2 {
        assert_eq!(cache.get("product:7", load()).await.expect("the load"), 7);
    }
    assert_eq!(cache.metrics().hits, 1, "{options:?}");
}

async fn coalescing(options: stampede::Options) {
    let redis = testbed::redis::private().await.expect("a server");
    let cache = CoalescingCache::open(redis.url(), options).expect("a URL");
    for _ in 0..2 {
        assert_eq!(cache.get("product:7", load()).await.expect("the load"), 7);
    }
    assert_eq!(cache.metrics().hits, 1, "{options:?}");
}

#[tokio::test]
async fn a_jitter_that_is_no_number() {
    leased(cache_aside::Options { jitter: f64::NAN, ..Default::default() }).await;
}

#[tokio::test]
async fn a_ttl_without_end() {
    leased(cache_aside::Options { ttl: Duration::MAX, jitter: 0.0, ..Default::default() }).await;
    leased(cache_aside::Options { ttl: Duration::MAX, ..Default::default() }).await;
    coalescing(stampede::Options { ttl: Duration::MAX, ..Default::default() }).await;
}

#[tokio::test]
async fn a_stale_time_without_end() {
    coalescing(stampede::Options { stale: Duration::MAX, ..Default::default() }).await;
}

#[tokio::test]
async fn a_lease_without_end() {
    leased(cache_aside::Options { lease: Duration::MAX, ..Default::default() }).await;
    coalescing(stampede::Options { lease: Duration::MAX, ..Default::default() }).await;
}

#[tokio::test]
async fn a_key_that_is_empty_or_holds_braces_or_zeros() {
    let redis = testbed::redis::private().await.unwrap();
    let cache = LeasedCache::open(redis.url(), cache_aside::Options::default()).unwrap();
    for key in ["", "{", "}", "{}", "a{b}c", "a b\r\n\0"] {
        for _ in 0..2 {
            assert_eq!(cache.get(key, load()).await.unwrap(), 7);
        }
        cache.invalidate(key).await.unwrap();
    }
    assert_eq!(cache.metrics().hits, 6);
}

#[tokio::test]
async fn a_list_that_somebody_else_keeps_at_the_key_is_a_miss() {
    let redis = testbed::redis::private().await.unwrap();
    let client = redis::Client::open(redis.url()).unwrap();
    let mut look = client.get_multiplexed_async_connection().await.unwrap();
    for key in ["product:7", "{product:8}:lease"] {
        let _: () = redis::cmd("LPUSH").arg(key).arg(1).query_async(&mut look).await.unwrap();
    }
    let cache = LeasedCache::open(redis.url(), cache_aside::Options::default()).unwrap();
    let protected = CoalescingCache::open(redis.url(), stampede::Options::default()).unwrap();
    for key in ["product:7", "product:8"] {
        for _ in 0..2 {
            assert_eq!(cache.get(key, load()).await.unwrap(), 7);
            assert_eq!(protected.get(key, load()).await.unwrap(), 7);
        }
    }
}
