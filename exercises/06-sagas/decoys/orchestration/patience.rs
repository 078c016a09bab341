//! Wrong about how often, for how long, and after which pause.

use super::usual::{Usual, What, ceiling, up_to};
use sagas::saga::Patience;
use sagas::{Entry, Failure, Saga, Step};
use std::time::Duration;

/// The service was away for a moment, and the order is taken back. Rejected by
/// `not_done_is_tried_again`.
pub(super) struct GivesUpAtOnce;

impl Usual for GivesUpAtOnce {
    fn attempts(patience: &Patience, what: What, _: bool) -> u32 {
        if what == What::Act { 1 } else { patience.attempts }
    }
}

/// "Retries", and one attempt before them. Rejected by `each_step_not_done`.
pub(super) struct OneTooMany;

impl Usual for OneTooMany {
    fn attempts(patience: &Patience, _: What, _: bool) -> u32 {
        patience.attempts + 1
    }
}

/// Until it works. The customer waits. Rejected by `each_step_not_done`.
pub(super) struct ForEver;

impl Usual for ForEver {
    fn attempts(_: &Patience, _: What, _: bool) -> u32 {
        u32::MAX
    }
}

/// Attempts are counted as one counts in an array. Rejected by `not_done_is_tried_again`.
pub(super) struct CountsFromZero;

impl Usual for CountsFromZero {
    fn numbered(nth: u32) -> u32 {
        nth - 1
    }
}

/// Again, at once. Rejected by `pauses`.
pub(super) struct NoPause;

impl Usual for NoPause {
    fn pause(_: &Patience, _: u32) -> Duration {
        Duration::ZERO
    }
}

/// All sagas that met the outage come back in the same moment. Rejected by
/// `apart_after_an_outage`.
pub(super) struct NoJitter;

impl Usual for NoJitter {
    fn pause(patience: &Patience, nth: u32) -> Duration {
        ceiling(patience, nth)
    }
}

/// Half of the pause, and jitter in the other half. Rejected by `pauses`.
pub(super) struct EqualJitter;

impl Usual for EqualJitter {
    fn pause(patience: &Patience, nth: u32) -> Duration {
        ceiling(patience, nth) / 2 + up_to(ceiling(patience, nth) / 2)
    }
}

/// The ceiling doubles and has no end. Rejected by `pauses`.
pub(super) struct NoLongest;

impl Usual for NoLongest {
    fn pause(patience: &Patience, nth: u32) -> Duration {
        up_to(patience.first.saturating_mul(2_u32.saturating_pow(nth - 1)))
    }
}

/// Each pause is as long as the first. Rejected by `pauses`.
pub(super) struct NeverDoubles;

impl Usual for NeverDoubles {
    fn pause(patience: &Patience, _: u32) -> Duration {
        up_to(patience.first)
    }
}

/// Sleeps, and then looks whether an attempt is left. Rejected by `pauses`.
pub(super) struct PausesAfterTheLast;

impl Usual for PausesAfterTheLast {
    const PAUSES_AFTER_THE_LAST: bool = true;
}

/// Somebody was asked, and so time has passed; and where nobody was, the deadline is over. All sagas
/// whose answers are lost in one moment are back in the next. Rejected by `pauses_in_the_dark`.
pub(super) struct NoPauseInTheDark;

impl Usual for NoPauseInTheDark {
    fn pauses(failure: &Failure, what: What) -> bool {
        what != What::Act || !matches!(failure, Failure::Unclear(_))
    }
}

/// To ask changes nothing, so it is asked again at once: a service that is on its knees, by all who
/// wait for it. Rejected by `pauses_in_the_dark`.
pub(super) struct AsksWithoutAPause;

impl Usual for AsksWithoutAPause {
    fn pauses(_: &Failure, what: What) -> bool {
        what != What::Ask
    }
}

/// The patience is read once, at the beginning. In the first test all steps have the same. Rejected by
/// `own_patience`.
pub(super) struct PatienceOfTheFirst;

impl Usual for PatienceOfTheFirst {
    fn patience<C>(saga: &Saga<C>, step: &Step<C>, _: &[Entry]) -> Patience {
        saga.steps.first().unwrap_or(step).patience
    }
}

/// What is undone in the branch of a step that failed is undone with that step's patience. Rejected by
/// `own_patience`.
pub(super) struct PatienceOfTheFailed;

impl Usual for PatienceOfTheFailed {
    fn patience<C>(saga: &Saga<C>, step: &Step<C>, entries: &[Entry]) -> Patience {
        let failed = entries.iter().find_map(|entry| match entry {
            Entry::Refused { step, .. } | Entry::Unknown { step, .. } => Some(step),
            _ => None,
        });
        let failed = saga.steps.iter().find(|step| failed.is_some_and(|name| step.name == name));
        failed.unwrap_or(step).patience
    }
}
