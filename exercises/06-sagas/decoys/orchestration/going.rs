//! Wrong on the way: which step comes next, how often, after which pause.

use super::usual::{Usual, ceiling, up_to};
use sagas::saga::{Patience, UnknownStep};
use sagas::{Entry, Next, Outcome, Saga};
use std::time::Duration;

use super::usual::What;

/// Whether the saga goes back, and up to which step.
fn back<C>(saga: &Saga<C>, entries: &[Entry]) -> Option<usize> {
    let place = |name: &str| saga.steps.iter().position(|step| step.name == name);
    entries.iter().find_map(|entry| match entry {
        Entry::Refused { step, .. } => place(step),
        Entry::Unknown { step, .. } => place(step).map(|at| at + 1),
        _ => None,
    })
}

fn is_undone(entries: &[Entry], name: &str) -> bool {
    entries.iter().any(|entry| matches!(entry, Entry::Undone { step } if step == name))
}

/// Reads one kind of entry as another.
fn as_if(entries: &[Entry], reads: impl Fn(&Entry) -> Option<Entry>) -> Vec<Entry> {
    entries.iter().map(|entry| reads(entry).unwrap_or_else(|| entry.clone())).collect()
}

/// What failed is undone as well: the money comes back that was never taken. The loop of whoever
/// counts the steps that were begun. Rejected by `each_step_refused`.
pub(super) struct CompensatesWhatNeverRan;

impl Usual for CompensatesWhatNeverRan {
    fn next<'a, C>(saga: &'a Saga<C>, entries: &[Entry]) -> Result<Next<'a, C>, UnknownStep> {
        saga.next(&as_if(entries, |entry| match entry {
            Entry::Refused { step, reason } => {
                Some(Entry::Unknown { step: step.clone(), reason: reason.clone() })
            }
            _ => None,
        }))
    }
}

/// "Undo the saga": all of it, also what comes after the step that failed. Rejected by
/// `each_step_refused`.
pub(super) struct CompensatesEverything;

impl Usual for CompensatesEverything {
    fn next<'a, C>(saga: &'a Saga<C>, entries: &[Entry]) -> Result<Next<'a, C>, UnknownStep> {
        saga.next(&as_if(entries, |entry| match entry {
            Entry::Refused { reason, .. } => {
                let step = saga.steps.last()?.name.to_owned();
                Some(Entry::Unknown { step, reason: reason.clone() })
            }
            _ => None,
        }))
    }
}

/// Undone in the order in which it was done: the stock is released while the charge for it stands.
/// Nobody wrote `.rev()`. Rejected by `each_step_refused`.
pub(super) struct UndoesInOrder;

impl Usual for UndoesInOrder {
    fn next<'a, C>(saga: &'a Saga<C>, entries: &[Entry]) -> Result<Next<'a, C>, UnknownStep> {
        let Some(below) = back(saga, entries) else {
            return saga.next(entries);
        };
        if entries.iter().any(|entry| matches!(entry, Entry::Parked { .. })) {
            return saga.next(entries);
        }
        let mut done = saga.steps[..below].iter();
        Ok(match done.find(|step| step.compensation.is_some() && !is_undone(entries, step.name)) {
            Some(step) => Next::Compensate(step),
            None => Next::Rest(Outcome::Compensated),
        })
    }
}

/// The branch of the error undoes the step before it, and returns. Rejected by
/// `each_step_refused`.
pub(super) struct UndoesTheLastOnly;

impl Usual for UndoesTheLastOnly {
    fn next<'a, C>(saga: &'a Saga<C>, entries: &[Entry]) -> Result<Next<'a, C>, UnknownStep> {
        match entries.last() {
            Some(Entry::Undone { .. }) => Ok(Next::Rest(Outcome::Compensated)),
            _ => saga.next(entries),
        }
    }
}

/// The error is logged, and it goes on. Rejected by `each_step_refused`.
pub(super) struct GoesOnRegardless;

impl Usual for GoesOnRegardless {
    fn next<'a, C>(saga: &'a Saga<C>, entries: &[Entry]) -> Result<Next<'a, C>, UnknownStep> {
        saga.next(&as_if(entries, |entry| match entry {
            Entry::Refused { step, .. } => Some(Entry::Done { step: step.clone() }),
            _ => None,
        }))
    }
}

/// On the way back it ends at the first step that has nothing to undo. Rejected by
/// `nothing_to_undo`.
pub(super) struct StopsAtNothingToUndo;

impl Usual for StopsAtNothingToUndo {
    fn next<'a, C>(saga: &'a Saga<C>, entries: &[Entry]) -> Result<Next<'a, C>, UnknownStep> {
        let next = saga.next(entries)?;
        let Some(mut below) = back(saga, entries) else {
            return Ok(next);
        };
        if let Some(Entry::Undone { step }) = entries.last() {
            below = saga.steps.iter().position(|other| other.name == step).unwrap_or(below);
        }
        let before = below.checked_sub(1).map(|at| &saga.steps[at]);
        Ok(match (next, before) {
            (Next::Compensate(_), Some(step)) if step.compensation.is_none() => {
                Next::Rest(Outcome::Compensated)
            }
            (next, _) => next,
        })
    }
}

/// The entry says "unknown", and who reads it takes it for "refused". Rejected by
/// `unknown_is_undone`.
pub(super) struct UnknownIsRefused;

impl Usual for UnknownIsRefused {
    fn next<'a, C>(saga: &'a Saga<C>, entries: &[Entry]) -> Result<Next<'a, C>, UnknownStep> {
        saga.next(&as_if(entries, |entry| match entry {
            Entry::Unknown { step, reason } => {
                Some(Entry::Refused { step: step.clone(), reason: reason.clone() })
            }
            _ => None,
        }))
    }
}

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

/// A declined card is tried again, as often as it may be. Rejected by `each_step_refused`.
pub(super) struct TriesRefusedAgain;

impl Usual for TriesRefusedAgain {
    const REFUSED_IS_TRIED_AGAIN: bool = true;
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

/// The pivot is a step like the others. Rejected by `only_forward`.
pub(super) struct NoPivot;

impl Usual for NoPivot {
    fn forward_only<C>(_: &Saga<C>, _: &[Entry]) -> Result<bool, UnknownStep> {
        Ok(false)
    }
}

/// Notes that the pivot is done when it does it. Who resumes the saga has a note of their own, and goes
/// back over what cannot be undone. Rejected by `only_forward`.
pub(super) struct PivotIsForgotten;

impl Usual for PivotIsForgotten {
    fn forward_only<C>(saga: &Saga<C>, entries: &[Entry]) -> Result<bool, UnknownStep> {
        let resumed = entries.iter().rposition(|entry| matches!(entry, Entry::Resumed));
        saga.is_past_pivot(&entries[resumed.unwrap_or_default()..])
    }
}

/// The way back is closed when the pivot is begun, and not when it is done. Rejected by
/// `pivot_can_be_refused`.
pub(super) struct PivotClosesTooSoon;

impl Usual for PivotClosesTooSoon {
    fn forward_only<C>(saga: &Saga<C>, entries: &[Entry]) -> Result<bool, UnknownStep> {
        let at_it = matches!(saga.next(entries)?, Next::Act(step) if step.pivot);
        Ok(at_it || saga.is_past_pivot(entries)?)
    }
}

/// "Only forward" is read as "without end": nobody ever hears of it. Rejected by `only_forward`.
pub(super) struct ForwardForEver;

impl Usual for ForwardForEver {
    fn attempts(patience: &Patience, _: What, forward_only: bool) -> u32 {
        if forward_only { u32::MAX } else { patience.attempts }
    }
}

/// Behind the pivot a step that is refused is left out, and the saga is complete. Rejected by
/// `only_forward`.
pub(super) struct LeavesItOut;

impl Usual for LeavesItOut {
    fn comes_to(forward_only: bool, _: bool, unclear: bool, step: String, reason: String) -> Entry {
        match (forward_only, unclear) {
            (true, _) => Entry::Done { step },
            (false, true) => Entry::Unknown { step, reason },
            (false, false) => Entry::Refused { step, reason },
        }
    }
}

/// Nobody knows whether the pivot was done, and everything before it is undone. The order may be
/// confirmed, and its money is back. Rejected by `unclear_pivot`.
pub(super) struct UnclearPivotGoesBack;

impl Usual for UnclearPivotGoesBack {
    fn comes_to(forward_only: bool, _: bool, unclear: bool, step: String, reason: String) -> Entry {
        match (forward_only, unclear) {
            (true, _) => Entry::Parked { step, reason },
            (false, true) => Entry::Unknown { step, reason },
            (false, false) => Entry::Refused { step, reason },
        }
    }
}

/// What was unclear once stays so for ever, whoever says what. An order whose stock is gone for good
/// is neither sent nor given up. Rejected by `final_refusal`.
pub(super) struct NoRefusalIsFinal;

impl Usual for NoRefusalIsFinal {
    fn is_final(_: bool, _: bool) -> bool {
        false
    }
}

/// Where a refusal would be final, any other end is taken for one. Rejected by `final_refusal`.
pub(super) struct EveryEndIsFinal;

impl Usual for EveryEndIsFinal {
    fn is_final(refusal_is_final: bool, _: bool) -> bool {
        refusal_is_final
    }
}
