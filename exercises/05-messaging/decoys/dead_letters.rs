//! Wrong answers to the ward, as people write them in good faith. The head of each says what is
//! wrong and which check finds out.

mod burying;
mod failing;
mod looking;
mod redriving;
mod usual;

use burying::*;
use failing::*;
use grading::Decoy;
use looking::*;
use messaging_exercises::dead_letters::check;
use redriving::*;
use usual::Usually;

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    grading::decoys![check as Usually;
        AcksOnDelivery: done_is_gone,
        LimitByTheBroker: limit_and_words,
        OneTooMany: limit_and_words,
        RejectsWithoutWords: never,
        AcksAndLogs: never,
        FailsOnlyOnce: works_at_last,
        PanicsKeepTheirPlace: panics,
        CatchesTheFutureOnly: panics,
        AllTheWords: long_words,
        RebuildsTheMessage: unchanged,
        RequeuesForEver: poison_first,
        RepublishesForEver: poison_first,
        SleepsInTheLoop: pause_holds_nobody,
        PauseOutlivesTheEnd: pause_holds_nobody,
        RequeuesAtOnce: pauses,
        NoPrefetch: ends_what_it_began,
        BreaksOff: ends_what_it_began,
        TriesForEver: otherwise,
        CountsInMemory: killed,
        AcksThenPublishes: cut_anywhere,
        BuriesUnconfirmed: dead_queue_is_gone,
        LooksAndTakes: looked_at,
        LooksAtFifty: looked_at,
        GivesBackAllAtOnce: looked_at,
        ReadsItsOwnOnly: of_the_broker,
        WaitsForEver: broker_hangs,
        KeyOfTheQueue: sent_back,
        ToEverybody: sent_back,
        KeepsTheLabels: sent_back,
        SendsBackAll: chosen,
        LosesTheOthers: chosen,
        TakesThenPublishes: cut_while_redriven,
        KeepsTheChannel: left_while_redriving,
        ReadsThenPurges: together,
        UntilItIsEmpty: dies_again,
        ForgetsTheWayBack: dies_again,
        SendsBackUnconfirmed: queue_is_gone,
    ]
}
