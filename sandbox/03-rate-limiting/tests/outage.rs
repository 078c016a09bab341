//! Redis is gone, or hangs: the limiter answers in time as it was told to, counts how often it did,
//! and finds Redis again by itself.

use rate_limiting::gcra::Gcra;
use rate_limiting::limiter::{By, Decision, Limiter, Options, Outage, Quota};
use std::time::{Duration, Instant};
use testbed::proxy::Proxy;

const TIMEOUT: Duration = Duration::from_millis(150);
const SOON: Duration = Duration::from_secs(10);

fn quota() -> Quota {
    Quota::new(5, Duration::from_secs(3_600)).expect("less than a year")
}

fn limiter(url: &str, outage: Outage) -> Gcra {
    let options = Options { timeout: TIMEOUT, outage, ..Options::default() };
    Gcra::open(url, quota(), options).expect("a URL")
}

async fn decide(limiter: &Gcra, cost: u32) -> Decision {
    let began = Instant::now();
    let decision = limiter.decide("a", cost).await;
    let took = began.elapsed();
    // The machine's own lateness is not the limiter's.
    assert!(took < 2 * TIMEOUT + Duration::from_millis(250), "{took:?}");
    decision
}

async fn in_outage(limiter: &Gcra, outage: Outage) {
    let before = limiter.metrics();
    for cost in [0, 1, 5, 6] {
        assert_eq!(decide(limiter, cost).await, Decision::in_outage(outage, quota(), cost));
    }
    let after = limiter.metrics();
    assert_eq!(after.by_outage, before.by_outage + 4);
    assert_eq!(after.allowed + after.refused, before.allowed + before.refused + 4);
}

async fn comes_back(limiter: &Gcra) {
    let began = Instant::now();
    while decide(limiter, 0).await.by == By::Outage {
        assert!(began.elapsed() < SOON, "no decision of Redis's in {SOON:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn open_allows_and_closed_refuses_and_neither_beyond_the_burst() {
    let of = |outage, cost| {
        let Decision { allowed, remaining, retry_after, by, .. } =
            Decision::in_outage(outage, quota(), cost);
        assert_eq!(by, By::Outage);
        (allowed, remaining, retry_after)
    };
    let (now, later) = (Some(Duration::ZERO), Some(Duration::from_secs(1)));
    assert_eq!(of(Outage::Open, 0), (true, 5, now));
    assert_eq!(of(Outage::Open, 5), (true, 5, now));
    assert_eq!(of(Outage::Open, 6), (false, 5, None));
    assert_eq!(of(Outage::Closed, 0), (true, 0, now));
    assert_eq!(of(Outage::Closed, 1), (false, 0, later));
    assert_eq!(of(Outage::Closed, 6), (false, 0, None));
}

#[tokio::test]
async fn a_redis_that_refuses_connections() {
    for outage in [Outage::Open, Outage::Closed] {
        let redis = testbed::redis::private().await.expect("a server");
        let proxy = Proxy::before(redis.url()).await.expect("a proxy");
        let limiter = limiter(proxy.url(), outage);
        assert_eq!(decide(&limiter, 3).await.remaining, 2);
        proxy.refuse();
        in_outage(&limiter, outage).await;
        proxy.accept().await.expect("a socket");
        comes_back(&limiter).await;
        assert_eq!(decide(&limiter, 0).await.remaining, 2, "what was spent before is known");
    }
}

#[tokio::test]
async fn a_redis_that_hangs() {
    for outage in [Outage::Open, Outage::Closed] {
        let redis = testbed::redis::private().await.expect("a server");
        let proxy = Proxy::before(redis.url()).await.expect("a proxy");
        let limiter = limiter(proxy.url(), outage);
        assert_eq!(decide(&limiter, 3).await.remaining, 2);
        proxy.stall();
        in_outage(&limiter, outage).await;
        proxy.resume();
        comes_back(&limiter).await;
    }
}

#[tokio::test]
async fn a_redis_that_is_killed_and_started_anew() {
    let redis = testbed::redis::process().await.expect("a server of our own");
    let limiter = limiter(redis.url(), Outage::Closed);
    assert_eq!(decide(&limiter, 3).await.remaining, 2);
    redis.kill().await.expect("it is ours to kill");
    in_outage(&limiter, Outage::Closed).await;
    redis.restart().await.expect("it comes back");
    comes_back(&limiter).await;
    assert_eq!(decide(&limiter, 0).await.remaining, 5, "it has forgotten, and knows no script");
}

#[tokio::test]
async fn a_program_that_starts_while_redis_is_down() {
    let redis = testbed::redis::private().await.expect("a server");
    let proxy = Proxy::before(redis.url()).await.expect("a proxy");
    proxy.refuse();
    let limiter = limiter(proxy.url(), Outage::Open);
    in_outage(&limiter, Outage::Open).await;
    proxy.accept().await.expect("a socket");
    comes_back(&limiter).await;
    assert_eq!(decide(&limiter, 3).await.remaining, 2);
}

#[tokio::test]
async fn a_second_attempt_ends_in_time_too() {
    let redis = testbed::redis::private().await.expect("a server");
    let proxy = Proxy::before(redis.url()).await.expect("a proxy");
    let limiter = limiter(proxy.url(), Outage::Closed);
    assert_eq!(decide(&limiter, 0).await.by, By::State);
    // The connection breaks, and the next one hangs.
    let cut = proxy.cut_request(|_| true);
    let hung = proxy.hold(|request| request.is("EVALSHA"));
    assert_eq!(decide(&limiter, 1).await.by, By::Outage);
    assert_eq!((cut.count(), hung.count()), (1, 1));
    assert_eq!(limiter.metrics().by_outage, 1);
}
