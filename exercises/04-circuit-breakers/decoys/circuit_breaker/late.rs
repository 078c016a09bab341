//! Those who take old results for news.

use super::usual::{Inside, Usual};
use super::{Judgement, State, usual_fails, usual_succeeds};
use circuit_breakers::circuit_breaker::Config;

/// A success is a success: it closes, whenever it began. The requests that were on their way before
/// the dependency died come back, and vouch for it. Rejected by `late_success_while_open`.
pub(super) struct StaleSuccessCloses;

impl Usual for StaleSuccessCloses {
    fn counts(_: &Inside, _: u64, _: Judgement) -> bool {
        true
    }

    fn succeeds(inside: &mut Inside, config: &Config) {
        match inside.state {
            State::Open => inside.turn(State::Closed),
            State::Closed | State::HalfOpen => usual_succeeds(inside, config),
        }
    }

    fn fails(inside: &mut Inside, config: &Config) {
        if inside.state != State::Open {
            usual_fails(inside, config);
        }
    }
}

/// Looks at the state in which a result arrives, and not at the one in which it began. Rejected by
/// `late_success_is_no_probe`.
pub(super) struct StaleSuccessIsAProbe;

impl Usual for StaleSuccessIsAProbe {
    fn counts(inside: &Inside, _: u64, _: Judgement) -> bool {
        inside.state != State::Open
    }
}

/// Knows about late successes, and takes late failures for news: those of before the trip open it
/// again when it has just come back. Rejected by `late_failure_opens_nothing`.
pub(super) struct StaleFailureOpens;

impl Usual for StaleFailureOpens {
    fn counts(inside: &Inside, generation: u64, _: Judgement) -> bool {
        inside.generation == generation || inside.state != State::Open
    }

    fn succeeds(inside: &mut Inside, config: &Config) {
        usual_succeeds(inside, config);
    }
}

/// Writes down whether a call was a probe, and not of which half-open. Rejected by
/// `old_probe_frees_nothing`.
pub(super) struct OldProbesFreePlaces;

impl Usual for OldProbesFreePlaces {
    fn counts(inside: &Inside, generation: u64, _: Judgement) -> bool {
        // Generations of half-open come two after each other: half-open, open, half-open.
        let probe = generation > 0 && inside.generation.abs_diff(generation) == 2;
        inside.generation == generation || inside.state == State::HalfOpen && probe
    }
}

/// Each failure opens it, also when it is open: the time begins anew. A dependency that hangs has
/// hundreds of callers who give up one after the other, so it is open for much longer than
/// configured, and the longer, the more of them there were. Rejected by `late_failure_while_open`.
pub(super) struct StaleFailureOpensLonger;

impl Usual for StaleFailureOpensLonger {
    fn counts(inside: &Inside, generation: u64, judgement: Judgement) -> bool {
        let failed_while_open = inside.state == State::Open && judgement == Judgement::Failure;
        inside.generation == generation || failed_while_open
    }

    fn fails(inside: &mut Inside, config: &Config) {
        match inside.state {
            State::Open => inside.turn(State::Open),
            State::Closed | State::HalfOpen => usual_fails(inside, config),
        }
    }
}

/// Looks at the generation where something is counted, and forgets that a place is counted as well:
/// calls of before the trip that end in "no such order", or whose callers hang up, make room for
/// more probes than there are places. Rejected by `late_success_is_no_probe`.
pub(super) struct StaleIgnoredFreesAPlace;

impl Usual for StaleIgnoredFreesAPlace {
    fn counts(inside: &Inside, generation: u64, judgement: Judgement) -> bool {
        inside.generation == generation || judgement == Judgement::Ignored
    }
}

/// A success is good news at any time, if only it is closed. Those of before the trip end the row
/// of failures after it. Rejected by `late_success_ends_no_row`.
pub(super) struct StaleSuccessEndsTheRow;

impl Usual for StaleSuccessEndsTheRow {
    fn counts(inside: &Inside, generation: u64, judgement: Judgement) -> bool {
        let healthy = inside.state == State::Closed && judgement == Judgement::Success;
        inside.generation == generation || healthy
    }
}

/// Looks at the generation where a call ends, and frees the place where it is dropped: a panic goes
/// past the first, and comes to the second. Rejected by `late_success_is_no_probe`.
pub(super) struct LatePanicFreesAPlace;

impl Usual for LatePanicFreesAPlace {
    fn counts(inside: &Inside, generation: u64, judgement: Judgement) -> bool {
        let panicked = judgement == Judgement::Ignored && std::thread::panicking();
        inside.generation == generation || panicked
    }
}

/// A probe that fails opens it: that is what it was sent for, and never mind when. One that hung
/// for as long as its caller had patience was sent when it was half-open the last time. Rejected by
/// `old_probe_opens_nothing`.
pub(super) struct OldProbesOpen;

impl Usual for OldProbesOpen {
    fn counts(inside: &Inside, generation: u64, judgement: Judgement) -> bool {
        // Until it closes, each second generation is one of half-open.
        let probe = generation > 0 && inside.generation.abs_diff(generation).is_multiple_of(2);
        let failed = probe && judgement == Judgement::Failure;
        inside.generation == generation || inside.state == State::HalfOpen && failed
    }
}
