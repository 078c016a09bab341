//! Wrong at the point of no return, and about a refusal that is final.

use super::usual::{Usual, What, comes_to};
use sagas::saga::{Patience, UnknownStep};
use sagas::{Entry, Failure, Next, Saga, Step};

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
    fn comes_to<C>(step: &Step<C>, forward_only: bool, unclear: bool, reason: String) -> Entry {
        let name = step.name.to_owned();
        match (forward_only, unclear) {
            (true, _) => Entry::Done { step: name },
            (false, true) => Entry::Unknown { step: name, reason },
            (false, false) => Entry::Refused { step: name, reason },
        }
    }
}

/// Nobody knows whether the pivot was done, and everything before it is undone. The order may be
/// confirmed, and its money is back. Rejected by `unclear_pivot`.
pub(super) struct UnclearPivotGoesBack;

impl Usual for UnclearPivotGoesBack {
    fn comes_to<C>(step: &Step<C>, forward_only: bool, unclear: bool, reason: String) -> Entry {
        let name = step.name.to_owned();
        match (forward_only, unclear) {
            (true, _) => Entry::Parked { step: name, reason },
            (false, true) => Entry::Unknown { step: name, reason },
            (false, false) => Entry::Refused { step: name, reason },
        }
    }
}

/// What was unclear once stays so for ever, whoever says what. An order whose stock is gone for good
/// is neither sent nor given up. Rejected by `final_refusal`.
pub(super) struct NoRefusalIsFinal;

impl Usual for NoRefusalIsFinal {
    fn is_final<C>(_: &Step<C>, _: bool, _: bool) -> bool {
        false
    }
}

/// Where a refusal would be final, any other end is taken for one. Rejected by `final_refusal`.
pub(super) struct EveryEndIsFinal;

impl Usual for EveryEndIsFinal {
    fn is_final<C>(step: &Step<C>, _: bool, _: bool) -> bool {
        step.refusal_is_final
    }
}

/// Whoever is asked says "no", so the pivot was not done, and there is a way back. It was asked before
/// the pivot landed. Rejected by `unclear_pivot`.
pub(super) struct BelievesANoOfThePivot;

impl Usual for BelievesANoOfThePivot {
    fn unclear(before: bool, failure: &Failure, asked: Option<bool>, pivot: bool) -> bool {
        let believes = pivot && asked == Some(false);
        !believes && (before || matches!(failure, Failure::Unclear(_)))
    }
}

/// A pivot that can be undone is undone, like any step that may have been done. Whoever is told of a
/// confirmed order has sent it by then. Rejected by `unclear_pivot`.
pub(super) struct UndoesAPivotThatCanBe;

impl Usual for UndoesAPivotThatCanBe {
    fn comes_to<C>(step: &Step<C>, forward_only: bool, unclear: bool, reason: String) -> Entry {
        match unclear && step.compensation.is_some() && !forward_only {
            true => Entry::Unknown { step: step.name.to_owned(), reason },
            false => comes_to(step, forward_only, unclear, reason),
        }
    }
}

/// Written for the one step that needed it: a refusal is final of a pivot. Of another step, what was
/// refused for good is undone, and the compensation may not know what. Rejected by
/// `final_refusal_of_any`.
pub(super) struct FinalOfAPivotOnly;

impl Usual for FinalOfAPivotOnly {
    fn is_final<C>(step: &Step<C>, refused: bool, _: bool) -> bool {
        step.pivot && step.refusal_is_final && refused
    }
}

/// What may have been begun before a crash stays unclear, whoever refuses it for good. The order waits
/// for a person. Rejected by `final_refusal_of_any`.
pub(super) struct FinalIsForgotten;

impl Usual for FinalIsForgotten {
    fn is_final<C>(step: &Step<C>, refused: bool, begun: bool) -> bool {
        !begun && step.refusal_is_final && refused
    }
}
