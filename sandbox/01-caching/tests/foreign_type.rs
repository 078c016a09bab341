//! Somebody else keeps a list at the key: a miss, which is replaced, and no outage.

use caching::cache_aside::{self, CacheAside, LeasedCache};
use caching::stampede::{self, CoalescingCache, ProtectedCache};
use redis::AsyncCommands;
use std::convert::Infallible;
use std::time::Duration;

/// A busy machine is no outage of Redis.
const PATIENCE: Duration = Duration::from_secs(5);

async fn with_a_list_at(key: &str) -> testbed::redis::Redis {
    let redis = testbed::redis::private().await.expect("a Redis");
    let client = redis::Client::open(redis.url()).expect("its URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
    let _: () = connection.rpush(key, "foreign").await.expect("a list");
    redis
}

async fn seven() -> Result<u32, Infallible> {
    Ok(7)
}

#[tokio::test]
async fn cache_aside_replaces_it() {
    let redis = with_a_list_at("product:7").await;
    let cache = LeasedCache::open(
        redis.url(),
        cache_aside::Options { timeout: PATIENCE, ..Default::default() },
    )
    .unwrap();
    assert_eq!(cache.get("product:7", seven()).await.unwrap(), 7);
    assert_eq!(cache.get("product:7", seven()).await.unwrap(), 7);
    assert_eq!((cache.metrics().loads, cache.metrics().hits), (1, 1));
}

#[tokio::test]
async fn a_protected_cache_replaces_it() {
    let redis = with_a_list_at("product:7").await;
    let cache = CoalescingCache::open(
        redis.url(),
        stampede::Options { timeout: PATIENCE, ..Default::default() },
    )
    .unwrap();
    assert_eq!(cache.get("product:7", seven()).await.unwrap(), 7);
    assert_eq!(cache.get("product:7", seven()).await.unwrap(), 7);
    assert_eq!((cache.metrics().loads, cache.metrics().hits), (1, 1));
}
