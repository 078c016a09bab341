//! Wrong answers to deadlines, as people write them in good faith. The head of each says what is
//! wrong and which check finds out.

mod asking;
mod beside;
mod edges;
mod right;
mod serving;

use asking::{
    AppendsTheHeader, AsksAndThenLooks, AsksInATask, AsksWithNothingLeft, CallsWhatIsNotReady,
    ConnectsWithoutTimeout, CountsBeforeConnecting, FreshTimeoutAtEachHop, KeepsTheOldHeader,
    OnlyItsOwnPatience, OnlyTheDeadline, RoundsToNearest, RoundsUp, SilenceIsAnError, TimeOfDay,
    WholeSeconds,
};
use beside::{
    BareSpawn, BugsAreLate, DropsTheHandle, GuardedWhenPolled, NoClockOfItsOwn, NotATask,
    StepsAndThenLooks,
};
use circuit_breakers_exercises::timeouts::check;
use edges::{
    ConnectsInATask, EntersAndThenLooks, GivesUpEarly, HalfForTheTask, HoldsTheCall,
    LooksThenConnects, NarrowNumber, OneOddLetter, TheLatestRequest, WaitsInATask,
};
use grading::Decoy;
use serving::{
    AbortsWhenLate, BelievesTheCaller, BelowZeroIsOdd, ClockStartsWhenPolled, CountsInSeconds,
    ElapsedIsNotLate, FinishesWhatItBegan, FirstHeaderOnly, ForgetsTheOuterLayer, HidesErrors,
    HoldsWhatIsOver, LeavesTheHeader, OwnLongestOnly, PanicsWhenHuge, ReadyBeforeTheClock,
    RefusesWhatIsOdd, SpawnsTheWork, TheOuterLayerKnows, TokiosTimeout, TooSmallIsLarge,
    ZeroIsNoLimit,
};

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    grading::decoys![check;
        OwnLongestOnly: the_earliest_counts,
        BelievesTheCaller: the_earliest_counts,
        ForgetsTheOuterLayer: the_earliest_counts,
        TheOuterLayerKnows: the_earliest_counts,
        ZeroIsNoLimit: nothing_left,
        BelowZeroIsOdd: nothing_left,
        TooSmallIsLarge: nothing_left,
        ReadyBeforeTheClock: waiting_for_a_place,
        ClockStartsWhenPolled: queue_counts,
        TokiosTimeout: busy_machine,
        AsksAndThenLooks: busy_machine,
        StepsAndThenLooks: busy_machine,
        SpawnsTheWork: work_ends,
        HoldsWhatIsOver: work_ends,
        ElapsedIsNotLate: work_ends,
        CountsInSeconds: work_ends,
        PanicsWhenHuge: odd_headers,
        RefusesWhatIsOdd: odd_headers,
        FirstHeaderOnly: several_headers,
        LeavesTheHeader: served_in_time,
        HidesErrors: served_in_time,
        AbortsWhenLate: cancelled_caller,
        AsksInATask: cancelled_caller,
        FinishesWhatItBegan: hanging_redis,
        RoundsUp: rounded_down,
        RoundsToNearest: rounded_down,
        WholeSeconds: rounded_down,
        TimeOfDay: rounded_down,
        CountsBeforeConnecting: told_after_connecting,
        AppendsTheHeader: one_header,
        KeepsTheOldHeader: less_at_each_hop,
        OnlyItsOwnPatience: patience_or_deadline,
        OnlyTheDeadline: patience_or_deadline,
        AsksWithNothingLeft: not_asked_too_late,
        ConnectsWithoutTimeout: connecting_counts,
        CallsWhatIsNotReady: asked_in_time,
        SilenceIsAnError: connecting_counts,
        FreshTimeoutAtEachHop: one_deadline,
        BareSpawn: task_ends,
        NoClockOfItsOwn: task_ends,
        NotATask: task_ends,
        DropsTheHandle: task_is_taken_along,
        GuardedWhenPolled: task_is_taken_along,
        BugsAreLate: task_answers,
        OneOddLetter: several_headers,
        NarrowNumber: rounded_down,
        LooksThenConnects: connecting_takes_all,
        ConnectsInATask: connecting_counts,
        WaitsInATask: waiting_for_a_place,
        EntersAndThenLooks: ready_too_late,
        HoldsTheCall: patience_or_deadline,
        GivesUpEarly: patience_or_deadline,
        HalfForTheTask: task_ends,
        TheLatestRequest: requests_apart,
    ]
}
