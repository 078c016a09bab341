//! Wrong answers to idempotency keys, as people write them in good faith. The head of each says what
//! is wrong and which check finds out.

mod apart;
mod details;
mod in_memory;
mod keeping;
mod mostly;
mod orders;
mod patience;
mod queue;
mod sweeping;
mod telling;

use apart::*;
use details::*;
use grading::Decoy;
use in_memory::*;
use keeping::*;
use mostly::Mostly;
use orders::*;
use patience::*;
use queue::*;
use sagas_exercises::idempotency_keys::check;
use sweeping::*;
use telling::*;

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
        LeaseOfASecond: one_commit,
        LocksBeside: neighbours,
        QueuesInTheProcess: neighbours,
        MutexForAll: two_processes,
        HandsOver: next_in_line,
        PostsOnly: any_shape,
        LooksForBoth: other_request,
        WritesIntoWhatWasThere: swept_meanwhile,
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
        GluedForOthers: passed_on,
        SaltOfTheProcess: passed_on,
        IgnoresTheMethod: other_request,
        AnyCase: two_keys,
        CutsLongKeys: two_keys,
        WaitsForTheAnswer: next_in_line,
        WaitsAsLongAsAlways: own_patience,
        WorksWithinItsWait: own_patience,
        ComeBackSoon: own_patience,
        TimeoutOfItsOwn: slow_work,
        ReadsWithoutEnd: connection_hangs,
        KeepsWhatHangs: connection_hangs,
        AConnectionForEach: few_connections,
        QueuesForEver: few_connections,
        BlamesTheWork: lost_replies,
        SlowIsInProgress: postgres_hangs,
        StaleWhileRenewed: expired,
        SlidesOn: expired,
        EmptyIsNone: any_shape,
        HeadersInLines: any_shape,
        KeepsTheBeginning: any_shape,
        SortsTheHeaders: once_and_again,
        ListOfItsOwn: not_now,
        NotNowWithoutWords: not_now,
        SweepsInTwoSteps: swept_meanwhile,
        SweepHasNoEnd: postgres_hangs,
        SweepNeverFails: postgres_away,
        LimitBelowZero: swept,
    ]);
    all
}
