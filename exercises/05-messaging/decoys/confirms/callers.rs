//! Wrong windows, and callers in each other's way.

use super::usual::{Room, Usual};
use messaging::confirms::Options;
use std::time::Duration;

/// As many as come. The broker confirms when it can, and until then all of it lies in memory, here
/// and there. Rejected by `window_kept`.
pub(super) struct NoWindow;

impl Usual for NoWindow {
    const ROOM: Room = Room::Unbounded;
}

/// A window for each batch. With thirty callers there are thirty. Rejected by `window_kept`.
pub(super) struct WindowForEach;

impl Usual for WindowForEach {
    const ROOM: Room = Room::Unbounded;
    const WINDOW_FOR_EACH: bool = true;
}

/// Room in the window is a variable of the call. When the caller is dropped it is free, and the
/// message is still on its way. Rejected by `dropped_callers`.
pub(super) struct PermitOfTheCaller;

impl Usual for PermitOfTheCaller {
    const ROOM: Room = Room::WithTheCaller;
}

/// Gives room back when a confirm comes, by hand. What is lost has no confirm, and after so many
/// losses nobody publishes any more. Rejected by `never_confirmed`.
pub(super) struct ForgetsWhenLost;

impl Usual for ForgetsWhenLost {
    const ROOM: Room = Room::UnlessLost;
}

/// The same, and knows of losses. A refusal is a confirm, too, and gives nothing back: when a queue is
/// full for long enough, nobody publishes any more. Rejected by `refused`.
pub(super) struct ForgetsWhenRefused;

impl Usual for ForgetsWhenRefused {
    const ROOM: Room = Room::UnlessRefused;
}

/// `Semaphore::new(options.window)`. Nobody has room in a window of none, and `usize::MAX`, which is to
/// say "as you like", is more than a semaphore can count. Rejected by `any_window`.
pub(super) struct TakesTheWindowAsItIs;

impl Usual for TakesTheWindowAsItIs {}

/// A mutex around the channel, from the publish to its confirm, since channels are not to be shared.
/// All callers together are as fast as one. Rejected by `together`.
pub(super) struct LocksAcross;

impl Usual for LocksAcross {
    const LOCKS_ACROSS: bool = true;
}

/// The broker confirms, sooner or later. Rejected by `never_confirmed`.
pub(super) struct NoTimeout;

impl Usual for NoTimeout {
    fn timeout(_: &Options) -> Duration {
        Duration::from_secs(60 * 60)
    }
}
