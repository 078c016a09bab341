//! A hit costs one round trip: a `GET`, and nothing else. Counted, so it is the same on every
//! machine; what a hit takes in time, the benchmarks tell and hold to 1.10 raw GETs.

use caching::cache_aside::{self, CacheAside, LeasedCache};
use caching::stampede::{self, CoalescingCache, ProtectedCache};
use std::collections::BTreeMap;
use std::convert::Infallible;
use testbed::proxy::{Counts, Proxy};

const HITS: usize = 100;

fn one_get_each() -> Counts {
    let commands = BTreeMap::from([("GET".to_owned(), HITS)]);
    Counts { requests: HITS, round_trips: HITS, commands, ..Counts::default() }
}

async fn load() -> Result<u64, Infallible> {
    Ok(7)
}

#[tokio::test]
async fn a_hit_of_the_leased_cache_is_one_round_trip() {
    let redis = testbed::redis::private().await.unwrap();
    let proxy = Proxy::before(redis.url()).await.unwrap();
    let cache = LeasedCache::open(proxy.url(), cache_aside::Options::default()).unwrap();
    cache.get("product:7", load()).await.unwrap();
    assert!(proxy.counts().round_trips > 1, "a miss costs more, and the proxy counts it");

    proxy.reset_count();
    for _ in 0..HITS {
        cache.get("product:7", load()).await.unwrap();
    }
    assert_eq!(proxy.counts(), one_get_each());
    assert_eq!(cache.metrics().hits, HITS as u64);
}

#[tokio::test]
async fn a_hit_of_the_coalescing_cache_is_one_round_trip() {
    let redis = testbed::redis::private().await.unwrap();
    let proxy = Proxy::before(redis.url()).await.unwrap();
    let cache = CoalescingCache::open(proxy.url(), stampede::Options::default()).unwrap();
    cache.get("product:7", load()).await.unwrap();
    assert!(proxy.counts().round_trips > 1, "a miss costs more, and the proxy counts it");

    proxy.reset_count();
    for _ in 0..HITS {
        cache.get("product:7", load()).await.unwrap();
    }
    assert_eq!(proxy.counts(), one_get_each());
    assert_eq!(cache.metrics().hits, HITS as u64);
}
