//! Wrong answers to correlation ids, as people write them in good faith. The head of each says what
//! is wrong and which check finds out.

mod arriving;
mod going;
mod keeping;
mod right;

use arriving::{
    AHyphenForNone, AllOfUnicode, AlwaysNew, AppendsToTheAnswer, BansTheKnown, BelievesAll,
    ByTheClock, CallsTheUnready, CleansUp, CountsUp, CutsOff, EmptyIsAnId, FirstOfTwo,
    InvalidIsAnId, JoinsThem, KeepsWhatIsThere, LastOfTwo, LeavesWhatCame, NoLimit, OneTooMany,
    OnlyUuids, OnlyWhatWentWell, SmallLetters, TellsNobody, UnwrapsIt,
};
use going::{
    AppendsOnTheWay, AsksInTheTask, AsksOnTheThread, AsksTheUnready, AsksWhenPolled, BareSpawn,
    BareThread, ClientOfNobody, KeepsWhatWasCopied, LeftOnTheThread, MakesOneForNobody,
    NewForEachCall, NothingToCarry, TakenBackWithoutGuard, TakesItAway, TellsTheNextNothing,
    UntilTheAnswer, WhoeverPolls,
};
use grading::Decoy;
use keeping::{
    ByTask, CalledOutside, GuardAcrossAwait, InTheExtensions, LivesInASpan, NotTakenBack,
    OnTheThread, OneForAll, OnlyTheFirstLine, PolledOnly, UntilTheFirstWait,
};
use observability_exercises::correlation_ids::check;

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    grading::decoys![check;
        AlwaysNew: three_services,
        NewForEachCall: three_services,
        AHyphenForNone: made_anew,
        TellsNobody: made_anew,
        OnlyUuids: believed,
        SmallLetters: believed,
        BelievesAll: odd_ones,
        CleansUp: odd_ones,
        CutsOff: odd_ones,
        EmptyIsAnId: odd_ones,
        NoLimit: odd_ones,
        OneTooMany: odd_ones,
        AllOfUnicode: odd_ones,
        BansTheKnown: odd_ones,
        InvalidIsAnId: odd_ones,
        UnwrapsIt: odd_ones,
        LeavesWhatCame: odd_ones,
        FirstOfTwo: two_headers,
        LastOfTwo: two_headers,
        JoinsThem: two_headers,
        AppendsToTheAnswer: one_on_the_answer,
        KeepsWhatIsThere: one_on_the_answer,
        OnlyWhatWentWell: every_answer,
        CallsTheUnready: every_answer,
        AsksTheUnready: every_answer,
        ByTheClock: many_new,
        CountsUp: another_process,
        UntilTheFirstWait: every_line,
        CalledOutside: every_line,
        InTheExtensions: every_line,
        OnlyTheFirstLine: every_line,
        OnTheThread: interleaved,
        GuardAcrossAwait: interleaved,
        OneForAll: nowhere_else,
        NotTakenBack: unwinding,
        PolledOnly: hung_up_on,
        LivesInASpan: quiet_log,
        BareSpawn: in_a_task,
        AsksInTheTask: in_a_task,
        UntilTheAnswer: in_a_task,
        BareThread: in_a_thread,
        AsksOnTheThread: in_a_thread,
        LeftOnTheThread: clean_threads,
        TakenBackWithoutGuard: clean_threads,
        WhoeverPolls: waited_for,
        ByTask: waited_for,
        NothingToCarry: begun_for_nobody,
        TellsTheNextNothing: passed_on,
        AppendsOnTheWay: passed_on,
        KeepsWhatWasCopied: passed_on,
        AsksWhenPolled: asked_in_a_bare_task,
        ClientOfNobody: asked_in_a_bare_task,
        MakesOneForNobody: asked_for_nobody,
        TakesItAway: asked_for_nobody,
    ]
}
