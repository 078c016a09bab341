//! Wrong answers to the inbox, as people write them in good faith. The head of each says what is
//! wrong and which check finds out.

mod apart;
mod commits;
mod keys;
mod servers;
mod sweeps;
mod usual;
mod waits;

use apart::*;
use commits::*;
use grading::Decoy;
use keys::*;
use messaging_exercises::idempotent_consumer::check;
use servers::*;
use sweeps::*;
use usual::Usually;
use waits::*;

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    let mut all = grading::decoys![check as Usually;
        NoInbox: once_and_again,
        RunsItAgain: once_and_again,
        HashesTheContent: id_counts,
        KnowsTheOrder: id_counts,
        TidiesTheId: id_counts,
        PutsItIntoTheStatement: id_counts,
        KeepsTheBeginning: id_counts,
        SafeLetters: id_counts,
        IdAlone: each_consumer,
        GluesTheNames: each_consumer,
        EmptyIsAnId: no_id,
        MakesUpAnId: no_id,
        SelectThenInsert: at_the_same_time,
        BusyIsSeen: waits_for_the_outcome,
        WaitedLongEnough: waits_in_vain,
        LocksTheTable: others_go_on,
        LocksTheIdForAll: others_go_on,
        OneConnection: others_go_on,
        ConnectsForEach: connections_kept,
        FourConnections: connections_kept,
        InboxFirst: failed_effect,
        SavepointForTheEffect: failed_effect,
        PoisonIsDone: failed_effect,
        ConflictIsSeen: refused_effect,
        CommitIsProof: hidden_error,
        ErrorIsSeen: lost_words,
        CommitOnlyLogged: lost_words,
        CommitErrorIsHidden: lost_words,
        CleansUpByHand: dropped_caller,
        LockLeftBehind: dropped_caller,
        NoLimitOfStatements: left_running,
        CommitsForEver: never_answered,
        GivesBackWhatHangs: never_answered,
        LosesThePlace: never_answered,
        ASecondForAll: long_effect,
        EffectFirst: killed_anywhere,
        TakesOver: killed_anywhere,
        RemembersInMemory: killed_anywhere,
        NoLimitOnTheServer: stopped_consumer,
        NoTimeout: postgres_stalls,
        SweepsForEver: postgres_stalls,
        TriesForEver: postgres_is_gone,
        SweepsAllAtOnce: old_rows_go,
        SweepsForEverybody: old_rows_go,
        KeepsTheLatest: old_rows_go,
        KeepsAnHour: old_rows_go,
        RemembersForEver: forgotten_is_new,
    ];
    all.extend(grading::decoys![check;
        BusyHereIsSeen: waits_for_the_outcome,
        OneAtTheDoor: others_go_on,
        ConnectsOnce: killed_sessions,
    ]);
    all
}
