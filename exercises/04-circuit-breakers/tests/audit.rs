//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use circuit_breakers::circuit_breaker::Breaker;
use circuit_breakers_exercises::circuit_breaker;
use grading::Lesson;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod circuit_breaker;
}

/// The untouched starters. They must fail.
#[allow(unreachable_pub)]
#[path = "../starters"]
mod starters {
    pub mod circuit_breaker;
}

fn main() -> std::process::ExitCode {
    grading::audit(vec![Lesson {
        name: "circuit_breaker",
        starter: circuit_breaker::checks::<starters::circuit_breaker::MyBreaker>(),
        reference: circuit_breaker::checks::<Breaker>(),
        decoys: decoys::circuit_breaker::all(),
    }])
}
