//! Those who look at a clock where there is none to look at, or at the wrong one.

use super::usual::{Inside, Usual};
use super::{Judgement, State, usual_fails};
use circuit_breakers::circuit_breaker::Config;
use std::time::{Duration, Instant};

/// Doubles the time whenever a probe fails, as one does between retries. A dependency that was down
/// for an hour is well for another hour before anybody asks; and who set five seconds has set five
/// seconds. Rejected by `each_trip_is_as_long`.
pub(super) struct BacksOff;

impl Usual for BacksOff {
    fn fails(inside: &mut Inside, config: &Config) {
        inside.kept = if inside.state == State::HalfOpen { inside.kept + 1 } else { 0 };
        usual_fails(inside, config);
    }

    fn open_for(inside: &Inside, config: &Config) -> Duration {
        config.open_for.saturating_mul(2_u32.saturating_pow(inside.kept))
    }
}

/// `opened.get_or_insert_with(Instant::now)`, so that no later failure moves it, and nobody clears it
/// when it closes. From the second trip on its time is over as it begins. Rejected by
/// `each_trip_is_as_long`.
pub(super) struct OpenSinceTheFirstTrip;

impl Usual for OpenSinceTheFirstTrip {
    fn fails(inside: &mut Inside, config: &Config) {
        let was = inside.state;
        usual_fails(inside, config);
        if was == State::Closed && inside.state == State::Open {
            inside.opened = *inside.noted.get_or_insert(inside.opened);
        }
    }
}

/// "So many failures in a minute": a row that comes slowly is none. A job that asks now and then
/// never opens it. Rejected by `row_has_no_clock`.
pub(super) struct RowOfAMoment;

impl Usual for RowOfAMoment {
    fn fails(inside: &mut Inside, config: &Config) {
        if inside.noted.is_some_and(|last| last.elapsed() > config.open_for) {
            inside.row = 0;
        }
        inside.noted = Some(Instant::now());
        usual_fails(inside, config);
    }
}

/// Takes a probe that has not come back for lost, and gives its place to the next, so that nobody can
/// block it for ever. A dependency that hangs gets new probes each time, and all of them hang.
/// Rejected by `probes_have_no_clock`.
pub(super) struct GivesUpOnProbes;

impl Usual for GivesUpOnProbes {
    fn has_room(inside: &Inside, config: &Config) -> bool {
        let lost = inside.opened.elapsed() > config.open_for;
        inside.in_flight + inside.succeeded < config.probes || lost
    }
}

/// Keeps beside the state when the call began: the last one, whoever's it was. While calls keep
/// coming, nobody ever waits for long. Rejected by `each_has_its_own_clock`.
pub(super) struct SinceTheLastCall;

impl Usual for SinceTheLastCall {
    fn since(inside: &Inside, _: Instant) -> Instant {
        inside.began
    }
}

/// One `Instant` for the state, and for whatever else takes time. Once it has been closed for a
/// while, whoever hangs up early has waited for long. Rejected by `each_has_its_own_clock`.
pub(super) struct SinceTheLastChange;

impl Usual for SinceTheLastChange {
    fn since(inside: &Inside, _: Instant) -> Instant {
        inside.opened
    }
}

/// Zero is "off", as in so many files of settings. Rejected by `given_up_counts`.
pub(super) struct ZeroIsNever;

impl Usual for ZeroIsNever {
    fn dropped(ran: Duration, config: &Config) -> Option<Judgement> {
        let in_vain = ran >= config.slow_after && !config.slow_after.is_zero();
        Some(if in_vain { Judgement::Failure } else { Judgement::Ignored })
    }
}

/// Is strict with probes: who is that slow is not well yet. A dependency whose answers take their
/// time stays shut off for ever. Rejected by `slow_success_is_a_success`.
pub(super) struct SlowProbeFails;

impl Usual for SlowProbeFails {
    fn ended(state: State, ran: Duration, config: &Config, judgement: Judgement) -> Judgement {
        match state == State::HalfOpen && ran >= config.slow_after {
            true => Judgement::Failure,
            false => judgement,
        }
    }
}

/// No success, and slow: a failure. Who looks for something that is not there looks for long.
/// Rejected by `slow_success_is_a_success`.
pub(super) struct SlowAndNotFoundIsAFailure;

impl Usual for SlowAndNotFoundIsAFailure {
    fn ended(_: State, ran: Duration, config: &Config, judgement: Judgement) -> Judgement {
        match judgement {
            Judgement::Ignored if ran >= config.slow_after => Judgement::Failure,
            judgement => judgement,
        }
    }
}
