//! What a decision costs and leaves behind, and what a broken connection may do to it: for both
//! limiters in Redis. Whether it is right, `traces.rs` tells.

use rate_limiting::gcra::Gcra;
use rate_limiting::limiter::{By, Decision, Limiter, Options, Quota};
use rate_limiting::token_bucket::TokenBucket;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use std::collections::BTreeMap;
use std::time::Duration;
use testbed::gate::Gate;
use testbed::proxy::{Counts, Proxy};
use testbed::redis::Redis;
use testbed::together;

/// Nothing comes back while a test runs.
fn slow(burst: u32) -> Quota {
    Quota::new(burst, Duration::from_secs(3_600)).expect("less than a year")
}

/// Long enough that a busy machine is not taken for an outage.
fn patient() -> Options {
    Options { timeout: Duration::from_secs(10), ..Options::default() }
}

async fn server() -> Redis {
    testbed::redis::private().await.expect("a server")
}

async fn behind(redis: &Redis) -> Proxy {
    Proxy::before(redis.url()).await.expect("a proxy")
}

async fn look(redis: &Redis) -> MultiplexedConnection {
    let client = redis::Client::open(redis.url()).expect("a URL");
    client.get_multiplexed_async_connection().await.expect("a connection")
}

fn open<L: Limiter>(url: &str, quota: Quota) -> L {
    L::open(url, quota, patient()).expect("a URL")
}

/// A decision that Redis made.
async fn decide<L: Limiter>(limiter: &L, key: &str, cost: u32) -> Decision {
    let decision = limiter.decide(key, cost).await;
    assert_eq!(decision.by, By::State, "Redis is there");
    decision
}

async fn one_round_trip<L: Limiter>() {
    let redis = server().await;
    let proxy = behind(&redis).await;
    let limiter: L = open(proxy.url(), slow(10));
    decide(&limiter, "a", 1).await;
    assert_eq!(proxy.counts().round_trips, 2, "Redis learns the script by the first decision");
    proxy.reset_count();
    for decision in 0..100 {
        decide(&limiter, "a", decision % 12).await;
    }
    let commands = BTreeMap::from([("EVALSHA".to_owned(), 100)]);
    assert_eq!(
        proxy.counts(),
        Counts { requests: 100, round_trips: 100, commands, ..Counts::default() }
    );
}

async fn a_flushed_script_is_taught_again<L: Limiter>() {
    let redis = server().await;
    let limiter: L = open(redis.url(), slow(20));
    for left in (0..20).rev() {
        assert_eq!(decide(&limiter, "a", 1).await.remaining, left);
        redis.script_flush().await.expect("it flushes");
    }
    assert!(!decide(&limiter, "a", 1).await.allowed);
}

async fn only_what_was_spent_is_kept<L: Limiter>() {
    let redis = server().await;
    let mut look = look(&redis).await;
    let quota = Quota::new(5, Duration::from_millis(100)).expect("a quota");
    let limiter: L = open(redis.url(), quota);
    for cost in [0, 6, u32::MAX] {
        assert_eq!(decide(&limiter, "a", cost).await.allowed, cost == 0);
        assert_eq!(look.exists("a").await, Ok(false), "a cost of {cost} leaves nothing");
    }
    let full_in = decide(&limiter, "a", 5).await.reset_after;
    assert_eq!(full_in, quota.window());
    let ttl = Duration::from_millis(look.pttl("a").await.expect("a TTL above zero"));
    assert!(ttl <= full_in + Duration::from_millis(2), "{ttl:?}");
    tokio::time::sleep(full_in + Duration::from_millis(2)).await;
    assert_eq!(look.exists("a").await, Ok(false), "a whole burst needs no key");
    assert_eq!(decide(&limiter, "a", 0).await.remaining, 5);
}

async fn the_server_looks_at_its_clock_when_it_decides<L: Limiter>() {
    let redis = server().await;
    let proxy = behind(&redis).await;
    let limiter: L = open(proxy.url(), Quota::new(1, Duration::from_millis(200)).expect("a quota"));
    assert!(decide(&limiter, "a", 1).await.allowed);
    // What is asked while the key is empty arrives when it is not.
    proxy.set_delay(Duration::from_millis(250));
    assert!(decide(&limiter, "a", 1).await.allowed);
}

async fn of_many_at_once_only_the_burst_passes<L: Limiter>() {
    const CLIENTS: usize = 20;
    let redis = server().await;
    let gate = Gate::barrier(CLIENTS);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let proxy = behind(&redis).await;
        let limiter: L = open(proxy.url(), slow(7));
        let _ = proxy.hold_at(&gate, |_| true);
        clients.push(async move {
            let _proxy = proxy;
            decide(&limiter, "a", 1).await.allowed
        });
    }
    let allowed = together(clients).await;
    assert_eq!(allowed.into_iter().filter(|allowed| *allowed).count(), 7);
}

async fn a_broken_connection_is_asked_over_once<L: Limiter>() {
    let redis = server().await;
    let proxy = behind(&redis).await;
    let limiter: L = open(proxy.url(), slow(10));
    assert_eq!(decide(&limiter, "a", 1).await.remaining, 9);
    let cut = proxy.cut_request(|_| true);
    assert_eq!(decide(&limiter, "a", 1).await.remaining, 8, "it never came to Redis");
    assert_eq!(cut.count(), 1);
    let cut = proxy.cut_reply(|_| true);
    assert_eq!(decide(&limiter, "a", 1).await.remaining, 6, "it did, so the key paid twice");
    assert_eq!(cut.count(), 1);
    proxy.kill_connections();
    assert_eq!(decide(&limiter, "a", 1).await.remaining, 5);
    assert!(redis.kill_clients().await.expect("it kills") > 0);
    assert_eq!(decide(&limiter, "a", 1).await.remaining, 4);
}

async fn odd_keys_are_keys<L: Limiter>() {
    let redis = server().await;
    let limiter: L = open(redis.url(), slow(10));
    for key in ["", "{", "a{b}c", "a b\r\n\0", &"long".repeat(10_000)] {
        assert_eq!(decide(&limiter, key, 4).await.remaining, 6, "{key:?} has its own quota");
    }
    assert!(!decide(&limiter, "a{b}c", 7).await.allowed);
}

async fn what_somebody_else_keeps_at_the_key_is_an_outage<L: Limiter>() {
    let redis = server().await;
    let () = look(&redis).await.lpush("a", "a list").await.expect("it is pushed");
    let limiter: L = open(redis.url(), slow(10));
    let decision = limiter.decide("a", 1).await;
    assert_eq!((decision.allowed, decision.by), (true, By::Outage));
}

macro_rules! of_both {
    ($($test:ident),+ $(,)?) => {
        mod gcra { $(#[tokio::test] async fn $test() { super::$test::<super::Gcra>().await })+ }
        mod token_bucket {
            $(#[tokio::test] async fn $test() { super::$test::<super::TokenBucket>().await })+
        }
    };
}

of_both!(
    one_round_trip,
    a_flushed_script_is_taught_again,
    only_what_was_spent_is_kept,
    the_server_looks_at_its_clock_when_it_decides,
    of_many_at_once_only_the_burst_passes,
    a_broken_connection_is_asked_over_once,
    odd_keys_are_keys,
    what_somebody_else_keeps_at_the_key_is_an_outage,
);
