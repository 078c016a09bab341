//! A million keys that are seen once: what is left of them, in this process and in Redis.

use rate_limiting::connection;
use rate_limiting::gcra::{Gcra, Local, Single};
use rate_limiting::limiter::{By, GivenClock, Limiter, Options, Quota};
use rate_limiting::token_bucket::TokenBucket;
use redis::aio::MultiplexedConnection;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testbed::redis::Redis;
use testbed::together;

const MILLION: usize = 1_000_000;

fn quota(burst: u32, every: Duration) -> Quota {
    Quota::new(burst, every).expect("less than a year")
}

#[test]
fn a_local_limiter_forgets_who_is_gone() {
    let clock = GivenClock::default();
    let local = Local::with_clock(quota(1, Duration::from_secs(1)), usize::MAX / 2, clock.clone());
    let mut most = 0;
    for key in 0..MILLION {
        // A new client each millisecond: a thousand of them have something to remember.
        clock.set(key as u64 * 1_000);
        assert!(local.decide(&format!("client {key}"), 1).allowed);
        if key % 1_000 == 0 {
            most = most.max(local.keys());
        }
    }
    // 64 shards, in each of which 32 keys are not worth a sweep.
    assert!(most < 2 * 1_000 + 2 * 64 * 32, "{most} keys are kept");
}

#[test]
fn a_local_limiter_that_is_full_lets_newcomers_share() {
    const MOST: usize = 64 * 100;
    let clock = GivenClock::default();
    let local = Local::with_clock(quota(10, Duration::from_secs(1)), MOST, clock.clone());
    let allowed = |from: usize| {
        (from..from + MILLION / 10).filter(|key| local.decide(&key.to_string(), 10).allowed).count()
    };
    // All of them are alive, and not all find a place; one in each shard spends what they share.
    assert_eq!(allowed(0), MOST + 64);
    assert_eq!(local.keys(), MOST);
    assert!(!local.decide("0", 1).allowed, "who has a place is known");
    // A window later all of that is past, and the next ones have their place.
    clock.set(10_000_000);
    assert_eq!(allowed(MILLION), MOST + 64);
    assert!(local.decide("0", 0).allowed);
    assert_eq!(local.keys(), MOST);
}

#[test]
fn a_clock_that_goes_back_behind_a_sweep_gives_no_burst_twice() {
    let clock = GivenClock::default();
    let local = Local::with_clock(quota(1, Duration::from_secs(1)), 100_000, clock.clone());
    clock.set(1_000_000);
    assert!(local.decide("early", 1).allowed);
    clock.set(9_000_000);
    for other in 0..10_000 {
        local.decide(&format!("other {other}"), 1);
    }
    clock.set(1_500_000);
    assert!(
        local.decide("early", 1).allowed,
        "seven seconds have passed for it, and one is enough"
    );
    clock.set(1_000_000);
    assert!(!local.decide("early", 1).allowed);
}

#[test]
fn two_threads_never_spend_the_same_unit() {
    const BURST: u32 = 50_000;
    for round in 0..20 {
        let quota = quota(BURST, Duration::from_secs(600));
        let (single, local) = (Single::new(quota), Local::new(quota, 10));
        let spend = |decide: &(dyn Fn() -> bool + Sync)| -> usize {
            std::thread::scope(|scope| {
                let spend = || (0..BURST).filter(|_| decide()).count();
                let threads = [scope.spawn(spend), scope.spawn(spend)];
                threads.map(|thread| thread.join().expect("no panic")).into_iter().sum()
            })
        };
        assert_eq!(spend(&|| single.decide(1).allowed), BURST as usize, "round {round}");
        assert_eq!(spend(&|| local.decide("a", 1).allowed), BURST as usize, "round {round}");
    }
}

async fn used(look: &mut MultiplexedConnection) -> i64 {
    let info: String =
        redis::cmd("INFO").arg("memory").query_async(look).await.expect("Redis answers");
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    used.and_then(|bytes| bytes.parse().ok()).expect("it says what it uses")
}

async fn keys(look: &mut MultiplexedConnection) -> usize {
    redis::cmd("DBSIZE").query_async(look).await.expect("Redis answers")
}

/// Brings so many keys once, and waits until Redis has forgotten them; the bytes that a key took,
/// and what is left of it.
async fn seen_once<L: Limiter>(
    redis: &Redis,
    count: usize,
    on: impl Fn(Quota, Options) -> L,
) -> (f64, f64) {
    const ABREAST: usize = 64;
    let client = redis::Client::open(redis.url()).expect("a URL");
    let mut look = client.get_multiplexed_async_connection().await.expect("a connection");
    // Long enough that the first are still there when the last have come.
    let window = Duration::from_millis(500 + count as u64 / 20);
    let options = Options { timeout: Duration::from_secs(60), ..Options::default() };
    let limiter = Arc::new(on(quota(1, window), options));
    assert_eq!(limiter.decide("warm", 0).await.by, By::State);
    let before = used(&mut look).await;
    let clients = (0..ABREAST).map(|client| {
        let limiter = Arc::clone(&limiter);
        async move {
            for key in (client..count).step_by(ABREAST) {
                let decision = limiter.decide(&format!("client:{key:07}"), 1).await;
                assert_eq!((decision.allowed, decision.by), (true, By::State));
            }
        }
    });
    together(clients).await;
    let (held, full) = (keys(&mut look).await, used(&mut look).await - before);
    assert!(held > 0, "all keys have gone before they were counted");
    let began = Instant::now();
    while keys(&mut look).await > 0 {
        assert!(began.elapsed() < window + Duration::from_secs(30), "keys outlive their TTL");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let left = used(&mut look).await - before;
    (full as f64 / held as f64, left as f64 / held as f64)
}

async fn redis_forgets_who_is_gone(count: usize) {
    let redis = testbed::redis::process().await.expect("a server of our own");
    let connection = connection::open(redis.url(), Duration::from_secs(60)).expect("a URL");
    let gcra =
        seen_once(&redis, count, |quota, options| Gcra::on(connection.clone(), quota, options));
    let (gcra, gcra_left) = gcra.await;
    let on = |quota, options| TokenBucket::on(connection.clone(), quota, options);
    let (bucket, bucket_left) = seen_once(&redis, count, on).await;
    println!(
        "bytes a key of {count}, and left: {gcra:.0}, {gcra_left:.1} by GCRA; {bucket:.0}, {bucket_left:.1} in buckets"
    );
    assert!(gcra < 250.0 && bucket < 400.0, "{gcra:.0} and {bucket:.0} bytes a key");
    assert!(
        gcra_left < gcra / 4.0 && bucket_left < bucket / 4.0,
        "{gcra_left:.0}, {bucket_left:.0}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_forgets_ten_thousand_who_are_gone() {
    redis_forgets_who_is_gone(10_000).await;
}

/// `cargo test -p rate_limiting --test memory -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn redis_forgets_a_million_who_are_gone() {
    redis_forgets_who_is_gone(MILLION).await;
}

/// What this process has of the machine's memory, in bytes.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number of pages") * 4_096
}

/// `cargo test -p rate_limiting --test memory -- --ignored --nocapture`
#[cfg(target_os = "linux")]
#[test]
#[ignore = "measures the memory of the whole process, and wants to be alone in it"]
fn a_million_keys_in_this_process() {
    let clock = GivenClock::default();
    let local = Local::with_clock(quota(1, Duration::from_secs(1)), MILLION, clock);
    let before = resident();
    for key in 0..MILLION {
        local.decide(&format!("a key that is rather long, as addresses and tokens are: {key}"), 1);
    }
    let (held, bytes) = (local.keys(), resident() - before);
    println!("{held} keys alive: {} kB, {} bytes each", bytes / 1_000, bytes / held);
    assert!(bytes / held < 64, "{} bytes each", bytes / held);
}
