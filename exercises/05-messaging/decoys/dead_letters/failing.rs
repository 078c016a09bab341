//! What fails, and comes again.

use super::usual::{Buries, Catches, Fails, Usual};
use messaging::Queue;

/// The client acknowledges by itself: it is the shorter way, and nothing is missing while all goes
/// well. `done_is_gone`: while the work is under way, the broker has forgotten the message.
pub struct AcksOnDelivery;

impl Usual for AcksOnDelivery {
    const AUTO_ACK: bool = true;
}

/// The last failure goes back as all before it: the queue has a limit, let the broker see to it. It
/// does, and writes `delivery_limit` on it. `limit_and_words`: why it failed nobody knows any more.
pub struct LimitByTheBroker;

impl Usual for LimitByTheBroker {
    const LAST_BY_BROKER: bool = true;
}

/// Gives up when the count is over the limit, and not when it has come to it. The broker is first.
/// `limit_and_words`: without the words, or with one delivery too many.
pub struct OneTooMany;

impl Usual for OneTooMany {
    fn limit(queue: &Queue) -> u32 {
        queue.deliveries + 1
    }
}

/// "Whatever failed once will fail again." `works_at_last`: the mail server was away for a second,
/// and every order of that second is dead.
pub struct FailsOnlyOnce;

impl Usual for FailsOnlyOnce {
    fn limit(_: &Queue) -> u32 {
        1
    }
}

/// The task that panics takes the delivery along, and neither word reaches the broker. `panics`: the
/// message keeps its place of the prefetch for as long as the connection lives.
pub struct PanicsKeepTheirPlace;

impl Usual for PanicsKeepTheirPlace {
    const CATCHES: Catches = Catches::None;
}

/// Catches what the work's future throws, and not what is thrown before there is one: the closure
/// looks into the message, and a field is not there. `panics`: as if nothing were caught.
pub struct CatchesTheFutureOnly;

impl Usual for CatchesTheFutureOnly {
    const CATCHES: Catches = Catches::OnTheWay;
}

/// `requeue: true` on a queue without a limit, as the first page of every tutorial has it.
/// `poison_first`: the poison comes again and again, and nobody else is ever served.
pub struct RequeuesForEver;

impl Usual for RequeuesForEver {
    const LIMITED: bool = false;

    fn limit(_: &Queue) -> u32 {
        u32::MAX
    }
}

/// Published anew and acknowledged, so that the others come first. Each copy is a new message, whose
/// deliveries count from 1. `poison_first`: it is never dead.
pub struct RepublishesForEver;

impl Usual for RepublishesForEver {
    const FAILS: Fails = Fails::Republished;
}

/// The consumer's own loop waits. `pause_holds_nobody`: all behind the poison wait with it.
pub struct SleepsInTheLoop;

impl Usual for SleepsInTheLoop {
    const FAILS: Fails = Fails::PausesInTheLoop;
}

/// A `sleep` that nobody can end. `pause_holds_nobody`: the program, told to end, sits out the pause,
/// until somebody kills it.
pub struct PauseOutlivesTheEnd;

impl Usual for PauseOutlivesTheEnd {
    const FAILS: Fails = Fails::PausesToTheEnd;
}

/// Back at once. `pauses`: it is here again at once, and five attempts are over before the mail
/// server has taken a breath.
pub struct RequeuesAtOnce;

impl Usual for RequeuesAtOnce {
    const FAILS: Fails = Fails::AtOnce;
}

/// Counts in a map, since the queue has no limit. `killed`: the message kills the process, and the
/// map with it; each new one begins at 1.
pub struct CountsInMemory;

impl Usual for CountsInMemory {
    const LIMITED: bool = false;
    const COUNTS: bool = true;
    const BURIES: Buries = Buries::ConfirmedThenAcked;
}

/// The broker sends as fast as it can, and the consumer has tasks. `ends_what_it_began`: a backlog of
/// a night lies in one process, and the second that was started to help gets nothing.
pub struct NoPrefetch;

impl Usual for NoPrefetch {
    const PREFETCHES: bool = false;
}

/// Told to end, it ends at once: all that is under way comes again. `ends_what_it_began`: each deploy
/// takes an attempt from what it has broken off.
pub struct BreaksOff;

impl Usual for BreaksOff {
    const BREAKS_OFF: bool = true;
}

/// Whatever the error, it tries again. `otherwise`: the queue was declared with another limit, and the
/// consumer that can never start looks like one that is about to.
pub struct TriesForEver;

impl Usual for TriesForEver {
    const TRIES_FOR_EVER: bool = true;
}
