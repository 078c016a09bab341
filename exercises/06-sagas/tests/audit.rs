//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use grading::Lesson;
use locks::lease::RedisLease;
use sagas::crash_recovery::Driver;
use sagas::idempotency_keys::PgKeys;
use sagas::journal::PgJournal;
use sagas::orchestration::Conductor;
use sagas::outbox::PgOutbox;
use sagas_exercises::{crash_recovery, idempotency_keys, orchestration, outbox};

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod crash_recovery;
    pub mod idempotency_keys;
    pub mod orchestration;
    pub mod outbox;
}

/// The untouched starters. They must fail.
#[allow(unreachable_pub)]
#[path = "../starters"]
mod starters {
    pub mod crash_recovery;
    pub mod idempotency_keys;
    pub mod orchestration;
    pub mod outbox;
}

fn main() -> std::process::ExitCode {
    grading::audit(vec![
        Lesson {
            name: "orchestration",
            starter: orchestration::checks::<starters::orchestration::MyOrchestrator>(),
            reference: orchestration::checks::<Conductor>(),
            decoys: decoys::orchestration::all(),
        },
        Lesson {
            name: "outbox",
            starter: outbox::checks::<starters::outbox::MyOutbox>(),
            reference: outbox::checks::<PgOutbox>(),
            decoys: decoys::outbox::all(),
        },
        Lesson {
            name: "idempotency_keys",
            starter: idempotency_keys::checks::<starters::idempotency_keys::MyKeys>(),
            reference: idempotency_keys::checks::<PgKeys>(),
            decoys: decoys::idempotency_keys::all(),
        },
        Lesson {
            name: "crash_recovery",
            starter: crash_recovery::checks::<starters::crash_recovery::MyRecovery>(),
            reference: crash_recovery::checks::<Driver<PgJournal, RedisLease>>(),
            decoys: decoys::crash_recovery::all(),
        },
    ])
}
