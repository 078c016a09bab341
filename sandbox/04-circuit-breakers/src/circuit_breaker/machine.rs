//! failsafe's state machine, as the core asks it.

use super::core::Machine;
use failsafe::{FailurePolicy, StateMachine};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The machine, and what it does not tell: for how long it has opened. Its policy knows.
pub(super) struct Failsafe {
    machine: StateMachine<Overheard, ()>,
    heard: Heard,
    open_for: Duration,
    until: Instant,
}

type Heard = Arc<Mutex<Option<Duration>>>;

/// A policy that writes down what it says.
struct Overheard {
    policy: Box<dyn FailurePolicy + Send>,
    heard: Heard,
}

/// failsafe adds the time to a clock, and a longer one would overflow it.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3_600);

impl Failsafe {
    pub(super) fn new(policy: impl FailurePolicy + Send + 'static) -> Failsafe {
        let heard = Heard::default();
        let policy = Overheard { policy: Box::new(policy), heard: Arc::clone(&heard) };
        let machine = StateMachine::new(policy, ());
        Failsafe { machine, heard, open_for: Duration::ZERO, until: Instant::now() }
    }
}

impl Machine for Failsafe {
    fn is_over(&mut self) -> Result<(), Duration> {
        match self.machine.is_call_permitted() {
            true => Ok(()),
            false => Err(self.until.saturating_duration_since(Instant::now())),
        }
    }

    fn succeeded(&mut self) {
        self.machine.on_success();
    }

    fn failed(&mut self) -> bool {
        self.machine.on_error();
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner).take();
        // At half-open it opens whatever the policy says, and without a word for as long as before.
        self.open_for = heard.unwrap_or(self.open_for);
        self.until = Instant::now() + self.open_for;
        heard.is_some()
    }
}

impl FailurePolicy for Overheard {
    fn record_success(&mut self) {
        self.policy.record_success();
    }

    fn mark_dead_on_failure(&mut self) -> Option<Duration> {
        let open_for = self.policy.mark_dead_on_failure().map(|time| time.min(LONGEST));
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = open_for;
        open_for
    }

    fn revived(&mut self) {
        self.policy.revived();
    }
}
