//! Wrong answers to orchestration, as people write them in good faith. The head of each says what is
//! wrong and which check finds out.

mod going;
mod unclear;
mod undoing;
mod usual;

use going::{
    CompensatesEverything, CompensatesWhatNeverRan, CountsFromZero, EqualJitter, EveryEndIsFinal,
    ForEver, ForwardForEver, GivesUpAtOnce, GoesOnRegardless, LeavesItOut, NeverDoubles, NoJitter,
    NoLongest, NoPause, NoPivot, NoRefusalIsFinal, OneTooMany, PausesAfterTheLast,
    PivotClosesTooSoon, PivotIsForgotten, StopsAtNothingToUndo, TriesRefusedAgain,
    UnclearPivotGoesBack, UndoesInOrder, UndoesTheLastOnly, UnknownIsRefused,
};
use grading::Decoy;
use sagas_exercises::orchestration::check;
use unclear::{
    AHyphenBetween, AsksAtTheEnd, AsksOnce, BelievesANo, BelievesTheLast, GivesUpEarly,
    GuessesItFailed, GuessesItWorked, KeyOfTheSaga, KeyOfTheStep, LeavesItRunning, NeverAsks,
    NewKeyEachAttempt, NoAnswerIsYes, NoDeadline, NoGoesBack, NoNameOfTheSaga, NothingBetween,
    OneDeadlineForAll, PanicIsRefused, PanicsAsWell, RandomKey, SilenceIsDone, SilenceIsNotDone,
    SpawnsAttempts, UnclearIsNotDone, UndoHasItsOwnKey,
};
use undoing::{
    AppendsAgain, AsksWhileUndoing, BegunFromTheStart, FailsSilently, ForgetsTheReason,
    IgnoresTheLog, NeverGoesBack, OneAtATime, OneList, ParksAndGoesOn, ResumesFromTheStart,
    StaysUnclear, TrustsTheLog, UnclearIsParked, UnclearIsUndone, UndoesAllAgain, UndoesForEver,
    UndoesOnce, WritesAtTheEnd, WritesOneBehind,
};
use usual::Usually;

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
        NoJitter: apart_after_an_outage,
        NeverAsks: lost_answer_is_asked,
        AsksAtTheEnd: lost_answer_is_asked,
        AsksOnce: inquiry_is_asked_again,
        NoAnswerIsYes: inquiry_is_asked_again,
        NoGoesBack: asked_no_is_tried_again,
        SilenceIsDone: asked_no_is_tried_again,
        UnclearIsNotDone: unknown_is_undone,
        UnknownIsRefused: unknown_is_undone,
        SilenceIsNotDone: unclear_stays_unclear,
        BelievesTheLast: unclear_stays_unclear,
        BelievesANo: unclear_stays_unclear,
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
        UndoesAllAgain: undo_is_parked,
        NoPivot: only_forward,
        PivotIsForgotten: only_forward,
        ForwardForEver: only_forward,
        LeavesItOut: only_forward,
        PivotClosesTooSoon: pivot_can_be_refused,
        UnclearPivotGoesBack: unclear_pivot,
        NoRefusalIsFinal: final_refusal,
        EveryEndIsFinal: final_refusal,
        WritesOneBehind: written_before_the_next,
        WritesAtTheEnd: written_before_the_next,
        IgnoresTheLog: log_fails,
        AppendsAgain: log_fails,
        SpawnsAttempts: left_in_the_middle,
        ResumesFromTheStart: left_in_the_middle,
        TrustsTheLog: resumed_is_unclear,
        StaysUnclear: only_the_first_after_a_resumption,
        RandomKey: same_key,
        KeyOfTheSaga: same_key,
        KeyOfTheStep: same_key,
        NothingBetween: same_key,
        AHyphenBetween: same_key,
        NoNameOfTheSaga: same_key,
        UndoHasItsOwnKey: same_key,
        OneAtATime: nobody_waits_for_another,
        OneList: nothing_is_shared,
        GuessesItFailed: charged_and_not_told,
        GuessesItWorked: never_reached_it,
        NeverGoesBack: declined,
        UnclearIsParked: declined,
    ]
}
