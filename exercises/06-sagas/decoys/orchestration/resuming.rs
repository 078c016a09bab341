//! Wrong about what somebody else may have begun.

use super::usual::Usual;
use sagas::Entry;
use sagas::saga::Patience;

/// Resumes at the first step. Rejected by `left_in_the_middle`.
pub(super) struct ResumesFromTheStart;

impl Usual for ResumesFromTheStart {
    fn resumes(_: Vec<Entry>) -> (Vec<Entry>, bool) {
        (Vec::new(), true)
    }
}

/// What is not in the log has not been begun. Rejected by `resumed_is_unclear`.
pub(super) struct TrustsTheLog;

impl Usual for TrustsTheLog {
    fn resumes(entries: Vec<Entry>) -> (Vec<Entry>, bool) {
        (entries, false)
    }
}

/// After a resumption every step may have been begun, and what is refused is undone. Rejected by
/// `only_the_first_after_a_resumption`.
pub(super) struct StaysUnclear;

impl Usual for StaysUnclear {
    const STAYS_BEGUN: bool = true;
}

/// The log holds nothing, so nothing was begun. The first step was. Rejected by `resumed_is_unclear`.
pub(super) struct BeginsWithAnEmptyLog;

impl Usual for BeginsWithAnEmptyLog {
    fn resumes(entries: Vec<Entry>) -> (Vec<Entry>, bool) {
        let begun = !entries.is_empty();
        (entries, begun)
    }
}

/// Whoever is asked says that it was done, so there was nothing to do, and nothing to write. The next
/// one who goes on knows nothing of this step. Rejected by `resumed_is_unclear`.
pub(super) struct WritesOnlyWhatItDid;

impl Usual for WritesOnlyWhatItDid {
    const WRITES_WHAT_WAS_FOUND: bool = false;
}

/// Asked after a resumption, who says "no" is believed: it was not begun, and then it is refused. It
/// was on its way. Rejected by `resumed_and_asked`.
pub(super) struct BelievesANoOfTheBegun;

impl Usual for BelievesANoOfTheBegun {
    fn begun_is_unclear(asked: Option<bool>) -> bool {
        asked != Some(false)
    }
}

/// After a resumption it is asked once, in front of the loop that has the attempts. Rejected by
/// `resumed_and_asked`.
pub(super) struct AsksOnceOfTheBegun;

impl Usual for AsksOnceOfTheBegun {
    fn asked_when_begun(_: &Patience) -> u32 {
        1
    }
}

/// "The inquiry is asked before the first attempt", also before one to undo: not done, so there is
/// nothing to undo. The charge lands later. Rejected by `resumed_undoing`.
pub(super) struct AsksBeforeItGoesOnUndoing;

impl Usual for AsksBeforeItGoesOnUndoing {
    const ASKS_BEFORE_GOING_ON_UNDOING: bool = true;
}

/// A person has looked, so nothing is unclear any more: the pivot is refused, and the saga goes back
/// over it. It was on its way. Rejected by `unclear_pivot`.
pub(super) struct LookedAtIsClear;

impl Usual for LookedAtIsClear {
    fn resumes(entries: Vec<Entry>) -> (Vec<Entry>, bool) {
        let looked_at = matches!(entries.last(), Some(Entry::Resumed));
        (entries, !looked_at)
    }
}
