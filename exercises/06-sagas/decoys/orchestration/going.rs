//! Wrong on the way: which step comes next.

use super::usual::Usual;
use sagas::saga::UnknownStep;
use sagas::{Entry, Next, Outcome, Saga};

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

/// A declined card is tried again, as often as it may be. Rejected by `each_step_refused`.
pub(super) struct TriesRefusedAgain;

impl Usual for TriesRefusedAgain {
    fn tries_refused_again(_: bool) -> bool {
        true
    }
}

/// A saga that nobody has begun may have been begun. Rejected by `each_step_refused`.
pub(super) struct BegunFromTheStart;

impl Usual for BegunFromTheStart {
    const BEGUN_FROM_THE_START: bool = true;
}
