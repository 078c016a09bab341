//! Wrong answers to publishing and consuming, as people write them in good faith. The head of each
//! says what is wrong and which check finds out.

mod acknowledging;
mod delivering;
mod ending;
mod pacing;
mod publishing;
mod returning;
mod usual;

use acknowledging::{
    AckBeforeTheWork, AcksAllBefore, AcksByNumber, AcksWhateverCame, AutoAck, ForgetsFailures,
    RejectsForGood,
};
use delivering::{
    AttemptIsAFlag, BindsEverything, BodyIsText, LeavesTheBindings, OwnQueueForEach,
    TransientMessages, TransientQueue, WaitsForTheConsumer,
};
use ending::{BreaksOff, KeepsWhatItHas, OutlivesItsConsumer, TakesTheRest, WorksOn};
use grading::Decoy;
use messaging_exercises::publish_consume::check;
use pacing::{
    BatchByBatch, CatchesTheFutureOnly, NoPrefetch, OneByOne, PanicIsTheEnd, PrefetchTooLate,
};
use publishing::{FireAndForget, KeepsItsChannel, NoTimeout};
use returning::{
    CancelIsTheEnd, EndsWithItsConnection, NoHeartbeat, NoPause, OldWorkFirst, OnceDeclared,
};
use usual::Usually;

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    grading::decoys![check as Usually;
        BodyIsText: unchanged,
        WaitsForTheConsumer: before_any_consumer,
        BindsEverything: each_queue_a_copy,
        OwnQueueForEach: one_queue_is_shared,
        TransientQueue: as_declared,
        TransientMessages: as_declared,
        AutoAck: killed_consumer,
        AckBeforeTheWork: ack_after_work,
        AttemptIsAFlag: failed_work,
        AcksWhateverCame: failed_work,
        RejectsForGood: failed_work,
        ForgetsFailures: failed_work,
        PanicIsTheEnd: failed_work,
        CatchesTheFutureOnly: failed_work,
        AcksByNumber: late_acknowledgement,
        OldWorkFirst: late_acknowledgement,
        NoPrefetch: prefetch_is_kept,
        PrefetchTooLate: prefetch_is_kept,
        OneByOne: prefetch_is_kept,
        BatchByBatch: one_that_hangs,
        AcksAllBefore: one_that_hangs,
        BreaksOff: drains,
        KeepsWhatItHas: drains,
        TakesTheRest: drains,
        WorksOn: drains,
        OutlivesItsConsumer: dropped,
        EndsWithItsConnection: comes_back,
        CancelIsTheEnd: queue_is_gone,
        OnceDeclared: queue_is_gone,
        LeavesTheBindings: queue_is_gone,
        NoHeartbeat: stopped_consumer,
        NoPause: pauses,
        FireAndForget: ok_is_there,
        KeepsItsChannel: publisher_comes_back,
        NoTimeout: broker_hangs,
    ]
}
