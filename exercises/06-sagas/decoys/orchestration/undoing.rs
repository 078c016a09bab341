//! Wrong on the way back, and in what is left behind.

use super::usual::{LogFails, Usual, What, Writes};
use sagas::saga::{Patience, UnknownStep};
use sagas::{Entry, Failure, Next, Outcome, Saga};

/// One attempt to undo. The service is away for the same moment as it was for the step that failed.
/// Rejected by `undo_is_tried_again`.
pub(super) struct UndoesOnce;

impl Usual for UndoesOnce {
    fn attempts(patience: &Patience, what: What, _: bool) -> u32 {
        if what == What::Undo { 1 } else { patience.attempts }
    }
}

/// `let _ = compensate().await`. Rejected by `undo_is_parked`.
pub(super) struct FailsSilently;

impl Usual for FailsSilently {
    fn cannot_undo(step: String, _: String) -> Entry {
        Entry::Undone { step }
    }
}

/// "A compensation must not fail", so it is tried until it works, and nobody hears of it. Rejected
/// by `undo_is_parked`.
pub(super) struct UndoesForEver;

impl Usual for UndoesForEver {
    fn attempts(patience: &Patience, what: What, _: bool) -> u32 {
        if what == What::Undo { u32::MAX } else { patience.attempts }
    }
}

/// Parks, and undoes what is below it: the order is gone, and a person has to find out how much of
/// it. Rejected by `undo_is_parked`.
pub(super) struct ParksAndGoesOn;

impl Usual for ParksAndGoesOn {
    fn next<'a, C>(saga: &'a Saga<C>, entries: &[Entry]) -> Result<Next<'a, C>, UnknownStep> {
        let as_undone = |entry: &Entry| match entry {
            Entry::Parked { step, .. } => Entry::Undone { step: step.clone() },
            other => other.clone(),
        };
        let entries: Vec<Entry> = entries.iter().map(as_undone).collect();
        saga.next(&entries)
    }
}

/// The person who looks is told that it failed. Rejected by `undo_is_parked`.
pub(super) struct ForgetsTheReason;

impl Usual for ForgetsTheReason {
    fn cannot_undo(step: String, _: String) -> Entry {
        Entry::Parked { step, reason: "compensation failed".to_owned() }
    }
}

/// After a resumption everything is undone again, from the top. Rejected by `undo_is_parked`.
pub(super) struct UndoesAllAgain;

impl Usual for UndoesAllAgain {
    fn resumes(mut entries: Vec<Entry>) -> (Vec<Entry>, bool) {
        entries.retain(|entry| !matches!(entry, Entry::Undone { .. }));
        (entries, true)
    }
}

/// "Unclear" will do for an undoing. Rejected by `undo_is_tried_again`.
pub(super) struct UnclearIsUndone;

impl Usual for UnclearIsUndone {
    fn will_do(failure: &Failure, what: What) -> bool {
        what == What::Undo && matches!(failure, Failure::Unclear(_))
    }
}

/// "Unclear" is the end of an undoing: a lost answer, and a person has to look. Rejected by
/// `declined`.
pub(super) struct UnclearIsParked;

impl Usual for UnclearIsParked {
    fn reads(failure: Failure, what: What) -> Failure {
        match failure {
            Failure::Unclear(reason) if what == What::Undo => Failure::Refused(reason),
            other => other,
        }
    }
}

/// Asks the action's inquiry whether it was undone. Rejected by `undo_is_tried_again`.
pub(super) struct AsksWhileUndoing;

impl Usual for AsksWhileUndoing {
    const ASKS_WHILE_UNDOING: bool = true;
}

/// Says "declined" to the customer, and leaves the unit reserved. Rejected by `declined`.
pub(super) struct NeverGoesBack;

impl Usual for NeverGoesBack {
    fn next<'a, C>(saga: &'a Saga<C>, entries: &[Entry]) -> Result<Next<'a, C>, UnknownStep> {
        match saga.next(entries)? {
            Next::Compensate(_) => Ok(Next::Rest(Outcome::Compensated)),
            next => Ok(next),
        }
    }
}

/// An entry is written when the next step is done: who is killed in between has done two things,
/// and says one. Rejected by `written_before_the_next`.
pub(super) struct WritesOneBehind;

impl Usual for WritesOneBehind {
    const WRITES: Writes = Writes::AfterTheNext;
}

/// All entries in one transaction, at the end. Rejected by `written_before_the_next`.
pub(super) struct WritesAtTheEnd;

impl Usual for WritesAtTheEnd {
    const WRITES: Writes = Writes::AtTheEnd;
}

/// The log is for people, so its error is not important. Rejected by `log_fails`.
pub(super) struct IgnoresTheLog;

impl Usual for IgnoresTheLog {
    fn log_fails(_: &Entry) -> LogFails {
        LogFails::IsIgnored
    }
}

/// Appends again what may be in the log already. Rejected by `log_fails`.
pub(super) struct AppendsAgain;

impl Usual for AppendsAgain {
    fn log_fails(_: &Entry) -> LogFails {
        LogFails::IsTriedAgain
    }
}

/// It is parked, so it is over, and whoever looks will see it in any case. They do not: the log has no
/// word of it. Rejected by `log_fails`.
pub(super) struct ParksWithoutTheLog;

impl Usual for ParksWithoutTheLog {
    fn log_fails(entry: &Entry) -> LogFails {
        match entry {
            Entry::Parked { .. } => LogFails::IsIgnored,
            _ => LogFails::Ends,
        }
    }
}

/// The person who looks is told what was said at the first attempt, and not why there is no other.
/// Rejected by `undo_is_parked`.
pub(super) struct KeepsTheFirstReason;

impl Usual for KeepsTheFirstReason {
    const KEEPS_THE_FIRST_REASON: bool = true;
}
