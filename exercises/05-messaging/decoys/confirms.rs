//! Wrong answers to confirms, as people write them in good faith. The head of each says what is wrong
//! and which check finds out.

mod added;
mod around;
mod batches;
mod callers;
mod channels;
mod usual;
mod words;

use added::{
    AsksAgain, LateSpoilsAll, OneKeyOneFate, OneSecond, RemembersWhatCameBack, RepeatsTheRefused,
    StopsAtTheUnknown, TheLastSpeaksForAll, UnwrapsTheUrl, With,
};
use around::{KnowsItById, RemembersTheUnwanted, TheFirstConnects, TrustsItAlone, WaitsAtTheLock};
use batches::{
    ALineForEachKey, AllOrNothing, Buffered, EachWaitsAlone, FirstErrorEndsIt, InBundles, OneByOne,
    OneDeadline, SpawnsEach, TimesThemInTurn, WaitForConfirms,
};
use callers::{
    ForgetsWhenLost, ForgetsWhenRefused, LocksAcross, NoTimeout, NoWindow, PermitOfTheCaller,
    TakesTheWindowAsItIs, WindowForEach,
};
use channels::{ChannelForEach, KeepsAClosedChannel, OpensInOpen, OpensOnce, TrustsASilentLine};
use grading::Decoy;
use messaging_exercises::confirms::check;
use usual::Usually;
use words::{
    AnyConfirmWillDo, AtMostOneFrame, FireAndForget, IgnoresReturned, LostIsOk, LostIsRefused,
    NoId, NotMandatory, OnlyTheTrace, RepeatsByItself, SaysSlow, Transient, TrustsTheConfirm,
};

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    let mut all = grading::decoys![check as Usually;
        FireAndForget: waits_for_the_confirm,
        NotMandatory: unroutable_alone,
        IgnoresReturned: unroutable_alone,
        TrustsTheConfirm: which_came_back,
        AnyConfirmWillDo: refused,
        Transient: whole_and_persistent,
        NoId: whole_and_persistent,
        OnlyTheTrace: whole_and_persistent,
        AtMostOneFrame: any_size,
        LostIsOk: lost_on_the_way,
        LostIsRefused: lost_on_the_way,
        SaysSlow: missing_exchange,
        OneByOne: pipelines,
        FirstErrorEndsIt: refused,
        AllOrNothing: confirmed_stays,
        OneDeadline: slow_broker,
        SpawnsEach: order_kept,
        EachWaitsAlone: stalled,
        NoTimeout: never_confirmed,
        NoWindow: window_kept,
        WindowForEach: window_kept,
        PermitOfTheCaller: dropped_callers,
        ForgetsWhenLost: never_confirmed,
        ForgetsWhenRefused: refused,
        TakesTheWindowAsItIs: any_window,
        LocksAcross: together,
        ChannelForEach: one_channel,
        OpensOnce: killed_between,
        KeepsAClosedChannel: missing_exchange,
        OpensInOpen: starts_alone,
        TrustsASilentLine: never_confirmed,
    ];
    all.extend(grading::decoys![check;
        WaitForConfirms: refused,
        InBundles: room_is_used,
        ALineForEachKey: order_kept,
        Buffered: dropped_callers,
        TimesThemInTurn: as_long_as_said,
        TrustsItAlone: which_came_back,
        KnowsItById: alike,
        RemembersTheUnwanted: unroutable_alone,
        TheFirstConnects: left_while_connecting,
        WaitsAtTheLock: stalled,
        RepeatsByItself: lost_on_the_way,
    ]);
    all.extend(grading::decoys![check as With;
        RepeatsTheRefused: refused,
        AsksAgain: unroutable_alone,
        RemembersWhatCameBack: unroutable_alone,
        OneKeyOneFate: alike,
        OneSecond: as_long_as_said,
        LateSpoilsAll: one_is_late,
        StopsAtTheUnknown: out_of_order,
        TheLastSpeaksForAll: out_of_order,
        UnwrapsTheUrl: starts_alone,
    ]);
    all
}
