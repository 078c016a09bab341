//! Who is let in, and whose result counts: the part that many threads enter at once.
//!
//! It knows neither failsafe nor a clock, so that `tests/loom.rs` can take this very file, put
//! loom's lock under it, and try every order in which threads may come.

use super::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use super::{Judgement, Metrics, Open, State};
use std::sync::PoisonError;
use std::time::Duration;

/// What decides when to open and for how long.
pub(super) trait Machine {
    /// Asked while open: may somebody be let in?
    ///
    /// # Errors
    /// How long it will take until then.
    fn is_over(&mut self) -> Result<(), Duration>;

    /// Told of a success while closed, and of the one that closes.
    fn succeeded(&mut self);

    /// Told of a failure, whether it opens. At half-open it always does.
    fn failed(&mut self) -> bool;
}

/// Leave to call once. It has to be given back.
#[derive(Debug)]
#[must_use]
pub(super) struct Permit {
    generation: u64,
}

pub(super) struct Core<M> {
    /// The generation, while the breaker is closed. A call that finds it is let in without waiting
    /// for the lock: all that a permit needs to hold is the generation in which it began.
    closed: AtomicU64,
    probes: u32,
    inside: Mutex<Inside<M>>,
}

const NOT_CLOSED: u64 = u64::MAX;

struct Inside<M> {
    machine: M,
    phase: Phase,
    generation: u64,
    metrics: Metrics,
}

#[derive(Clone, Copy)]
enum Phase {
    Closed,
    Open,
    HalfOpen { in_flight: u32, succeeded: u32 },
}

impl<M: Machine> Core<M> {
    pub(super) fn new(machine: M, probes: u32) -> Core<M> {
        let (phase, generation, metrics) = (Phase::Closed, 0, Metrics::default());
        let inside = Mutex::new(Inside { machine, phase, generation, metrics });
        Core { closed: AtomicU64::new(generation), probes: probes.max(1), inside }
    }

    // ANCHOR: core
    /// Lets a call in, or not. What it gets has to be settled.
    pub(super) fn admit(&self) -> Result<Permit, Open> {
        let generation = self.closed.load(Ordering::Acquire);
        if generation != NOT_CLOSED {
            return Ok(Permit { generation });
        }
        let mut inside = self.lock();
        if matches!(inside.phase, Phase::Open) {
            match inside.machine.is_over() {
                Ok(()) => self.turn(&mut inside, Phase::HalfOpen { in_flight: 0, succeeded: 0 }),
                Err(retry_after) => return Err(inside.refuse(retry_after)),
            }
        }
        if let Phase::HalfOpen { in_flight, succeeded } = &mut inside.phase {
            // Succeeded ones count as well. Otherwise a quick dependency that is still ill is asked
            // by as many as come, k at a time.
            if *in_flight + *succeeded >= self.probes {
                return Err(inside.refuse(Duration::ZERO));
            }
            *in_flight += 1;
        }
        Ok(Permit { generation: inside.generation })
    }

    /// Takes a permit back, with what came of it. Tells the state if that has changed it.
    pub(super) fn settle(&self, permit: Permit, judgement: Judgement) -> Option<State> {
        let mut inside = self.lock();
        if permit.spend() != inside.generation {
            inside.metrics.late += 1;
            return None;
        }
        inside.count(judgement);
        let next = match (&mut inside.phase, judgement) {
            (Phase::Closed, Judgement::Success) => {
                inside.machine.succeeded();
                return None;
            }
            (Phase::Closed, Judgement::Failure) => {
                inside.machine.failed().then_some(Phase::Open)?
            }
            (Phase::HalfOpen { .. }, Judgement::Failure) => {
                inside.machine.failed();
                Phase::Open
            }
            (Phase::HalfOpen { in_flight, succeeded }, Judgement::Success) => {
                *in_flight -= 1;
                *succeeded += 1;
                if *succeeded < self.probes {
                    return None;
                }
                inside.machine.succeeded();
                Phase::Closed
            }
            (Phase::HalfOpen { in_flight, .. }, Judgement::Ignored) => {
                *in_flight -= 1;
                return None;
            }
            // Nobody is let in while it is open, so nobody has a permit of such a generation.
            (Phase::Closed, Judgement::Ignored) | (Phase::Open, _) => return None,
        };
        self.turn(&mut inside, next);
        Some(inside.phase.state())
    }

    fn turn(&self, inside: &mut Inside<M>, phase: Phase) {
        inside.phase = phase;
        inside.generation += 1;
        inside.metrics.opened += u64::from(matches!(phase, Phase::Open));
        let closed = matches!(phase, Phase::Closed);
        self.closed.store(if closed { inside.generation } else { NOT_CLOSED }, Ordering::Release);
    }
    // ANCHOR_END: core

    pub(super) fn state(&self) -> State {
        self.lock().phase.state()
    }

    pub(super) fn metrics(&self) -> Metrics {
        self.lock().metrics
    }

    fn lock(&self) -> MutexGuard<'_, Inside<M>> {
        // Only a policy of the user's can panic in here, and it does so before anything changes.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    fn spend(self) -> u64 {
        self.generation
    }
}

impl<M> Inside<M> {
    fn count(&mut self, judgement: Judgement) {
        *match judgement {
            Judgement::Success => &mut self.metrics.succeeded,
            Judgement::Failure => &mut self.metrics.failed,
            Judgement::Ignored => &mut self.metrics.ignored,
        } += 1;
    }

    fn refuse(&mut self, retry_after: Duration) -> Open {
        self.metrics.refused += 1;
        Open { retry_after }
    }
}

impl Phase {
    fn state(self) -> State {
        match self {
            Phase::Closed => State::Closed,
            Phase::Open => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }
}
