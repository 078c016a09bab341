//! 10,000 random traces: each limiter says what the definition says, to the microsecond.
//!
//! On the real scripts in a real Redis, with costs of 0 and above 1 and above the burst, odd
//! quotas, clocks that go backwards, and times up to 2^53 µs.

mod oracle;

use oracle::{Backwards, Oracle, Saying};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rate_limiting::connection;
use rate_limiting::gcra::{Gcra, Local};
use rate_limiting::limiter::{By, Clock, Decision, GivenClock, Limiter, Options, Quota};
use rate_limiting::token_bucket::TokenBucket;
use redis::aio::ConnectionManager;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use testbed::together;

const TRACES: u32 = 10_000;
/// So many traces are replayed side by side on one connection: ten thousand one after the other
/// would wait for a hundred thousand round trips.
const ABREAST: u32 = 100;

#[derive(Clone, Debug)]
struct Trace {
    quota: Quota,
    requests: Vec<(u64, u32)>,
}

fn quotas() -> impl Strategy<Value = Quota> {
    // Up to eight days for a unit. The bursts are small, as the oracle tries each unit.
    let every = prop_oneof![1..10_u64, 1..1_000_000_u64, Just(333_334), 1..700_000_000_000_u64];
    (1..40_u32, every).prop_map(|(burst, every)| {
        Quota::new(burst, Duration::from_micros(every)).expect("less than a year")
    })
}

/// Where a trace begins: now, the first and the last second that a script can count, any other.
fn beginnings() -> impl Strategy<Value = u64> {
    const NOW: u64 = 1_790_000_000_123_457;
    prop_oneof![
        4 => NOW..NOW + 1_000_000,
        1 => 0..1_000_000_u64,
        2 => GivenClock::LATEST - 1_000_000..=GivenClock::LATEST,
        1 => 0..=GivenClock::LATEST,
    ]
}

fn traces() -> impl Strategy<Value = Trace> {
    quotas().prop_flat_map(|quota| {
        let (every, burst) = (quota.every_micros() as i64, quota.burst());
        // How far the clock goes before a request: not at all, by less than a unit, by about some
        // units, by whole windows; and back.
        let step = prop_oneof![
            3 => Just(0),
            3 => 0..=every,
            2 => (0..=i64::from(burst)).prop_map(move |units| units * every),
            2 => (1..=i64::from(burst) + 1, -1..=1_i64).prop_map(move |(units, off)| units * every + off),
            1 => 0..=3 * every * i64::from(burst),
            2 => (0..=2 * every * i64::from(burst)).prop_map(|back| -back),
        ];
        let cost = prop_oneof![
            1 => Just(0),
            5 => Just(1),
            4 => 1..=burst,
            1 => Just(burst),
            1 => burst + 1..=u32::MAX,
        ];
        (beginnings(), prop::collection::vec((step, cost), 1..24)).prop_map(move |(begin, steps)| {
            let mut now = begin;
            let requests = steps.into_iter().map(|(step, cost)| {
                now = now.saturating_add_signed(step).min(GivenClock::LATEST);
                (now, cost)
            });
            Trace { quota, requests: requests.collect() }
        })
    })
}

fn said(decision: Decision) -> Saying {
    assert_eq!(decision.by, By::State, "Redis is there");
    let Decision { allowed, remaining, retry_after, reset_after, .. } = decision;
    Saying { allowed, remaining, retry_after, reset_after }
}

/// Replays `trace` on the limiter, and compares each answer.
async fn replay(
    trace: Trace,
    limiter: impl Limiter,
    clock: GivenClock,
    backwards: Backwards,
) -> Result<(), String> {
    static KEYS: AtomicU64 = AtomicU64::new(0);
    let key = format!("trace:{}", KEYS.fetch_add(1, Ordering::Relaxed));
    let mut oracle = Oracle::new(trace.quota, backwards);
    for (nth, (now, cost)) in trace.requests.iter().copied().enumerate() {
        clock.set(now);
        let says = said(limiter.decide(&key, cost).await);
        let should = oracle.decide(now, cost);
        if says != should {
            return Err(format!("request {nth} of {trace:?}: {says:?}, and should {should:?}"));
        }
    }
    Ok(())
}

fn check<L: Limiter>(backwards: Backwards, on: impl Fn(ConnectionManager, Quota, Options) -> L) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let redis = runtime.block_on(testbed::redis::private()).expect("a server");
    let timeout = Duration::from_secs(30);
    let connection =
        runtime.block_on(async { connection::open(redis.url(), timeout) }).expect("a URL");
    let config = Config { cases: TRACES / ABREAST, failure_persistence: None, ..Config::default() };
    let batches = prop::collection::vec(traces(), ABREAST as usize);
    let checked = TestRunner::new(config).run(&batches, |batch| {
        let replays = batch.into_iter().map(|trace| {
            let clock = GivenClock::default();
            let options =
                Options { timeout, clock: Clock::Given(clock.clone()), ..Options::default() };
            let limiter = on(connection.clone(), trace.quota, options);
            replay(trace, limiter, clock, backwards)
        });
        let failed = runtime.block_on(together(replays)).into_iter().find_map(Result::err);
        failed.map_or(Ok(()), |failure| Err(TestCaseError::fail(failure)))
    });
    checked.unwrap_or_else(|failure| match failure {
        proptest::test_runner::TestError::Fail(reason, _) => panic!("{reason}"),
        other => panic!("{other}"),
    });
}

/// The same as in Redis, without a round trip: one at a time will do.
#[test]
fn gcra_in_memory() {
    let config = Config { cases: TRACES, failure_persistence: None, ..Config::default() };
    let checked = TestRunner::new(config).run(&traces(), |trace| {
        let clock = GivenClock::default();
        let local = Local::with_clock(trace.quota, 64, clock.clone());
        let mut oracle = Oracle::new(trace.quota, Backwards::AsShown);
        for (now, cost) in trace.requests {
            clock.set(now);
            prop_assert_eq!(said(local.decide("a key", cost)), oracle.decide(now, cost));
        }
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn gcra_in_redis() {
    check(Backwards::AsShown, Gcra::on);
}

#[test]
fn token_bucket_in_redis() {
    check(Backwards::Stands, TokenBucket::on);
}
