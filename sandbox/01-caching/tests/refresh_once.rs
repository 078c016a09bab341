//! A stale value is refreshed by one load, also where a reader has seen it stale and is slow to
//! say so: by then another's refresh may have come and gone.

use caching::stampede::{CoalescingCache, Options, ProtectedCache, Scope};
use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Duration;
use testbed::origin::Origin;

#[tokio::test]
async fn a_reader_that_saw_the_stale_value_does_not_refresh_what_is_fresh_by_now() {
    let redis = testbed::redis::private().await.unwrap();
    let options = Options {
        ttl: Duration::from_millis(300),
        stale: Duration::from_secs(60),
        beta: 0.0,
        scope: Scope::Fleet,
        lease: Duration::from_secs(5),
        timeout: Duration::from_secs(5),
    };
    let cache = CoalescingCache::open(redis.url(), options).unwrap();
    let database = Origin::new();
    database.write("hot", 1);
    let load = || {
        let database = database.clone();
        async move { database.load("hot").await }
    };
    cache.get("hot", load()).await.unwrap();
    tokio::time::sleep(options.ttl).await;

    // The slow reader: its GET is sent before anybody else's, and answered with the stale value.
    // It looks at the answer when it is polled again.
    let mut slow = Box::pin(cache.get("hot", load()));
    poll_fn(|context| {
        assert!(slow.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
    let hits = cache.metrics().hits;
    while cache.metrics().hits == hits {
        cache.get("hot", load()).await.unwrap();
    }
    assert_eq!(database.loads(), 2, "the first load, and one refresh");

    slow.await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(database.loads(), 2, "the slow reader refreshed a value that was fresh again");
}
