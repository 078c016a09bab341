//! More of those who take old results for news.

use super::usual::{Inside, Usual};
use super::{Judgement, State, usual_fails};
use circuit_breakers::circuit_breaker::Config;

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
