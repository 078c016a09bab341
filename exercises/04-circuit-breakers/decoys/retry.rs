//! Wrong answers to retries, as people write them in good faith. The head of each says what is
//! wrong and which check finds out.

mod calling;
mod pausing;
mod repeating;
mod spending;
mod usual;
mod usually;
mod waiting;

use calling::{AlwaysTheFirst, BusyIsFailed, NoDeadlineHere};
use circuit_breakers_exercises::retry::check;
use grading::Decoy;
use pausing::{
    AddsNoise, AddsUpFirst, BusyIsTheFirst, CapsAfterDrawing, CapsTheSum, ComparesSeconds,
    CutsItShort, DateIsNow, DoublesItsDraw, DrawsOnce, EmptyRange, EqualJitter, IgnoresRetryAfter,
    Linear, LittleOnTop, NeverTheSame, NoCeiling, NoJitter, NoJitterOnTop, NoTextIsNothing,
    OneSeedForAll, OwnLongest, RemembersWhatItWasTold, SeededForEachCall, ShiftsTooFar, TenSteps,
    Unmixed, WaitsForADay,
};
use repeating::{
    AllButPostAndPatch, AnswersTheFirst, AnyKeyWillDo, AnyMethodIfItBroke, CountsFromZero,
    EveryServerError, ExtensionsLost, GaveUp, LosesSecondLines, MarksEverything, NewKeyEachTime,
    OnlyReads, RenumbersIt, RepeatsClientErrors, RepeatsIncrements, RepeatsNothing, RepeatsOrders,
    RepeatsRefusals, StripsTheMark, TakesRetryAfterOut, TakesTheDeadline, TooManyIsAFailure,
    TwentySeven,
};
use spending::{
    BudgetForEachCall, CountsInThirtyTwoBits, DeniesAnything, EarnsByAttempts, EarnsByReads,
    EarnsByTheClock, EarnsWhatFits, EarnsWhenAnswered, Expires, LatchesShut, LetsGoInBetween,
    LetsTheMarkedPass, NamesTheBudget, NeverSpends, NoBudget, OnePurseForAll, PaysAfterwards,
    PaysForAnything, PaysForTheLast, RoundsToWholeCalls, SavesWithoutEnd, StartsFull,
    WaitsToBeDenied,
};
use usually::Usually;
use waiting::{
    BusyIsNoAttempt, CountsTooLate, CountsTooSoon, CountsWhatIsOver, ExpectsTheWorst, ForEver,
    GoesOnAlone, HoldsALock, HoldsTheAnswer, HoldsTheAttempt, HoldsTheDice, OneTooMany,
    ShrinksThePause, SleepsAfterTheLast, SleepsPastTheDeadline, SleepsUpToTheDeadline,
    SubtractsItsPauses, UpToTheEnd,
};

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    let mut all = grading::decoys![check as Usually;
        NoJitter: full_jitter,
        EqualJitter: full_jitter,
        AddsNoise: full_jitter,
        SeededForEachCall: full_jitter,
        CapsAfterDrawing: full_jitter,
        TenSteps: full_jitter,
        Linear: ceiling_doubles,
        DrawsOnce: ceiling_doubles,
        DoublesItsDraw: ceiling_doubles,
        NoCeiling: ceiling_doubles,
        ShiftsTooFar: ceiling_doubles,
        OneSeedForAll: seeds_draw_the_pauses,
        NeverTheSame: seeds_draw_the_pauses,
        Unmixed: seeds_draw_the_pauses,
        IgnoresRetryAfter: retry_after_is_kept,
        CutsItShort: retry_after_is_kept,
        WaitsForADay: retry_after_is_kept,
        NoJitterOnTop: retry_after_is_kept,
        DateIsNow: retry_after_is_kept,
        LittleOnTop: retry_after_is_kept,
        OwnLongest: retry_after_is_kept,
        NoTextIsNothing: retry_after_is_kept,
        NoBudget: budget_in_an_outage,
        BudgetForEachCall: budget_in_an_outage,
        StartsFull: budget_in_an_outage,
        EarnsByAttempts: budget_in_an_outage,
        NeverSpends: budget_in_an_outage,
        RoundsToWholeCalls: budget_in_an_outage,
        PaysAfterwards: one_budget_for_all,
        EarnsByReads: earned_again,
        LatchesShut: earned_again,
        SavesWithoutEnd: earned_again,
        PaysForAnything: spent_on_repeats_only,
        PaysForTheLast: spent_on_repeats_only,
        WaitsToBeDenied: denied_at_once,
        DeniesAnything: denied_at_once,
        RepeatsNothing: success_is_returned,
        RepeatsOrders: only_idempotent,
        AnyKeyWillDo: only_idempotent,
        OnlyReads: only_idempotent,
        AllButPostAndPatch: only_idempotent,
        NewKeyEachTime: same_request,
        ExtensionsLost: same_request,
        LosesSecondLines: same_request,
        CountsFromZero: same_request,
        TakesTheDeadline: same_request,
        RepeatsClientErrors: final_answers,
        EveryServerError: final_answers,
        TooManyIsAFailure: final_answers,
        RepeatsRefusals: refusals_are_final,
        TwentySeven: one_layer_of_three,
        StripsTheMark: one_layer_of_three,
        RenumbersIt: one_layer_of_three,
        MarksEverything: one_layer_of_three,
        AnswersTheFirst: last_as_it_was,
        GaveUp: last_as_it_was,
        TakesRetryAfterOut: last_as_it_was,
        RepeatsIncrements: increment_once,
        ForEver: attempts_are_counted,
        OneTooMany: attempts_are_counted,
        SleepsAfterTheLast: attempts_are_counted,
        BusyIsNoAttempt: attempts_are_counted,
        SleepsPastTheDeadline: deadline_is_kept,
        SleepsUpToTheDeadline: deadline_is_kept,
        ExpectsTheWorst: deadline_is_kept,
        ShrinksThePause: deadline_is_kept,
        SubtractsItsPauses: deadline_is_kept,
        UpToTheEnd: deadline_is_kept,
        HoldsTheAnswer: pause_holds_nothing,
        HoldsTheAttempt: pause_holds_nothing,
        HoldsTheDice: nobody_waits_for_another,
        CountsTooSoon: caller_leaves,
        CountsTooLate: caller_leaves,
        CountsWhatIsOver: caller_leaves,
        RemembersWhatItWasTold: told_at_any_attempt,
        BusyIsTheFirst: told_at_any_attempt,
        CapsTheSum: told_at_any_attempt,
        ComparesSeconds: called_without_http,
        AddsUpFirst: limits_at_their_ends,
        EmptyRange: limits_at_their_ends,
        CountsInThirtyTwoBits: limits_at_their_ends,
        LetsGoInBetween: threads_share_a_budget,
        EarnsWhenAnswered: each_call_earns,
        LetsTheMarkedPass: each_call_earns,
        EarnsWhatFits: each_call_earns,
        OnePurseForAll: calls_alone_earn,
        EarnsByTheClock: calls_alone_earn,
        Expires: calls_alone_earn,
    ];
    all.extend(grading::decoys![check;
        AnyMethodIfItBroke: only_idempotent,
        NoDeadlineHere: called_without_http,
        AlwaysTheFirst: called_without_http,
        BusyIsFailed: called_without_http,
        GoesOnAlone: caller_leaves,
        NamesTheBudget: denied_at_once,
        HoldsALock: nobody_waits_for_another,
    ]);
    all
}
