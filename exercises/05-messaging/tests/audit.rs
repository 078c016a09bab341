//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use grading::Lesson;
use messaging::dead_letters::RabbitWard;
use messaging::idempotent_consumer::PgInbox;
use messaging_exercises::{dead_letters, idempotent_consumer};

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod dead_letters;
    pub mod idempotent_consumer;
}

/// The untouched starters. They must fail.
#[allow(unreachable_pub)]
#[path = "../starters"]
mod starters {
    pub mod dead_letters;
    pub mod idempotent_consumer;
}

fn main() -> std::process::ExitCode {
    grading::audit(vec![
        Lesson {
            name: "dead_letters",
            starter: dead_letters::checks::<starters::dead_letters::MyWard>(),
            reference: dead_letters::checks::<RabbitWard>(),
            decoys: decoys::dead_letters::all(),
        },
        Lesson {
            name: "idempotent_consumer",
            starter: idempotent_consumer::checks::<starters::idempotent_consumer::MyInbox>(),
            reference: idempotent_consumer::checks::<PgInbox>(),
            decoys: decoys::idempotent_consumer::all(),
        },
    ])
}
