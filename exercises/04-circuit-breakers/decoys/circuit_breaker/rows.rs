//! Those who count, and lose count.

use super::usual::{Inside, Usual};
use super::{Judgement, State, usual_succeeds};
use circuit_breakers::circuit_breaker::Config;

/// Begins anew with each success: a fresh `Closed`, with a generation of its own. All calls that are
/// under way are old then, and their failures do not count. Of a dependency that fails nine times in
/// ten, under load, hardly any failure is ever counted. Rejected by `success_makes_nothing_old`.
pub(super) struct EachSuccessIsAChange;

impl Usual for EachSuccessIsAChange {
    fn succeeds(inside: &mut Inside, config: &Config) {
        match inside.state {
            State::Closed => inside.turn(State::Closed),
            State::HalfOpen | State::Open => usual_succeeds(inside, config),
        }
    }
}

/// Clears its successes when it closes, and not when a probe fails. With two of three probes well
/// the last time, one is enough now. Rejected by `all_probes_have_to_succeed`.
pub(super) struct OldSuccessesVouch;

impl Usual for OldSuccessesVouch {
    fn succeeds(inside: &mut Inside, config: &Config) {
        if inside.state != State::HalfOpen {
            return usual_succeeds(inside, config);
        }
        inside.succeeded += 1;
        inside.kept += 1;
        if inside.kept >= config.probes {
            inside.kept = 0;
            inside.turn(State::Closed);
        }
    }
}

/// A counter for errors, and another for timeouts, as the metrics have it. Half of each, and it is
/// closed. Rejected by `one_row_for_all`.
pub(super) struct TwoRows;

impl Usual for TwoRows {
    fn given_up(inside: &mut Inside, config: &Config) {
        inside.kept += 1;
        if inside.state == State::HalfOpen || inside.kept >= config.failures {
            inside.kept = 0;
            inside.turn(State::Open);
        }
    }

    fn succeeds(inside: &mut Inside, config: &Config) {
        inside.kept = 0;
        usual_succeeds(inside, config);
    }
}

/// Reads the counts, adds one, and writes them back: each step under the lock, or with an atomic.
/// Two that end at the same moment are one. Rejected by `threads_end_together`.
pub(super) struct WritesLater;

impl Usual for WritesLater {
    const WRITES_LATER: bool = true;
}

/// A byte is enough for everybody. Rejected by `any_number`.
pub(super) struct CountsInAByte;

impl Usual for CountsInAByte {
    fn read(config: Config) -> Config {
        let byte = |number: u32| u32::from(u8::try_from(number).unwrap_or(u8::MAX)).max(1);
        Config { failures: byte(config.failures), probes: byte(config.probes), ..config }
    }
}

/// A panic is a bug of the caller's, whenever it comes. But a client that panics when its own
/// timeout is over has waited all the same. Rejected by `panic_in_vain_counts`.
pub(super) struct PanicSaysNothing;

impl Usual for PanicSaysNothing {
    fn meaning(_: &Inside, judgement: Judgement) -> Judgement {
        match std::thread::panicking() {
            true => Judgement::Ignored,
            false => judgement,
        }
    }
}

/// Nothing came back, so it has failed. At half-open it remembers that the place has to be given
/// back, and that is all that it does; closed, one bad request repeated opens it for everybody.
/// Rejected by `panic_says_nothing`.
pub(super) struct PanicIsAFailure;

impl Usual for PanicIsAFailure {
    fn meaning(inside: &Inside, judgement: Judgement) -> Judgement {
        match inside.state == State::Closed && std::thread::panicking() {
            true => Judgement::Failure,
            false => judgement,
        }
    }
}
