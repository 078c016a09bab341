//! What a breaker adds to a call that succeeds, beside the bare call and beside other breakers.
//!
//! ```console
//! $ cargo bench -p circuit_breakers --bench circuit_breaker
//! ```
//!
//! The call is ready at once, so that what is left is the breaker, closed, as it nearly always is.
//! After criterion's own figures come the ratios of this run, by one thread and by two that share a
//! breaker. No other breaker here keeps all of the lesson's promises; which ones each keeps is in
//! `tests/others.rs`. The nearest is tower-resilience, which lets no crowd in at half-open. The run
//! fails if this breaker, as a function or as a layer, costs more than 1.5 times as much.

use circuit_breakers::BoxError;
use circuit_breakers::circuit_breaker::{
    Breaker, BreakerLayer, CircuitBreaker, Config, Guarded, Judgement,
};
use criterion::Criterion;
use failsafe::backoff::Constant;
use failsafe::failure_policy::ConsecutiveFailures;
use failsafe::{StateMachine, backoff, failure_policy};
use recloser::{AsyncRecloser, Recloser};
use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll};
use std::time::Duration;
use testbed::ratios::{self, Ratios};
use tokio::runtime::Runtime;
use tower_layer::Layer;
use tower_resilience_circuitbreaker as tower_resilience;
use tower_service::Service;

const OPEN_FOR: Duration = Duration::from_secs(1);

/// What is called.
fn nothing() -> Ready<Result<u64, Infallible>> {
    ready(Ok(black_box(7)))
}

#[derive(Clone)]
struct Nothing;

impl Service<()> for Nothing {
    type Response = u64;
    type Error = Infallible;
    type Future = Ready<Result<u64, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        nothing()
    }
}

/// One call, in one of several ways.
trait Way: Sync {
    fn call(&self) -> impl Future<Output = u64>;
}

struct Bare;

impl Way for Bare {
    async fn call(&self) -> u64 {
        nothing().await.unwrap_or(0)
    }
}

struct Failsafe(StateMachine<ConsecutiveFailures<Constant>, ()>);

impl Way for Failsafe {
    async fn call(&self) -> u64 {
        if !self.0.is_call_permitted() {
            return 0;
        }
        let result = nothing().await;
        self.0.on_success();
        result.unwrap_or(0)
    }
}

struct Recloses(AsyncRecloser);

impl Way for Recloses {
    async fn call(&self) -> u64 {
        self.0.call(nothing()).await.unwrap_or(0)
    }
}

struct Ours(Breaker);

impl Way for Ours {
    async fn call(&self) -> u64 {
        let judge = |result: &Result<u64, Infallible>| match result {
            Ok(_) => Judgement::Success,
            Err(_) => Judgement::Failure,
        };
        self.0.call(judge, nothing()).await.unwrap_or(0)
    }
}

/// Two layers: each makes a service of its own for each call, as a server does.
struct Layered<S>(S);

impl Way for Layered<Guarded<Breaker, Nothing, u64>> {
    async fn call(&self) -> u64 {
        asked(self.0.clone()).await
    }
}

type IsDown = tower_resilience::FnClassifier<fn(&Result<u64, Infallible>) -> bool>;

impl Way for Layered<tower_resilience::CircuitBreaker<Nothing, IsDown>> {
    async fn call(&self) -> u64 {
        asked(self.0.clone()).await
    }
}

async fn asked(mut service: impl Service<(), Response = u64>) -> u64 {
    if poll_fn(|context| service.poll_ready(context)).await.is_err() {
        return 0;
    }
    service.call(()).await.unwrap_or(0)
}

fn breaker() -> Breaker {
    Breaker::new(Config { open_for: OPEN_FOR, ..Config::default() })
}

/// A hundred calls: one is too quick for a clock.
fn hundred(way: &impl Way) -> impl AsyncFn() {
    async || many(way, 100).await
}

/// Ten thousand calls by each of two threads.
fn by_two(way: &impl Way) -> impl AsyncFn() {
    async || {
        let start = Barrier::new(2);
        std::thread::scope(|threads| {
            for _ in 0..2 {
                // A runtime of its own: tower-resilience awaits a lock.
                threads.spawn(|| {
                    let runtime = runtime();
                    start.wait();
                    runtime.block_on(many(way, 10_000));
                });
            }
        });
    }
}

async fn many(way: &impl Way, calls: u32) {
    for _ in 0..calls {
        black_box(way.call().await);
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime without a driver")
}

fn main() -> anyhow::Result<()> {
    let policy = failure_policy::consecutive_failures(5, backoff::constant(OPEN_FOR));
    let failsafe = Failsafe(failsafe::Config::new().failure_policy(policy).build());
    let recloser = Recloses(AsyncRecloser::from(Recloser::custom().build()));
    let down: fn(&Result<u64, Infallible>) -> bool = Result::is_err;
    let theirs = tower_resilience::CircuitBreakerLayer::builder()
        .consecutive_failures(5)
        .wait_duration_in_open(OPEN_FOR)
        .failure_classifier(down)
        .build()?;
    let theirs = Layered(theirs.layer(Nothing));
    let ours = Ours(breaker());
    let layer = BreakerLayer::new(Arc::new(breaker()), |result: &Result<u64, BoxError>| {
        if result.is_ok() { Judgement::Success } else { Judgement::Failure }
    });
    let layer = Layered(layer.layer(Nothing));

    let runtime = runtime();
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("circuit_breaker");
    group.bench_function("the bare call", |b| b.to_async(&runtime).iter(|| Bare.call()));
    group.bench_function("failsafe", |b| b.to_async(&runtime).iter(|| failsafe.call()));
    group.bench_function("recloser", |b| b.to_async(&runtime).iter(|| recloser.call()));
    group.bench_function("tower-resilience, a layer", |b| {
        b.to_async(&runtime).iter(|| theirs.call());
    });
    group.bench_function("this breaker", |b| b.to_async(&runtime).iter(|| ours.call()));
    group
        .bench_function("this breaker, as a layer", |b| b.to_async(&runtime).iter(|| layer.call()));
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        runtime.block_on(async {
            let mut ratios = Ratios::of("circuit_breaker");
            println!("  100 calls by one thread");
            ratios.compare("this / the bare call", hundred(&Bare), hundred(&ours)).await;
            ratios.compare("this / recloser", hundred(&recloser), hundred(&ours)).await;
            ratios.compare("this / failsafe", hundred(&failsafe), hundred(&ours)).await;
            let what = "this / tower-resilience";
            ratios.at_most(1.5, what, hundred(&theirs), hundred(&ours)).await;
            let what = "this as a layer / tower-resilience";
            ratios.at_most(1.5, what, hundred(&theirs), hundred(&layer)).await;
            println!("  10,000 calls by each of two threads");
            let none = f64::INFINITY;
            ratios.at_most_far(none, "this / the bare call", by_two(&Bare), by_two(&ours)).await;
            ratios.at_most_far(none, "this / recloser", by_two(&recloser), by_two(&ours)).await;
            ratios.at_most_far(none, "this / failsafe", by_two(&failsafe), by_two(&ours)).await;
            let what = "this / tower-resilience";
            ratios.at_most_far(1.5, what, by_two(&theirs), by_two(&ours)).await;
            let what = "this as a layer / tower-resilience";
            ratios.at_most_far(1.5, what, by_two(&theirs), by_two(&layer)).await;
            ratios.end();
        });
    }
    Ok(())
}
