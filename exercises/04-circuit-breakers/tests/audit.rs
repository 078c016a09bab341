//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use circuit_breakers::timeouts::OneDeadline;
use circuit_breakers_exercises::timeouts;
use grading::Lesson;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod timeouts;
}

/// The untouched starters. They must fail.
#[allow(unreachable_pub)]
#[path = "../starters"]
mod starters {
    pub mod timeouts;
}

fn main() -> std::process::ExitCode {
    grading::audit(vec![Lesson {
        name: "timeouts",
        starter: timeouts::checks::<starters::timeouts::MyDeadlines>(),
        reference: timeouts::checks::<OneDeadline>(),
        decoys: decoys::timeouts::all(),
    }])
}
