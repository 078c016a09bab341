//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use circuit_breakers::retry::Retries;
use circuit_breakers_exercises::retry;
use grading::Lesson;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod retry;
}

/// The untouched starters. They must fail.
#[allow(unreachable_pub)]
#[path = "../starters"]
mod starters {
    pub mod retry;
}

fn main() -> std::process::ExitCode {
    grading::audit(vec![Lesson {
        name: "retry",
        starter: retry::checks::<starters::retry::MyRetries>(),
        reference: retry::checks::<Retries>(),
        decoys: decoys::retry::all(),
    }])
}
