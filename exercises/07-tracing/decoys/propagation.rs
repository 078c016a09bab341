//! Wrong answers to propagation, as people write them in good faith. The head of each says what is
//! wrong and which check finds out.

mod arriving;
mod going;
mod queueing;
mod right;

use arriving::{
    AllOrNothing, BeginsAnew, BelievesStrangers, BlamesItself, CutsTheBaggage, CutsTheState,
    ForgetsStrangers, KeepsTheQuery, LeavesTheState, LinksToNobody, NamesThePath,
    RecordsEverything, RefusesTheFuture, TakesCapitals, TakesTheFirstFour, TakesTheFirstOfTwo,
    TakesTheirBaggage, TakesVersionFf, TakesWhatTheSdkTakes,
};
use going::{
    APlaceOfItsOwn, AnswersWithIt, AsksWhenPolled, BeginsAtEachCall, EndsWithTheLast,
    KeepsWhatWasCopied, LeavesCopiedBaggage, LivesInASpan, OneForAll, SaysAlwaysRecorded,
    SaysNeverRecorded, SetsTheParentTooLate, StoresTheRecordedOnly, TellsASecond,
    TellsStrangersAll, TellsTheRecordedOnly, TellsTheRequest, WhilePolled,
};
use grading::Decoy;
use observability_exercises::propagation::check;
use queueing::{
    BaggageStaysBehind, BatchOfNobody, ChildOfTheAttempt, ExpectsAContext, FirstOfTheBatch,
    HelpsOut, InjectsWhenSent, LinksOnly, LoopIsTheParent, LostAtTheQueue, NoLinkForOne,
    NoSpanOfItsOwn, OverwrittenWhenSent, SaysNothingOfIt, SendsForTheCustomer, StoresTheRequest,
    WhileItWorks, WritesElsewhere,
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
        RecordsEverything: unsampled,
        TellsTheRecordedOnly: unsampled,
        StoresTheRecordedOnly: unsampled,
        SaysAlwaysRecorded: unsampled,
        SaysNeverRecorded: unsampled,
        SetsTheParentTooLate: between,
        LivesInASpan: between,
        WhilePolled: hung_up_on,
        WhileItWorks: hung_up_on,
        EndsWithTheLast: after_the_answer,
        APlaceOfItsOwn: after_the_answer,
        LoopIsTheParent: redelivered,
        NoSpanOfItsOwn: redelivered,
        ChildOfTheAttempt: redelivered,
        SaysNothingOfIt: redelivered,
        NoLinkForOne: redelivered,
        FirstOfTheBatch: batch,
        BatchOfNobody: batch,
        ExpectsAContext: garbled,
        RefusesTheFuture: believed,
        TakesCapitals: odd_ones,
        TakesTheFirstFour: odd_ones,
        TakesTheFirstOfTwo: odd_ones,
        TakesVersionFf: odd_ones,
        TakesWhatTheSdkTakes: odd_ones,
        CutsTheState: tracestate,
        LeavesTheState: tracestate,
        AllOrNothing: tracestate,
        BelievesStrangers: strangers,
        ForgetsStrangers: strangers,
        TakesTheirBaggage: strangers,
        LinksToNobody: strangers,
        TellsStrangersAll: strangers,
        LeavesCopiedBaggage: strangers,
        CutsTheBaggage: baggage,
        BaggageStaysBehind: baggage,
        TellsASecond: told_once,
        KeepsWhatWasCopied: told_once,
        TellsTheRequest: told_once,
        AsksWhenPolled: told_once,
        AnswersWithIt: answers,
        NamesThePath: named,
        BlamesItself: named,
        KeepsTheQuery: named,
    ]
}
