//! The breaker against a model of it: random calls that overlap, end in every way, while time
//! passes.
//!
//! The model knows nothing of locks, permits or failsafe. Time is virtual, on both clocks that the
//! breaker looks at: failsafe's own, by the switch of its tests, and tokio's.

use circuit_breakers::circuit_breaker::{
    Breaker, CallError, CircuitBreaker, Config, Judgement, State,
};
use proptest::prelude::*;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
enum Op {
    Begin,
    /// Ends one of the calls that are under way, counted round.
    End(usize, End),
    /// Milliseconds.
    Wait(u64),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Judged(Judgement),
    Panics,
    IsDropped,
}

fn op() -> impl Strategy<Value = Op> {
    let end = prop_oneof![
        4 => Just(End::Judged(Judgement::Success)),
        4 => Just(End::Judged(Judgement::Failure)),
        1 => Just(End::Judged(Judgement::Ignored)),
        1 => Just(End::Panics),
        2 => Just(End::IsDropped),
    ];
    prop_oneof![
        4 => Just(Op::Begin),
        4 => (any::<usize>(), end).prop_map(|(which, end)| Op::End(which, end)),
        2 => (0..30_u64).prop_map(Op::Wait),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let millis = || (1..40_u64).prop_map(Duration::from_millis);
    (1..4_u32, millis(), 1..4_u32, millis()).prop_map(|(failures, open_for, probes, slow_after)| {
        Config { failures, open_for, probes, slow_after }
    })
}

/// The breaker, for one caller at a time.
struct Model {
    config: Config,
    now: Duration,
    epoch: u32,
    phase: Phase,
    opened: u64,
}

enum Phase {
    Closed { row: u32 },
    Open { until: Duration },
    HalfOpen { places: u32, missing: u32 },
}

/// When a call began, and in which epoch.
#[derive(Clone, Copy)]
struct Began {
    epoch: u32,
    at: Duration,
}

impl Model {
    fn begins(&mut self) -> Option<Began> {
        if let Phase::Open { until } = self.phase {
            if self.now <= until {
                return None;
            }
            let probes = self.config.probes;
            self.turn(Phase::HalfOpen { places: probes, missing: probes });
        }
        if let Phase::HalfOpen { places, .. } = &mut self.phase {
            *places = places.checked_sub(1)?;
        }
        Some(Began { epoch: self.epoch, at: self.now })
    }

    fn ends(&mut self, began: Began, end: End) {
        if began.epoch != self.epoch {
            return;
        }
        let in_vain = self.now - began.at >= self.config.slow_after;
        let judgement = match end {
            End::Judged(judgement) => judgement,
            End::Panics | End::IsDropped if in_vain => Judgement::Failure,
            End::Panics | End::IsDropped => Judgement::Ignored,
        };
        match (&mut self.phase, judgement) {
            (Phase::Closed { row }, Judgement::Success) => *row = 0,
            (Phase::Closed { row }, Judgement::Failure) => {
                *row += 1;
                if *row == self.config.failures {
                    self.opens();
                }
            }
            (Phase::HalfOpen { missing, .. }, Judgement::Success) => {
                *missing -= 1;
                if *missing == 0 {
                    self.turn(Phase::Closed { row: 0 });
                }
            }
            (Phase::HalfOpen { .. }, Judgement::Failure) => self.opens(),
            (Phase::HalfOpen { places, .. }, Judgement::Ignored) => *places += 1,
            (Phase::Closed { .. }, Judgement::Ignored) => {}
            (Phase::Open { .. }, _) => unreachable!("nobody began in this epoch"),
        }
    }

    fn opens(&mut self) {
        self.opened += 1;
        self.turn(Phase::Open { until: self.now + self.config.open_for });
    }

    fn turn(&mut self, phase: Phase) {
        self.epoch += 1;
        self.phase = phase;
    }

    fn state(&self) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }
}

type Call = Pin<Box<dyn Future<Output = Result<Judgement, CallError<Judgement>>>>>;

/// A call that ends when and as it is told to.
struct Running {
    call: Call,
    told: Arc<Mutex<Option<End>>>,
    began: Began,
}

fn begin(breaker: &Arc<Breaker>) -> (Call, Arc<Mutex<Option<End>>>) {
    let told = Arc::new(Mutex::new(None));
    let (breaker, hears) = (Arc::clone(breaker), Arc::clone(&told));
    let inside = poll_fn(move |_| match *hears.lock().expect("no panic under it") {
        None | Some(End::IsDropped) => Poll::Pending,
        Some(End::Judged(Judgement::Success)) => Poll::Ready(Ok(Judgement::Success)),
        Some(End::Judged(judgement)) => Poll::Ready(Err(judgement)),
        // Past the hook, which would write it to the screen.
        Some(End::Panics) => resume_unwind(Box::new("a bug")),
    });
    let judge = |result: &Result<Judgement, Judgement>| match result {
        Ok(judgement) | Err(judgement) => *judgement,
    };
    let call = Box::pin(async move { breaker.call(judge, inside).await });
    (call, told)
}

/// `None` while it runs or if it panicked.
fn poll(call: &mut Call) -> Option<Result<Judgement, CallError<Judgement>>> {
    let mut context = Context::from_waker(Waker::noop());
    match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut context))) {
        Ok(Poll::Ready(result)) => Some(result),
        Ok(Poll::Pending) | Err(_) => None,
    }
}

fn agree(config: Config, ops: &[Op]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread");
    let _in_virtual_time = runtime.enter();
    failsafe::clock::freeze(|clock| {
        let breaker = Arc::new(Breaker::new(config));
        let phase = Phase::Closed { row: 0 };
        let mut model = Model { config, now: Duration::ZERO, epoch: 0, phase, opened: 0 };
        let mut running: Vec<Running> = Vec::new();
        for op in ops {
            match *op {
                Op::Begin => {
                    let (mut call, told) = begin(&breaker);
                    let refused = poll(&mut call).is_some();
                    let began = model.begins();
                    prop_assert_eq!(refused, began.is_none(), "refused");
                    running.extend(began.map(|began| Running { call, told, began }));
                }
                Op::End(..) if running.is_empty() => {}
                Op::End(which, end) => {
                    let at = which % running.len();
                    let Running { mut call, told, began } = running.swap_remove(at);
                    *told.lock().expect("no panic under it") = Some(end);
                    let result = poll(&mut call);
                    drop(call);
                    prop_assert_eq!(result.is_some(), matches!(end, End::Judged(_)));
                    model.ends(began, end);
                }
                Op::Wait(millis) => {
                    let time = Duration::from_millis(millis);
                    clock.advance(time);
                    runtime.block_on(tokio::time::advance(time));
                    model.now += time;
                }
            }
            prop_assert_eq!(breaker.state(), model.state());
            prop_assert_eq!(breaker.metrics().opened, model.opened);
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn it_does_what_the_model_does(
        config in config(),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        agree(config, &ops)?;
    }
}
