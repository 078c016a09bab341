//! Wrong answers to spans, as people write them in good faith. The head of each says what is wrong and
//! which check finds out.

mod answering;
mod leaving;
mod right;
mod serving;
mod stepping;
mod stopping;

use answering::{
    AnsweredAndKept, AnswersAnew, BegunWhenPolled, BeneathWhateverIsHere, ErrorsByLevel,
    LogsThePath, MethodsThatComeToMind, OnlyTheAnswerPanics, PathOfTheFailed, QuestionMark, SaysOk,
    ServedByHand, StatusesThatComeToMind, StepsAreOk, TakesTheRoute, WatchedFromItsCall,
};
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
use stopping::{
    BusyWaiting, DroppedOutside, JustInstrumented, PanicsAnew, PanicsInItsOwnWords,
    RequestComesAlong, SpawnsItItself, TaskByHand, WatchedWhenPolled,
};

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    grading::decoys![check;
        NamedByThePath: the_request,
        TellsThePath: the_request,
        AnyMethod: the_request,
        OfNoKind: the_request,
        MethodsThatComeToMind: the_request,
        LogsThePath: the_request,
        FourHundredsFail: failed_or_not,
        AnswersAreFine: failed_or_not,
        StatusesThatComeToMind: failed_or_not,
        PathOfTheFailed: failed_or_not,
        SaysOk: failed_or_not,
        QuestionMark: at_the_door,
        WatchedFromItsCall: at_the_door,
        OnlyTheAnswerPanics: at_the_door,
        TakesTheRoute: passed_on,
        AnswersAnew: passed_on,
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
        PanicsInItsOwnWords: clean_threads,
        AsksWhenPolled: polled_elsewhere,
        StaysInTheRequest: outlives,
        CancelledWithItsRequest: outlives,
        RequestComesAlong: outlives,
        ErrorsAreTheCallers: errors,
        ErrorsAreLogged: errors,
        FailedWithoutAWord: errors,
        TextAsType: errors,
        FailsAllTheWayUp: errors,
        StepsAreOk: errors,
        EndsWhenDropped: with_its_work,
        AnsweredAndKept: with_its_work,
        GoesOnAlone: hung_up,
        InATable: hung_up,
        SaysNothing: hung_up,
        HangingUpIsAnError: hung_up,
        PolledOnly: hung_up,
        ServedByHand: hung_up,
        BegunWhenPolled: never_begun,
        WatchedWhenPolled: never_begun,
        DroppedOutside: never_begun,
        JustInstrumented: stopped_tasks,
        PanicsAnew: stopped_tasks,
        TaskByHand: stopped_tasks,
        SpawnsItItself: stopped_tasks,
        PanicsAreCancelled: unwinding,
        WhileUnwinding: unwinding,
        LeftInTheNextLine: unwinding,
        HeldWhileItWaits: waiting_is_idle,
        BusyWaiting: waiting_is_idle,
        StepsAreDetails: quiet_log,
        SomebodyListens: quiet_log,
        ErrorsByLevel: quiet_log,
        BeneathWhateverIsHere: within_another,
        AlwaysARoot: from_elsewhere,
        CallerAsAField: from_elsewhere,
    ]
}
