//! Wrong answers to spans, as people write them in good faith. The head of each says what is wrong and
//! which check finds out.

mod leaving;
mod right;
mod serving;
mod stepping;

use grading::Decoy;
use leaving::{
    BareTask, CancelledWithItsRequest, FollowsFrom, ForgottenGuard, FromItsBeginning,
    LeftAfterwards, MadeInTheTask, MadeOnTheThread, OnlyMeasured, StaysInTheRequest,
};
use observability_exercises::spans::check;
use serving::{
    AlwaysARoot, AnswersAreFine, AnyMethod, BareSpawn, CallerAsAField, CallsOutside,
    FourHundredsFail, GoesOnAlone, GuardAcrossAwait, HangingUpIsAnError, InATable, NamedByThePath,
    OfNoKind, OnTheThread, OnlyWhatIsKnown, PanicsAreCancelled, SaysNothing, TellsThePath,
    WaitsOutside,
};
use stepping::{
    AllBeneathTheRequest, AsksWhenPolled, BeneathTheLast, EachARoot, EndsWhenDropped,
    ErrorsAreLogged, ErrorsAreTheCallers, FailedWithoutAWord, FailsAllTheWayUp, HeldWhileItWaits,
    LeftInTheNextLine, NeverEntered, OncePerName, PolledOnly, ScopeOfTheMaking, SomebodyListens,
    StepsAreDetails, TextAsType, WhileUnwinding,
};

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    grading::decoys![check;
        NamedByThePath: the_request,
        TellsThePath: the_request,
        AnyMethod: the_request,
        OfNoKind: the_request,
        FourHundredsFail: failed_or_not,
        AnswersAreFine: failed_or_not,
        OnlyWhatIsKnown: known_later,
        BareSpawn: beneath,
        EachARoot: beneath,
        ScopeOfTheMaking: beneath,
        NeverEntered: beneath,
        OncePerName: beneath,
        AllBeneathTheRequest: down,
        BeneathTheLast: beside,
        WaitsOutside: lines_within,
        CallsOutside: lines_within,
        GuardAcrossAwait: interleaved,
        OnTheThread: nobodys,
        BareTask: in_a_task,
        MadeInTheTask: in_a_task,
        FollowsFrom: in_a_task,
        MadeOnTheThread: in_a_thread,
        OnlyMeasured: in_a_thread,
        LeftAfterwards: clean_threads,
        ForgottenGuard: clean_threads,
        FromItsBeginning: clean_threads,
        AsksWhenPolled: polled_elsewhere,
        StaysInTheRequest: outlives,
        CancelledWithItsRequest: outlives,
        ErrorsAreTheCallers: errors,
        ErrorsAreLogged: errors,
        FailedWithoutAWord: errors,
        TextAsType: errors,
        FailsAllTheWayUp: errors,
        EndsWhenDropped: with_its_work,
        GoesOnAlone: hung_up,
        InATable: hung_up,
        SaysNothing: hung_up,
        HangingUpIsAnError: hung_up,
        PolledOnly: hung_up,
        PanicsAreCancelled: unwinding,
        WhileUnwinding: unwinding,
        LeftInTheNextLine: unwinding,
        HeldWhileItWaits: waiting_is_idle,
        StepsAreDetails: quiet_log,
        SomebodyListens: quiet_log,
        AlwaysARoot: from_elsewhere,
        CallerAsAField: from_elsewhere,
    ]
}
