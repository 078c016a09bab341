//! Wrong answers to idempotency keys, as people write them in good faith. The head of each says what
//! is wrong and which check finds out.

mod details;
mod in_memory;
mod orders;

use details::*;
use grading::Decoy;
use in_memory::*;
use orders::*;
use sagas_exercises::idempotency_keys::check;

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    let mut all = grading::decoys![check;
        StoredApart: anywhere,
        UpsertsAtTheEnd: anywhere,
        MutexInTheProcess: anywhere,
        AnswersDuplicatesWith409: once_and_again,
        ClaimsFirst: killed_process,
        LeaseOnTheKey: dropped_caller,
        SetOfThoseUnderWay: panicked_work,
        WaitsWithAConnection: neighbours,
        LocksTheRequest: other_request_meanwhile,
        ExpiredForAll: expired,
        CachesTheAnswer: expired,
        ConnectsOnce: postgres_away,
    ];
    all.extend(grading::decoys![check as Mostly;
        KeyedByBody: two_keys,
        KeyOfNobody: two_callers,
        GluedTogether: two_callers,
        AnyBody: other_request,
        BodyAlone: other_request,
        FirstKilobytes: only_the_fingerprint,
        KeepsTheBody: only_the_fingerprint,
        BodyAsText: once_and_again,
        AlwaysCreated: once_and_again,
        HeadersInAMap: once_and_again,
        KeepsFailures: not_now,
        UndoesEveryRefusal: not_now,
        ErrorIsAnAnswer: failed_work,
        DoesNotWait: hundred,
        LocksTheKeyOfAll: neighbours,
        TimesItsStatements: slow_work,
        NoTimeout: postgres_hangs,
        NobodyEndsIt: stopped_process,
        CommitCannotFail: lost_replies,
        ForEver: expired,
        SweepsAll: swept,
        SweepWaits: swept,
        HandsOnTheKey: passed_on,
        FreshForOthers: passed_on,
    ]);
    all
}
