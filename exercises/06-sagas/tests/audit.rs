//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use grading::Lesson;
use sagas::outbox::PgOutbox;
use sagas_exercises::outbox;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod outbox;
}

/// The untouched starters. They must fail.
#[allow(unreachable_pub)]
#[path = "../starters"]
mod starters {
    pub mod outbox;
}

fn main() -> std::process::ExitCode {
    grading::audit(vec![Lesson {
        name: "outbox",
        starter: outbox::checks::<starters::outbox::MyOutbox>(),
        reference: outbox::checks::<PgOutbox>(),
        decoys: decoys::outbox::all(),
    }])
}
