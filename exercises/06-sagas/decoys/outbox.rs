//! Wrong answers to the outbox, as people write them in good faith. The head of each says what is
//! wrong and which check finds out.

mod adding;
mod ending;
mod publishing;
mod reading;
mod remembering;
mod taking_turns;
mod whole;

use adding::*;
use deadpool_postgres::tokio_postgres::{Row, Transaction};
use ending::*;
use grading::Decoy;
use messaging::Message;
use messaging::confirms::{NotConfirmed, Publisher};
use publishing::*;
use reading::*;
use remembering::*;
use sagas::outbox::{Connections, Error, Forwarded, Options, Outbox, Turn, sendable};
use sagas_exercises::outbox::check;
use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;
use taking_turns::*;
use tokio::time::Instant;
use whole::*;

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    grading::decoys![check as Whole;
        OnItsOwnConnection: still_open,
        KeptUntilAsked: rolled_back,
        InMemoryOnceCommitted: killed_writer,
        BodyIsText: as_it_was,
        ForgetsTheEnvelope: as_it_was,
        TakesWhatComes: unsendable,
        CountsCharacters: unsendable,
        IdAfterTheLast: commit_gap,
        TimeAfterTheLast: commit_gap,
        OneWriterAtATime: commit_gap,
        BelowTheOldestOpen: open_elsewhere,
        ByTransactionNumber: who_waited,
        ByTime: who_waited,
        LocksTheTable: adding_goes_on,
        OneAtATime: whole_batch,
        ByMessageId: in_order,
        AllThereIs: in_order,
        PipelinesTheBatch: one_after_the_other,
        SkipsTheRefused: one_after_the_other,
        NoneIsFree: one_after_the_other,
        StopsAtTheFirst: others_go_on,
        BatchOfTheStuck: others_go_on,
        EndsWhereNobodyKnows: others_go_on,
        BatchOfTheUnknown: others_go_on,
        AtOnceAgain: pauses,
        NoneNeverRests: pauses,
        WholeSeconds: pauses,
        CountsWhatItTried: what_came_of_it,
        CountsToOne: what_came_of_it,
        IgnoresTheConfirm: published_again,
        ANewIdEachTime: published_again,
        TriesForEver: parked,
        LostWithoutATrace: parked,
        CastsItsLimit: parked,
        ParksWhileTheBrokerIsAway: broker_away,
        RefusalsUseItUp: broker_away,
        ClaimsThenPublishes: cut_anywhere,
        ForgetsTheLastAnswer: cut_anywhere,
        DeletesThenPublishes: killed_relay,
        ConnectsOnce: killed_sessions,
        PatientWithPostgres: postgres_stalls,
        PatientWithTheBroker: broker_hangs,
        AsLongForEach: broker_hangs,
        SilentAboutTheRest: broker_hangs,
        AsLongForEachConfirm: slow_broker,
        DropsTheWholeTurn: slow_broker,
        BusyFlag: dropped_relay,
        NoTurns: two_relays,
        SkipsTheLocked: two_relays,
        LocksWhileItReads: two_relays,
        ReadsBeforeItsTurn: held_anywhere,
        MarksAfterItsTurn: held_anywhere,
        LockOfTheProcess: two_processes,
        SentInMemory: two_processes,
        AttemptsInMemory: found_out,
        PausesInMemory: found_out,
        TurnOfTheSession: stopped_relay,
    ]
}
