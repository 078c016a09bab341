//! Wrong beside other sagas.

use super::usual::{Lists, Usual};

/// One saga at a time, behind a lock. Rejected by `nobody_waits_for_another`.
pub(super) struct OneAtATime;

impl Usual for OneAtATime {
    const AT_ONCE: usize = 1;
}

/// The entries of all sagas in one list. Rejected by `nothing_is_shared`.
pub(super) struct OneList;

impl Usual for OneList {
    const LISTS: Lists = Lists::One;
}

/// Entries are written behind a lock, one after the other. The journal is slow for one saga, and no
/// other goes on. Rejected by `nobody_waits_for_another`.
pub(super) struct OneWrites;

impl Usual for OneWrites {
    const ONE_WRITES: bool = true;
}

/// A thousand at once and no more, to spare the services. One service that has no answer for them has
/// stopped all others, that do not need it. Rejected by `many_wait`.
pub(super) struct AThousandAtOnce;

impl Usual for AThousandAtOnce {
    const AT_ONCE: usize = 1_000;
}

/// The entries of each saga in a list, by its id. The order's refund has the order's id. Rejected by
/// `one_id`.
pub(super) struct ListOfTheId;

impl Usual for ListOfTheId {
    const LISTS: Lists = Lists::EachId;
}
