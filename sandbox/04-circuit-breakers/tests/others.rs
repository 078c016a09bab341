//! What other breakers do where this one was wrapped: the facts behind the lesson, as tests. A new
//! version of a crate that behaves otherwise fails here, and the page has to be rewritten.
//!
//! All are told the same: three failures in a row, three probes.

use circuit_breakers::circuit_breaker::{Breaker, CallError, CircuitBreaker, Config, Judgement};
use failsafe::backoff::Constant;
use failsafe::failure_policy::ConsecutiveFailures;
use failsafe::{StateMachine, backoff, failure_policy};
use recloser::{AsyncRecloser, Recloser};
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use testbed::gate::Gate;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tower_resilience_circuitbreaker as tower_resilience;
use tower_service::Service;

const ROW: usize = 3;
/// Where it has to be over; or, if nothing was late, not over yet.
const OPEN_FOR: Duration = Duration::from_millis(100);
const HOUR: Duration = Duration::from_secs(3_600);
const SOON: Duration = Duration::from_secs(10);

#[derive(Debug)]
enum Trouble {
    Down,
    NotFound,
}

type Answer = Result<(), Trouble>;
type Call = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// A breaker: whether it let a call in that has ended.
trait Other: Clone + Send + Sync + 'static {
    fn new(open_for: Duration) -> Self;
    fn call(&self, call: Call) -> impl Future<Output = bool> + Send;
}

#[derive(Clone)]
struct Failsafe(StateMachine<ConsecutiveFailures<Constant>, ()>);

impl Other for Failsafe {
    fn new(open_for: Duration) -> Failsafe {
        let policy = failure_policy::consecutive_failures(3, backoff::constant(open_for));
        Failsafe(failsafe::Config::new().failure_policy(policy).build())
    }

    // What its `futures-support` does, by the same three functions.
    async fn call(&self, call: Call) -> bool {
        if !self.0.is_call_permitted() {
            return false;
        }
        match call.await {
            Err(Trouble::Down) => self.0.on_error(),
            Ok(()) | Err(Trouble::NotFound) => self.0.on_success(),
        }
        true
    }
}

#[derive(Clone)]
struct Recloses(AsyncRecloser);

impl Other for Recloses {
    fn new(open_for: Duration) -> Recloses {
        // It knows rates and no rows: all of the last three.
        let recloser = Recloser::custom().error_rate_closed(0.99).error_rate_half_open(0.3);
        let recloser = recloser.closed_len(ROW).half_open_len(3).open_wait(open_for).build();
        Recloses(AsyncRecloser::from(recloser))
    }

    async fn call(&self, call: Call) -> bool {
        let down = |trouble: &Trouble| matches!(trouble, Trouble::Down);
        !matches!(self.0.call_with(down, call).await, Err(recloser::Error::Rejected))
    }
}

/// A service that does what it is given.
#[derive(Clone)]
struct Does;

impl Service<Call> for Does {
    type Response = ();
    type Error = Trouble;
    type Future = Call;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Answer> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Call {
        call
    }
}

type IsDown = tower_resilience::FnClassifier<fn(&Answer) -> bool>;

#[derive(Clone)]
struct TowerResilience(tower_resilience::CircuitBreaker<Does, IsDown>);

impl Other for TowerResilience {
    fn new(open_for: Duration) -> TowerResilience {
        let down: fn(&Answer) -> bool = |answer| matches!(answer, Err(Trouble::Down));
        let layer = tower_resilience::CircuitBreakerLayer::builder()
            .consecutive_failures(ROW)
            .wait_duration_in_open(open_for)
            .permitted_calls_in_half_open(3)
            .failure_classifier(down)
            .build()
            .expect("a configuration that it takes");
        TowerResilience(tower_layer::Layer::layer(&layer, Does))
    }

    async fn call(&self, call: Call) -> bool {
        let mut service = self.0.clone();
        let answer = async {
            poll_fn(|context| service.poll_ready(context)).await?;
            service.call(call).await
        };
        !matches!(answer.await, Err(tower_resilience::CircuitBreakerError::OpenCircuit))
    }
}

#[derive(Clone)]
struct Ours(Arc<Breaker>);

impl Other for Ours {
    fn new(open_for: Duration) -> Ours {
        let slow_after = Duration::from_millis(1);
        let config = Config { failures: 3, open_for, probes: 3, slow_after };
        Ours(Arc::new(Breaker::new(config)))
    }

    async fn call(&self, call: Call) -> bool {
        let judge = |answer: &Answer| match answer {
            Ok(()) => Judgement::Success,
            Err(Trouble::Down) => Judgement::Failure,
            Err(Trouble::NotFound) => Judgement::Ignored,
        };
        !matches!(self.0.call(judge, call).await, Err(CallError::Open(_)))
    }
}

async fn ask(breaker: &impl Other, answer: Answer) -> bool {
    breaker.call(Box::pin(async { answer })).await
}

async fn trip(breaker: &impl Other) {
    for _ in 0..ROW {
        ask(breaker, Err(Trouble::Down)).await;
    }
}

async fn its_time_is_over() {
    tokio::time::sleep(OPEN_FOR + Duration::from_millis(5)).await;
}

/// Whether it is closed: at half-open one failure opens it, closed it takes three. `None` if this was
/// so slow that it may have been open in between.
async fn is_closed(breaker: &impl Other) -> Option<bool> {
    let began = Instant::now();
    ask(breaker, Err(Trouble::Down)).await;
    let ran = ask(breaker, Ok(())).await;
    (began.elapsed() < OPEN_FOR).then_some(ran)
}

/// Asks again where the machine was too slow to tell.
async fn told(scenario: impl AsyncFn() -> Option<bool>) -> bool {
    for _ in 0..20 {
        if let Some(told) = scenario().await {
            return told;
        }
    }
    panic!("this machine takes longer than {OPEN_FOR:?} for two calls; run it when it is idle");
}

/// A call that waits at the gate.
fn hold<B: Other>(breaker: &B, gate: &Gate) -> JoinHandle<bool> {
    let (breaker, gate) = (breaker.clone(), gate.clone());
    tokio::spawn(async move {
        let call = async move {
            gate.pass().await;
            Ok(())
        };
        breaker.call(Box::pin(call)).await
    })
}

fn ended<T>(task: Result<T, JoinError>) -> T {
    task.expect("no breaker panics")
}

/// How many of a hundred that come at once are let in at half-open.
async fn let_in_at_half_open<B: Other>() -> usize {
    let (breaker, gate) = (B::new(OPEN_FOR), Gate::shut());
    trip(&breaker).await;
    its_time_is_over().await;
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let (breaker, gate) = (breaker.clone(), gate.clone());
        callers.spawn(async move { ended(hold(&breaker, &gate).await) });
    }
    let mut refused = 0;
    while refused + gate.count() < 100 {
        tokio::select! {
            Some(ran) = callers.join_next() => refused += usize::from(!ended(ran)),
            _ = gate.arrived(gate.count() + 1, SOON) => {}
        }
    }
    gate.count()
}

/// Whether it is open after fifty callers have waited in vain, and given up.
async fn opens_by_timeouts<B: Other>() -> bool {
    let breaker = B::new(HOUR);
    for _ in 0..50 {
        let patience = Duration::from_millis(2);
        let _ = tokio::time::timeout(patience, breaker.call(Box::pin(pending()))).await;
    }
    !ask(&breaker, Ok(())).await
}

/// Whether calls that began before the trip, and succeed while it is half-open, close it.
async fn closes_by_late_successes<B: Other>() -> Option<bool> {
    let (breaker, early, probes) = (B::new(OPEN_FOR), Gate::shut(), Gate::shut());
    let began: Vec<_> = (0..3).map(|_| hold(&breaker, &early)).collect();
    early.arrived(3, SOON).await.expect("they are let in");
    trip(&breaker).await;
    its_time_is_over().await;
    let probe = hold(&breaker, &probes);
    probes.arrived(1, SOON).await.expect("they are let in");
    early.open();
    for call in began {
        assert!(ended(call.await));
    }
    let closed = is_closed(&breaker).await;
    probe.abort();
    closed
}

/// Whether an error that is not counted ends a row of failures.
async fn ignored_ends_the_row<B: Other>() -> bool {
    let breaker = B::new(HOUR);
    for answer in [Trouble::Down, Trouble::Down, Trouble::NotFound, Trouble::Down] {
        ask(&breaker, Err(answer)).await;
    }
    ask(&breaker, Ok(())).await
}

/// Whether errors that are not counted close it.
async fn ignored_heals<B: Other>() -> Option<bool> {
    let breaker = B::new(OPEN_FOR);
    trip(&breaker).await;
    its_time_is_over().await;
    for _ in 0..3 {
        ask(&breaker, Err(Trouble::NotFound)).await;
    }
    is_closed(&breaker).await
}

/// Whether places are free again after three probes were dropped.
async fn dropped_probes_free_places<B: Other>() -> bool {
    let (breaker, gate) = (B::new(OPEN_FOR), Gate::shut());
    trip(&breaker).await;
    its_time_is_over().await;
    let probes: Vec<_> = (0..3).map(|_| hold(&breaker, &gate)).collect();
    gate.arrived(3, SOON).await.expect("they are let in");
    for probe in probes {
        probe.abort();
        assert!(probe.await.is_err_and(|stopped| stopped.is_cancelled()));
    }
    // Ours takes it for a failure if they had run for a millisecond, and opens anew: that is the
    // other way in which a place is free again.
    its_time_is_over().await;
    ask(&breaker, Ok(())).await
}

/// One scenario, by all of them.
macro_rules! each {
    (told $scenario:ident) => {
        [
            told($scenario::<Failsafe>).await,
            told($scenario::<Recloses>).await,
            told($scenario::<TowerResilience>).await,
            told($scenario::<Ours>).await,
        ]
    };
    ($scenario:ident) => {
        [
            $scenario::<Failsafe>().await,
            $scenario::<Recloses>().await,
            $scenario::<TowerResilience>().await,
            $scenario::<Ours>().await,
        ]
    };
}

#[tokio::test]
async fn of_a_hundred_at_half_open_two_let_in_all() {
    assert_eq!(each!(let_in_at_half_open), [100, 100, 3, 3]);
}

#[tokio::test]
async fn timeouts_around_the_call_count_with_ours_only() {
    assert_eq!(each!(opens_by_timeouts), [false, false, false, true]);
}

#[tokio::test]
async fn late_successes_close_all_but_ours() {
    assert_eq!(each!(told closes_by_late_successes), [true, true, true, false]);
}

#[tokio::test]
async fn what_is_not_counted_ends_a_row_of_all_but_ours() {
    assert_eq!(each!(ignored_ends_the_row), [true, true, true, false]);
}

#[tokio::test]
async fn what_is_not_counted_heals_all_but_ours() {
    assert_eq!(each!(told ignored_heals), [true, true, true, false]);
}

#[tokio::test]
async fn a_dropped_probe_frees_its_place_with_all() {
    assert_eq!(each!(dropped_probes_free_places), [true, true, true, true]);
}
