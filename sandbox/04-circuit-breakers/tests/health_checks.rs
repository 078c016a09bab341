//! The reference alone: its stages, its rounds, its count. What it owes to a real Redis that hangs
//! or dies is shown by the exercise's checks, which it has to pass as well.

use circuit_breakers::health_checks::{
    Config, Dependency, DrainLayer, Drained, Health, Report, Status, Vitals,
};
use std::convert::Infallible;
use std::future::{Ready, pending, poll_fn, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use testbed::gate::Gate;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

const SECOND: Duration = Duration::from_secs(1);

fn config(timeout: Duration, fresh_for: Duration) -> Config {
    Config { timeout, fresh_for }
}

fn running(config: Config, dependencies: Vec<Dependency>) -> Vitals {
    let health = Vitals::new(config, dependencies);
    health.started();
    health
}

fn counted(asked: &Arc<AtomicUsize>) -> Dependency {
    let asked = Arc::clone(asked);
    Dependency::critical("counted", move || {
        asked.fetch_add(1, Ordering::SeqCst);
        ready(Ok(()))
    })
}

#[tokio::test(start_paused = true)]
async fn a_report_is_good_for_as_long_as_it_says() {
    let asked = Arc::default();
    let health = running(config(SECOND, SECOND), vec![counted(&asked)]);
    for (wait, so_far) in [(0, 1), (999, 1), (1, 2), (1, 2), (2_000, 3)] {
        tokio::time::advance(Duration::from_millis(wait)).await;
        assert_eq!(health.ready().await.status, Status::Pass);
        assert_eq!(asked.load(Ordering::SeqCst), so_far, "after {wait} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn hanging_dependencies_cost_one_timeout_and_are_dropped() {
    let alive = Arc::new(());
    let hangs = |name| {
        let alive = Arc::clone(&alive);
        Dependency::critical(name, move || {
            let alive = Arc::clone(&alive);
            async move {
                pending::<()>().await;
                drop(alive);
                Ok(())
            }
        })
    };
    let health = running(config(SECOND, Duration::ZERO), vec![hangs("a"), hangs("b"), hangs("c")]);
    for _ in 0..5 {
        let began = Instant::now();
        let report = health.ready().await;
        assert_eq!(began.elapsed(), SECOND);
        for seen in report.checks {
            assert_eq!((seen.status, seen.took), (Status::Fail, SECOND));
            assert_eq!(seen.output.as_deref(), Some("no answer within 1s"));
        }
    }
    // Aborted tasks are dropped when the runtime comes by.
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(Arc::strong_count(&alive), 1 + 3, "the three checks themselves, and no question");
}

#[tokio::test]
async fn before_the_start_and_after_a_drain_nobody_is_asked() {
    let asked = Arc::default();
    let health = Vitals::new(config(SECOND, Duration::ZERO), vec![counted(&asked)]);
    let away = |why| Report::fail(why);
    assert_eq!(health.ready().await, away("starting"));
    health.drain();
    assert_eq!(health.ready().await, away("draining"));
    health.started();
    assert_eq!(health.ready().await, away("draining"), "a late start undoes no drain");
    assert_eq!(health.live(), Report::pass());
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

/// A round that is lost with its runtime is not waited for by the next.
#[test]
fn a_round_whose_runtime_is_gone_is_begun_again() {
    let gate = Gate::shut();
    let held = gate.clone();
    let health = Arc::new(running(
        config(SECOND, SECOND),
        vec![Dependency::critical("held", move || {
            let gate = held.clone();
            async move {
                gate.pass().await;
                Ok(())
            }
        })],
    ));
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (first, probed) = (runtime(), Arc::clone(&health));
    let probe = first.spawn(async move { probed.ready().await });
    first.block_on(gate.arrived(1, 5 * SECOND)).unwrap();
    first.shutdown_background();
    drop(probe);
    gate.open();
    let report = runtime().block_on(async {
        // The task of the first runtime ends on its own thread, some time soon.
        for _ in 0..500 {
            let report = health.ready().await;
            if report.status == Status::Pass {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        health.ready().await
    });
    assert_eq!(report.status, Status::Pass, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_with_the_last_or_with_the_time() {
    let health = Arc::new(running(Config::default(), Vec::new()));
    let before = health.enter();
    drop(before);
    let (first, second, third) = (health.enter(), health.enter(), health.enter());
    health.drain();
    drop(first);
    assert_eq!(health.drained(SECOND).await, Drained { finished: 1, lost: 2 });
    let late = health.enter();
    let waiting = tokio::spawn({
        let health = Arc::clone(&health);
        async move { health.drained(60 * SECOND).await }
    });
    drop((second, third));
    tokio::time::sleep(SECOND).await;
    assert!(!waiting.is_finished(), "one that came during the drain is waited for as well");
    drop(late);
    assert_eq!(waiting.await.unwrap(), Drained { finished: 4, lost: 0 });
}

/// Panics when it is called, and answers nothing where it is not.
#[derive(Clone)]
struct Odd {
    panics: bool,
}

impl Service<()> for Odd {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        assert!(!self.panics, "on purpose");
        ready(Ok(()))
    }
}

#[tokio::test]
async fn the_layer_counts_from_the_call_to_the_answer() {
    let health = Arc::new(running(Config::default(), Vec::new()));
    let layer = DrainLayer::new(Arc::clone(&health));
    let mut service = layer.clone().layer(Odd { panics: false });
    poll_fn(|context| service.poll_ready(context)).await.unwrap();
    let never_polled = service.call(());
    assert_eq!(health.drained(Duration::ZERO).await, Drained { finished: 0, lost: 1 });
    drop(never_polled);
    let mut answered = service.call(());
    (&mut answered).await.unwrap();
    // The future is still there, and the answer is given.
    assert_eq!(health.drained(Duration::ZERO).await, Drained { finished: 2, lost: 0 });
    let mut panics = layer.layer(Odd { panics: true });
    let panicked = tokio::spawn(async move { panics.call(()).await }).await;
    assert!(panicked.unwrap_err().is_panic());
    assert_eq!(health.drained(Duration::ZERO).await, Drained { finished: 3, lost: 0 });
}
