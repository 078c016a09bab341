//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use grading::Lesson;
use sagas::idempotency_keys::PgKeys;
use sagas_exercises::idempotency_keys;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod idempotency_keys;
}

/// The untouched starters. They must fail.
#[allow(unreachable_pub)]
#[path = "../starters"]
mod starters {
    pub mod idempotency_keys;
}

fn main() -> std::process::ExitCode {
    grading::audit(vec![Lesson {
        name: "idempotency_keys",
        starter: idempotency_keys::checks::<starters::idempotency_keys::MyKeys>(),
        reference: idempotency_keys::checks::<PgKeys>(),
        decoys: decoys::idempotency_keys::all(),
    }])
}
