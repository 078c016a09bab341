//! Wrong answers to propagation, as people write them in good faith. The head of each says what is
//! wrong and which check finds out.

mod arriving;
mod carrying;
mod going;
mod lasting;
mod queueing;
mod right;
mod trusting;

use arriving::{
    AllOrNothing, BeginsAnew, BelievesStrangers, BlamesItself, CutsTheBaggage, CutsTheState,
    ForgetsStrangers, KeepsTheQuery, LeavesTheState, LinksToNobody, NamesThePath,
    RecordsEverything, RefusesTheFuture, TakesCapitals, TakesTheFirstFour, TakesTheFirstOfTwo,
    TakesTheirBaggage, TakesVersionFf, TakesWhatTheSdkTakes,
};
use carrying::{
    AsksTheFirst, BaggageOfTheLoop, ExpectsARow, LoopInTheirPlace, NeverNone, SendsTheParentOnly,
    SendsWhatItUnderstood, SendsWhenPolled, StateStaysInTheQueue, TenantOfTheFirst,
    TheOnlyOneKnown, TrustsTheQueue,
};
use going::{
    APlaceOfItsOwn, AnswersWithIt, AsksWhenPolled, BeginsAtEachCall, EndsWithTheLast,
    KeepsWhatWasCopied, LeavesCopiedBaggage, LivesInASpan, OneForAll, SaysAlwaysRecorded,
    SaysNeverRecorded, SetsTheParentTooLate, StoresTheRecordedOnly, TellsASecond,
    TellsStrangersAll, TellsTheRecordedOnly, TellsTheRequest, WhilePolled,
};
use grading::Decoy;
use lasting::{
    AsksUntilTheLast, DoesNotWait, EndsTooEarly, EndsWhenDropped, EndsWithTheAnswer,
    ReadyElsewhere, SendsInATask, SendsOutsideOfIt, WhileItAsks,
};
use observability_exercises::propagation::check;
use queueing::{
    BaggageStaysBehind, BatchOfNobody, ChildOfTheAttempt, ExpectsAContext, FirstOfTheBatch,
    HelpsOut, InjectsWhenSent, LinksOnly, LoopIsTheParent, LostAtTheQueue, NoLinkForOne,
    NoSpanOfItsOwn, OverwrittenWhenSent, SaysNothingOfIt, SendsForTheCustomer, StoresTheRequest,
    WhileItWorks, WritesElsewhere,
};
use trusting::{
    AnswersStrangers, AnyFlag, CapitalVersion, ContinuesWhatIsHere, DropsHeaders, ErrorAbove500,
    ErrorUnlessSuccess, FirstLineOfBaggage, KeepsTheirFlag, NoEndOfState, NoTraceNoBaggage,
    StrangerWithoutATrace,
};

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    grading::decoys![check;
        BeginsAnew: one_order,
        BeginsAtEachCall: one_order,
        StoresTheRequest: one_order,
        LostAtTheQueue: another_process,
        WritesElsewhere: one_order,
        LinksOnly: one_order,
        OneForAll: two_orders,
        InjectsWhenSent: relay_apart,
        OverwrittenWhenSent: over_amqp,
        HelpsOut: relay_apart,
        SendsForTheCustomer: relay_apart,
        SendsWhenPolled: relay_apart,
        RecordsEverything: unsampled,
        TellsTheRecordedOnly: unsampled,
        StoresTheRecordedOnly: unsampled,
        SaysAlwaysRecorded: unsampled,
        SaysNeverRecorded: unsampled,
        AnyFlag: unsampled,
        SetsTheParentTooLate: between,
        LivesInASpan: between,
        WhilePolled: hung_up_on,
        WhileItWorks: hung_up_on,
        EndsWithTheLast: after_the_answer,
        APlaceOfItsOwn: after_the_answer,
        EndsTooEarly: as_long,
        SendsOutsideOfIt: as_long,
        EndsWhenDropped: as_long,
        EndsWithTheAnswer: as_long,
        AsksUntilTheLast: as_long,
        WhileItAsks: as_long,
        SendsInATask: as_long,
        DoesNotWait: ready,
        ReadyElsewhere: ready,
        LoopIsTheParent: redelivered,
        NoSpanOfItsOwn: redelivered,
        ChildOfTheAttempt: redelivered,
        SaysNothingOfIt: redelivered,
        NoLinkForOne: redelivered,
        FirstOfTheBatch: batch,
        BatchOfNobody: batch,
        TenantOfTheFirst: batch,
        TheOnlyOneKnown: batch,
        AsksTheFirst: batch,
        ExpectsAContext: garbled,
        SendsWhatItUnderstood: from_rows,
        SendsTheParentOnly: from_rows,
        ExpectsARow: from_rows,
        TrustsTheQueue: from_rows,
        StateStaysInTheQueue: from_rows,
        RefusesTheFuture: believed,
        TakesCapitals: odd_ones,
        TakesTheFirstFour: odd_ones,
        TakesTheFirstOfTwo: odd_ones,
        TakesVersionFf: odd_ones,
        TakesWhatTheSdkTakes: odd_ones,
        CapitalVersion: odd_ones,
        CutsTheState: tracestate,
        LeavesTheState: tracestate,
        AllOrNothing: tracestate,
        NoEndOfState: tracestate,
        BelievesStrangers: strangers,
        ForgetsStrangers: strangers,
        TakesTheirBaggage: strangers,
        LinksToNobody: strangers,
        TellsStrangersAll: strangers,
        LeavesCopiedBaggage: strangers,
        KeepsTheirFlag: strangers,
        StrangerWithoutATrace: strangers,
        LoopInTheirPlace: nobodys,
        BaggageOfTheLoop: nobodys,
        ContinuesWhatIsHere: nobodys,
        NeverNone: nobodys,
        CutsTheBaggage: baggage,
        BaggageStaysBehind: baggage,
        NoTraceNoBaggage: baggage,
        FirstLineOfBaggage: baggage,
        TellsASecond: told_once,
        KeepsWhatWasCopied: told_once,
        TellsTheRequest: told_once,
        AsksWhenPolled: told_once,
        DropsHeaders: told_once,
        AnswersWithIt: answers,
        AnswersStrangers: answers,
        NamesThePath: named,
        BlamesItself: named,
        ErrorAbove500: named,
        ErrorUnlessSuccess: named,
        KeepsTheQuery: named,
    ]
}
