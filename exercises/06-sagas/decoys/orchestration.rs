//! Wrong answers to orchestration, as people write them in good faith. The head of each says what is
//! wrong and which check finds out.

mod beside;
mod going;
mod keys;
mod patience;
mod pivot;
mod resuming;
mod unclear;
mod undoing;
mod usual;
mod way;

use beside::{AThousandAtOnce, ListOfTheId, OneAtATime, OneList, OneWrites};
use going::{
    BegunFromTheStart, CompensatesEverything, CompensatesWhatNeverRan, GoesOnRegardless,
    StopsAtNothingToUndo, TriesRefusedAgain, UndoesInOrder, UndoesTheLastOnly, UnknownIsRefused,
};
use grading::Decoy;
use keys::{
    AColonBetween, AHyphenBetween, CleansTheId, KeyOfTheProcess, KeyOfTheSaga, KeyOfTheStep,
    NewKeyEachAttempt, NoNameOfTheSaga, NothingBetween, RandomKey, SixtyFourLetters,
    UndoHasItsOwnKey,
};
use patience::{
    AsksWithoutAPause, CountsFromZero, EqualJitter, ForEver, GivesUpAtOnce, NeverDoubles, NoJitter,
    NoLongest, NoPause, NoPauseInTheDark, OneTooMany, PatienceOfTheFailed, PatienceOfTheFirst,
    PausesAfterTheLast,
};
use pivot::{
    BelievesANoOfThePivot, EveryEndIsFinal, FinalIsForgotten, FinalOfAPivotOnly, ForwardForEver,
    LeavesItOut, NoPivot, NoRefusalIsFinal, PivotClosesTooSoon, PivotIsForgotten,
    UnclearPivotGoesBack, UndoesAPivotThatCanBe,
};
use resuming::{
    AsksBeforeItGoesOnUndoing, AsksOnceOfTheBegun, BeginsWithAnEmptyLog, BelievesANoOfTheBegun,
    LookedAtIsClear, ResumesFromTheStart, StaysUnclear, TrustsTheLog, WritesOnlyWhatItDid,
};
use sagas_exercises::orchestration::check;
use unclear::{
    ANoDoesNotCount, AsksAtTheEnd, AsksOnce, AsksUntilANo, BelievesANo, BelievesTheLast,
    GivesUpEarly, GuessesItFailed, GuessesItWorked, LeavesItRunning, NeverAsks, NoAnswerIsYes,
    NoDeadline, NoGoesBack, OneDeadlineForAll, PanicIsRefused, PanicsAsWell,
    ParksWhatCannotBeUndone, RefusedToSay, SilenceIsDone, SilenceIsNotDone, SpawnsAttempts,
    TriesRefusedAgainInTheDark, UnclearIsNotDone,
};
use undoing::{
    AppendsAgain, AsksWhileUndoing, FailsSilently, ForgetsTheReason, IgnoresTheLog,
    KeepsTheFirstReason, NeverGoesBack, ParksAndGoesOn, ParksWithoutTheLog, UnclearIsParked,
    UnclearIsUndone, UndoesAllAgain, UndoesForEver, UndoesOnce, WritesAtTheEnd, WritesOneBehind,
};
use way::Usually;

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    grading::decoys![check as Usually;
        CompensatesWhatNeverRan: each_step_refused,
        CompensatesEverything: each_step_refused,
        UndoesInOrder: each_step_refused,
        UndoesTheLastOnly: each_step_refused,
        GoesOnRegardless: each_step_refused,
        TriesRefusedAgain: each_step_refused,
        BegunFromTheStart: each_step_refused,
        OneTooMany: each_step_not_done,
        ForEver: each_step_not_done,
        GivesUpAtOnce: not_done_is_tried_again,
        CountsFromZero: not_done_is_tried_again,
        StopsAtNothingToUndo: nothing_to_undo,
        NoPause: pauses,
        EqualJitter: pauses,
        NoLongest: pauses,
        NeverDoubles: pauses,
        PausesAfterTheLast: pauses,
        NoPauseInTheDark: pauses_in_the_dark,
        AsksWithoutAPause: pauses_in_the_dark,
        PatienceOfTheFirst: own_patience,
        PatienceOfTheFailed: own_patience,
        NoJitter: apart_after_an_outage,
        NeverAsks: lost_answer_is_asked,
        AsksAtTheEnd: lost_answer_is_asked,
        AsksOnce: inquiry_is_asked_again,
        NoAnswerIsYes: inquiry_is_asked_again,
        RefusedToSay: inquiry_is_asked_again,
        NoGoesBack: asked_no_is_tried_again,
        SilenceIsDone: asked_no_is_tried_again,
        AsksUntilANo: each_no_counts,
        ANoDoesNotCount: each_no_counts,
        UnclearIsNotDone: unknown_is_undone,
        UnknownIsRefused: unknown_is_undone,
        ParksWhatCannotBeUndone: unknown_for_good,
        SilenceIsNotDone: unclear_stays_unclear,
        BelievesTheLast: unclear_stays_unclear,
        BelievesANo: unclear_stays_unclear,
        TriesRefusedAgainInTheDark: unclear_stays_unclear,
        NewKeyEachAttempt: late_attempt,
        NoDeadline: silence_ends,
        OneDeadlineForAll: silence_ends,
        GivesUpEarly: silence_ends,
        LeavesItRunning: silence_ends,
        PanicsAsWell: panics_are_unclear,
        PanicIsRefused: panics_are_unclear,
        UndoesOnce: undo_is_tried_again,
        UnclearIsUndone: undo_is_tried_again,
        AsksWhileUndoing: undo_is_tried_again,
        FailsSilently: undo_is_parked,
        UndoesForEver: undo_is_parked,
        ParksAndGoesOn: undo_is_parked,
        ForgetsTheReason: undo_is_parked,
        KeepsTheFirstReason: undo_is_parked,
        UndoesAllAgain: undo_is_parked,
        NoPivot: only_forward,
        PivotIsForgotten: only_forward,
        ForwardForEver: only_forward,
        LeavesItOut: only_forward,
        PivotClosesTooSoon: pivot_can_be_refused,
        UnclearPivotGoesBack: unclear_pivot,
        BelievesANoOfThePivot: unclear_pivot,
        UndoesAPivotThatCanBe: unclear_pivot,
        LookedAtIsClear: unclear_pivot,
        NoRefusalIsFinal: final_refusal,
        EveryEndIsFinal: final_refusal,
        FinalOfAPivotOnly: final_refusal_of_any,
        FinalIsForgotten: final_refusal_of_any,
        WritesOneBehind: written_before_the_next,
        WritesAtTheEnd: written_before_the_next,
        IgnoresTheLog: log_fails,
        AppendsAgain: log_fails,
        ParksWithoutTheLog: log_fails,
        SpawnsAttempts: left_in_the_middle,
        ResumesFromTheStart: left_in_the_middle,
        TrustsTheLog: resumed_is_unclear,
        BeginsWithAnEmptyLog: resumed_is_unclear,
        WritesOnlyWhatItDid: resumed_is_unclear,
        BelievesANoOfTheBegun: resumed_and_asked,
        AsksOnceOfTheBegun: resumed_and_asked,
        AsksBeforeItGoesOnUndoing: resumed_undoing,
        StaysUnclear: only_the_first_after_a_resumption,
        RandomKey: same_key,
        KeyOfTheSaga: same_key,
        KeyOfTheStep: same_key,
        NothingBetween: same_key,
        AHyphenBetween: same_key,
        NoNameOfTheSaga: same_key,
        UndoHasItsOwnKey: same_key,
        KeyOfTheProcess: another_process,
        AColonBetween: keys_are_apart,
        CleansTheId: keys_are_apart,
        SixtyFourLetters: keys_are_apart,
        OneAtATime: nobody_waits_for_another,
        OneWrites: nobody_waits_for_another,
        AThousandAtOnce: many_wait,
        ListOfTheId: one_id,
        OneList: nothing_is_shared,
        GuessesItFailed: charged_and_not_told,
        GuessesItWorked: never_reached_it,
        NeverGoesBack: declined,
        UnclearIsParked: declined,
    ]
}
