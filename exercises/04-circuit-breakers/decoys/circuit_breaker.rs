//! Wrong answers to 04.2, each with the check that must reject it.

mod around;
mod clock;
mod edges;
mod late;
mod rows;
mod usual;
mod whole;

use around::{
    AnAnswerHeals, HasAPlaceBeforeItBegins, JudgesInTurn, KeepsThePlaces, LetsOneInAHundredThrough,
    OnlyTheLongestIsForEver, PollsUnderTheLock, RefusesPolitely,
};
use circuit_breakers::circuit_breaker::{Config, Judgement, State};
use circuit_breakers_exercises::circuit_breaker::check;
use clock::{
    BacksOff, GivesUpOnProbes, OpenSinceTheFirstTrip, RowOfAMoment, SinceTheLastCall,
    SinceTheLastChange, SlowAndNotFoundIsAFailure, SlowProbeFails, ZeroIsNever,
};
use edges::{
    ErrIsIll, ForASecondAtMost, FromTheFirstFailure, JudgesUnderTheLock, LooksThenTakes,
    LosesThePermitOfAJudge, NoneIsNone, OkIsWell, OneForAll, SaysTheSameToAll, SumsTheClock,
    WholeTimeAtHalfOpen,
};
use grading::Decoy;
use late::{
    LatePanicFreesAPlace, OldProbesFreePlaces, OldProbesOpen, StaleFailureOpens,
    StaleFailureOpensLonger, StaleIgnoredFreesAPlace, StaleSuccessCloses, StaleSuccessEndsTheRow,
    StaleSuccessIsAProbe,
};
use rows::{
    CountsInAByte, EachSuccessIsAChange, OldSuccessesVouch, PanicIsAFailure, PanicSaysNothing,
    TwoRows, WritesLater,
};
use std::time::Duration;
use usual::{Inside, Usual, Usually};
use whole::{BareFailsafe, CallsThenLooks, GivesBackAfterTheAwait, HoldsTheLock, StateByTheClock};

/// All of them.
pub fn all() -> Vec<Decoy> {
    let mut all = grading::decoys![check as Usually;
        AllThroughAtHalfOpen: hundred_at_half_open,
        OneMoreAtHalfOpen: hundred_at_half_open,
        OnlyInFlight: succeeded_probes_count,
        OneSuccessCloses: all_probes_have_to_succeed,
        FailedProbeWaitsForTheRow: failed_probe_opens_anew,
        NeverForgetsTheRow: success_ends_the_row,
        OneTooMany: row_opens,
        ClosesWithTheOldRow: closed_counts_anew,
        RetriesNow: open_means_no_call,
        OpensForAMoment: open_means_no_call,
        SecondsForMillis: retry_after_is_kept,
        FiveInARow: row_opens,
        OneProbeAtATime: hundred_at_half_open,
        PatienceOfItsOwn: hang_up_early_says_nothing,
        HalfTheWait: retry_after_counts_down,
        OuterTimeoutNotCounted: given_up_counts,
        EveryDropIsAFailure: hang_up_early_says_nothing,
        EveryDropIsASuccess: hang_up_early_says_nothing,
        LeaksTheDroppedProbe: dropped_probe_frees_place,
        SlowIsAFailure: slow_success_is_a_success,
        StaleSuccessCloses: late_success_while_open,
        StaleSuccessIsAProbe: late_success_is_no_probe,
        StaleFailureOpens: late_failure_opens_nothing,
        OldProbesFreePlaces: old_probe_frees_nothing,
        BusinessErrorsTrip: ignored_opens_not,
        IgnoredIsSuccess: ignored_keeps_the_row,
        IgnoredErrorsHeal: ignored_heals_not,
        StaleFailureOpensLonger: late_failure_while_open,
        StaleIgnoredFreesAPlace: late_success_is_no_probe,
        StaleSuccessEndsTheRow: late_success_ends_no_row,
        SaysTheSameToAll: retry_after_counts_down,
        WholeTimeAtHalfOpen: retry_after_counts_down,
        ForASecondAtMost: retry_after_counts_down,
        FromTheFirstFailure: retry_after_counts_down,
        NoneIsNone: none_is_read_as_one,
        LooksThenTakes: threads_at_half_open,
        BacksOff: each_trip_is_as_long,
        OpenSinceTheFirstTrip: each_trip_is_as_long,
        RowOfAMoment: row_has_no_clock,
        GivesUpOnProbes: probes_have_no_clock,
        SinceTheLastCall: each_has_its_own_clock,
        SinceTheLastChange: each_has_its_own_clock,
        ZeroIsNever: given_up_counts,
        SlowProbeFails: slow_success_is_a_success,
        SlowAndNotFoundIsAFailure: slow_success_is_a_success,
        LatePanicFreesAPlace: late_success_is_no_probe,
        OldProbesOpen: old_probe_opens_nothing,
        EachSuccessIsAChange: success_makes_nothing_old,
        OldSuccessesVouch: all_probes_have_to_succeed,
        TwoRows: one_row_for_all,
        WritesLater: threads_end_together,
        CountsInAByte: any_number,
        PanicSaysNothing: panic_in_vain_counts,
        PanicIsAFailure: panic_says_nothing,
    ];
    all.extend(grading::decoys![check;
        BareFailsafe: hundred_at_half_open,
        CallsThenLooks: open_means_no_call,
        GivesBackAfterTheAwait: panicked_probe_frees_place,
        HoldsTheLock: calls_overlap,
        StateByTheClock: state_agrees,
        OkIsWell: judge_decides,
        ErrIsIll: judge_decides,
        JudgesUnderTheLock: judge_may_look,
        LosesThePermitOfAJudge: judge_panics,
        OneForAll: one_for_each,
        SumsTheClock: for_ever,
        OnlyTheLongestIsForEver: for_ever,
        AnAnswerHeals: judge_decides,
        JudgesInTurn: judges_overlap,
        PollsUnderTheLock: call_may_look,
        KeepsThePlaces: closed_lets_all_in,
        HasAPlaceBeforeItBegins: unpolled_takes_no_place,
        RefusesPolitely: refused_at_once,
        LetsOneInAHundredThrough: open_means_no_call,
    ]);
    all
}

/// "Half-open" read as "open a bit": when the time is over, everybody who has waited comes at once,
/// and the dependency that was about to get up is down again. Rejected by `hundred_at_half_open`.
struct AllThroughAtHalfOpen;

impl Usual for AllThroughAtHalfOpen {
    fn has_room(_: &Inside, _: &Config) -> bool {
        true
    }
}

/// At most, with one `=` too many. Rejected by `hundred_at_half_open`.
struct OneMoreAtHalfOpen;

impl Usual for OneMoreAtHalfOpen {
    fn has_room(inside: &Inside, config: &Config) -> bool {
        inside.in_flight + inside.succeeded <= config.probes
    }
}

/// A semaphore for the probes: whoever is done frees a place. So it is k at a time, and not k, and
/// all of a crowd pass through while the last one decides. Rejected by `succeeded_probes_count`.
struct OnlyInFlight;

impl Usual for OnlyInFlight {
    fn has_room(inside: &Inside, config: &Config) -> bool {
        inside.in_flight < config.probes
    }
}

/// The state machine of most articles: one success, and it is closed, with the other probes still
/// in flight. One good answer of a dependency that fails nine times in ten is enough. Rejected by
/// `all_probes_have_to_succeed`.
struct OneSuccessCloses;

impl Usual for OneSuccessCloses {
    fn succeeds(inside: &mut Inside, config: &Config) {
        match inside.state {
            State::HalfOpen => inside.turn(State::Closed),
            State::Closed | State::Open => {
                inside.row = 0;
                let _ = config;
            }
        }
    }
}

/// One rule for all states: so many failures in a row. So a dependency that is still down gets a
/// whole row of probes each time. Rejected by `failed_probe_opens_anew`.
struct FailedProbeWaitsForTheRow;

impl Usual for FailedProbeWaitsForTheRow {
    fn fails(inside: &mut Inside, config: &Config) {
        inside.row += 1;
        if inside.row >= config.failures {
            inside.turn(State::Open);
        }
    }
}

/// Counts failures, and no row: after a week of one failure in a thousand it opens. Rejected by
/// `success_ends_the_row`.
struct NeverForgetsTheRow;

impl Usual for NeverForgetsTheRow {
    fn succeeds(inside: &mut Inside, config: &Config) {
        let row = inside.row;
        usual_succeeds(inside, config);
        if inside.state == State::Closed {
            inside.row = row;
        }
    }
}

/// More than, for at least. Rejected by `row_opens`.
struct OneTooMany;

impl Usual for OneTooMany {
    fn fails(inside: &mut Inside, config: &Config) {
        inside.row += 1;
        if inside.state == State::HalfOpen || inside.row > config.failures {
            inside.turn(State::Open);
        }
    }
}

/// Closes with the row that had opened it: the next failure opens it again. Rejected by
/// `closed_counts_anew`.
struct ClosesWithTheOldRow;

impl Usual for ClosesWithTheOldRow {
    fn succeeds(inside: &mut Inside, config: &Config) {
        let was = inside.state;
        usual_succeeds(inside, config);
        if was == State::HalfOpen && inside.state == State::Closed {
            inside.row = config.failures - 1;
        }
    }
}

/// Does not say when to come again, so clients come at once. Rejected by `open_means_no_call`.
struct RetriesNow;

impl Usual for RetriesNow {
    fn retry_after(_: Duration, _: &Config) -> Duration {
        Duration::ZERO
    }
}

/// Opens for as long as it took to write the test. Rejected by `open_means_no_call`.
struct OpensForAMoment;

impl Usual for OpensForAMoment {
    fn open_for(_: &Inside, _: &Config) -> Duration {
        Duration::from_millis(10)
    }
}

/// Takes one unit for another: in production it is open for a thousandth of the time. Rejected by
/// `retry_after_is_kept`.
struct SecondsForMillis;

impl Usual for SecondsForMillis {
    fn open_for(_: &Inside, config: &Config) -> Duration {
        Duration::from_millis(config.open_for.as_secs())
    }
}

/// The number of the article. Rejected by `row_opens`.
struct FiveInARow;

impl Usual for FiveInARow {
    fn fails(inside: &mut Inside, config: &Config) {
        usual_fails(inside, &Config { failures: 5, ..*config });
    }
}

/// One probe at a time, whatever was configured. It is careful, and at a thousand calls a second it
/// takes its time to close. Rejected by `hundred_at_half_open`.
struct OneProbeAtATime;

impl Usual for OneProbeAtATime {
    fn has_room(inside: &Inside, _: &Config) -> bool {
        inside.in_flight == 0
    }
}

/// Knows better than its configuration how long a caller waits. Rejected by
/// `hang_up_early_says_nothing`.
struct PatienceOfItsOwn;

impl Usual for PatienceOfItsOwn {
    fn dropped(ran: Duration, _: &Config) -> Option<Judgement> {
        Some(match ran >= Duration::from_millis(25) {
            true => Judgement::Failure,
            false => Judgement::Ignored,
        })
    }
}

/// Milliseconds, divided by something. Who obeys is refused again. Rejected by
/// `retry_after_counts_down`.
struct HalfTheWait;

impl Usual for HalfTheWait {
    fn retry_after(left: Duration, _: &Config) -> Duration {
        left / 4
    }
}

/// Counts what comes back. A dependency that hangs sends nothing back: its callers give up, outside
/// of here, and the breaker stays closed for as long as it hangs. Rejected by `given_up_counts`.
struct OuterTimeoutNotCounted;

impl Usual for OuterTimeoutNotCounted {
    fn dropped(_: Duration, _: &Config) -> Option<Judgement> {
        Some(Judgement::Ignored)
    }
}

/// A drop is a failure. Whoever closes a browser's tab a few times opens the breaker for all.
/// Rejected by `hang_up_early_says_nothing`.
struct EveryDropIsAFailure;

impl Usual for EveryDropIsAFailure {
    fn dropped(_: Duration, _: &Config) -> Option<Judgement> {
        Some(Judgement::Failure)
    }
}

/// It did not fail, so it succeeded. Rejected by `hang_up_early_says_nothing`: it ends a row.
struct EveryDropIsASuccess;

impl Usual for EveryDropIsASuccess {
    fn dropped(ran: Duration, config: &Config) -> Option<Judgement> {
        Some(match ran >= config.slow_after {
            true => Judgement::Failure,
            false => Judgement::Success,
        })
    }
}

/// Gives the place back where the result is looked at. A caller who hangs up never comes there, and
/// after k of them nobody is let in ever again. Rejected by `dropped_probe_frees_place`.
struct LeaksTheDroppedProbe;

impl Usual for LeaksTheDroppedProbe {
    fn dropped(ran: Duration, config: &Config) -> Option<Judgement> {
        (ran >= config.slow_after).then_some(Judgement::Failure)
    }
}

/// Takes `slow_after` for a bound on answers. A report that takes its time opens it. Rejected by
/// `slow_success_is_a_success`.
struct SlowIsAFailure;

impl Usual for SlowIsAFailure {
    fn ended(_: State, ran: Duration, config: &Config, judgement: Judgement) -> Judgement {
        match ran >= config.slow_after {
            true => Judgement::Failure,
            false => judgement,
        }
    }
}

/// An `Err` is an `Err`. Somebody asks for orders that do not exist, and nobody can order any more.
/// Rejected by `ignored_opens_not`.
struct BusinessErrorsTrip;

impl Usual for BusinessErrorsTrip {
    fn meaning(_: &Inside, judgement: Judgement) -> Judgement {
        match judgement {
            Judgement::Ignored => Judgement::Failure,
            judgement => judgement,
        }
    }
}

/// What is no failure is a success, as failsafe's predicates have it. Rejected by
/// `ignored_keeps_the_row`.
struct IgnoredIsSuccess;

impl Usual for IgnoredIsSuccess {
    fn meaning(inside: &Inside, judgement: Judgement) -> Judgement {
        match judgement {
            Judgement::Ignored if inside.state == State::Closed => Judgement::Success,
            judgement => judgement,
        }
    }
}

/// The same at half-open: it closes on "no such order", which the cache in front of the dependency
/// may have answered. Rejected by `ignored_heals_not`.
struct IgnoredErrorsHeal;

impl Usual for IgnoredErrorsHeal {
    fn meaning(inside: &Inside, judgement: Judgement) -> Judgement {
        match judgement {
            Judgement::Ignored if inside.state == State::HalfOpen => Judgement::Success,
            judgement => judgement,
        }
    }
}

struct Right;

impl Usual for Right {}

fn usual_succeeds(inside: &mut Inside, config: &Config) {
    Right::succeeds(inside, config);
}

fn usual_fails(inside: &mut Inside, config: &Config) {
    Right::fails(inside, config);
}
