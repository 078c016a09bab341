//! The breaker's core under every order in which threads may come to it, by loom.
//!
//! The very file that ships, with loom's lock and atomics under it. So this needs no `--cfg loom`,
//! which would build tokio and half of the tree anew and differently; it is a test like any other.

use circuit_breakers::circuit_breaker::{Judgement, Metrics, Open, State};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use std::time::Duration;

#[path = "../src/circuit_breaker/core.rs"]
mod core;

/// What the core takes its lock from.
mod sync {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering};
    pub(super) use loom::sync::{Mutex, MutexGuard};
}

use self::core::{Core, Machine, Permit};

/// Opens at the first failure. So many times its time is over when it is asked.
struct Script {
    over: u32,
}

impl Machine for Script {
    fn is_over(&mut self) -> Result<(), Duration> {
        self.over = self.over.checked_sub(1).ok_or(Duration::from_secs(1))?;
        Ok(())
    }

    fn succeeded(&mut self) {}

    fn failed(&mut self) -> bool {
        true
    }
}

fn model(test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    // All bugs of this kind that anybody has found need two or three (Musuvathi and Qadeer, 2007).
    model.preemption_bound = Some(3);
    model.check(test);
}

fn closed(over: u32, probes: u32) -> Arc<Core<Script>> {
    Arc::new(Core::new(Script { over }, probes))
}

fn admitted(core: &Core<Script>) -> Permit {
    core.admit().expect("there is room")
}

fn open(over: u32, probes: u32) -> Arc<Core<Script>> {
    let core = closed(over, probes);
    let permit = admitted(&core);
    assert_eq!(core.settle(permit, Judgement::Failure), Some(State::Open));
    core
}

#[test]
fn no_more_probes_than_places_are_in_flight() {
    model(|| {
        let core = open(1, 1);
        let inside = Arc::new(AtomicU32::new(0));
        let caller = |core: Arc<Core<Script>>, inside: Arc<AtomicU32>| {
            if let Ok(permit) = core.admit() {
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                inside.fetch_sub(1, Ordering::SeqCst);
                assert_eq!(core.settle(permit, Judgement::Ignored), None);
            }
        };
        let threads = [(); 2].map(|()| {
            let (core, inside) = (Arc::clone(&core), Arc::clone(&inside));
            thread::spawn(move || caller(core, inside))
        });
        caller(Arc::clone(&core), inside);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(core.state(), State::HalfOpen);
        let Metrics { ignored, refused, .. } = core.metrics();
        assert!(ignored >= 1, "the first is let in");
        assert_eq!(ignored + refused, 3);
    });
}

#[test]
fn of_many_results_of_one_generation_one_opens_it() {
    model(|| {
        let core = closed(0, 1);
        let permits = [Judgement::Failure, Judgement::Success, Judgement::Failure]
            .map(|judgement| (admitted(&core), judgement));
        let threads = permits.map(|(permit, judgement)| {
            let core = Arc::clone(&core);
            thread::spawn(move || core.settle(permit, judgement))
        });
        let turned = threads.map(|thread| thread.join().unwrap());
        let opened = turned.into_iter().filter(|turned| *turned == Some(State::Open)).count();
        assert_eq!(opened, 1);
        let metrics = core.metrics();
        assert_eq!((metrics.opened, metrics.failed), (1, 1));
        assert_eq!(metrics.succeeded + metrics.late, 2);
        assert_eq!(core.state(), State::Open);
    });
}

#[test]
fn who_comes_after_it_has_opened_finds_it_open() {
    model(|| {
        let core = closed(0, 1);
        let permit = admitted(&core);
        let other = thread::spawn({
            let core = Arc::clone(&core);
            move || match core.admit() {
                // It came before, by the short way past the lock, and may end after.
                Ok(permit) => assert_eq!(core.settle(permit, Judgement::Success), None),
                Err(Open { retry_after }) => assert!(!retry_after.is_zero()),
            }
        });
        core.settle(permit, Judgement::Failure);
        assert!(core.admit().is_err());
        other.join().unwrap();
        assert!(core.admit().is_err());
        assert_eq!(core.state(), State::Open);
    });
}

#[test]
fn a_failed_probe_outweighs_one_that_succeeds_meanwhile() {
    model(|| {
        let core = open(1, 2);
        let probes =
            [Judgement::Success, Judgement::Failure].map(|judgement| (admitted(&core), judgement));
        let threads = probes.map(|(permit, judgement)| {
            let core = Arc::clone(&core);
            thread::spawn(move || core.settle(permit, judgement))
        });
        assert!(core.admit().is_err(), "no place is free, and then it is open");
        let turned = threads.map(|thread| thread.join().unwrap());
        assert!(turned.contains(&Some(State::Open)));
        assert_eq!(core.state(), State::Open);
        assert_eq!(core.metrics().opened, 2);
    });
}

#[test]
fn what_began_before_it_closed_is_not_of_the_new_generation() {
    model(|| {
        let core = closed(1, 1);
        let (early, trip) = (admitted(&core), admitted(&core));
        core.settle(trip, Judgement::Failure);
        let probe = admitted(&core);
        let late = thread::spawn({
            let core = Arc::clone(&core);
            move || core.settle(early, Judgement::Failure)
        });
        assert_eq!(core.settle(probe, Judgement::Success), Some(State::Closed));
        assert_eq!(late.join().unwrap(), None);
        assert_eq!(core.state(), State::Closed);
        assert_eq!(core.metrics().late, 1);
        let permit = admitted(&core);
        assert_eq!(core.settle(permit, Judgement::Failure), Some(State::Open));
    });
}
