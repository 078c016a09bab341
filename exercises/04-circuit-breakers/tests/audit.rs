//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use circuit_breakers::health_checks::Vitals;
use circuit_breakers_exercises::health_checks;
use grading::Lesson;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod health_checks;
}

/// The untouched starters. They must fail.
#[allow(unreachable_pub)]
#[path = "../starters"]
mod starters {
    pub mod health_checks;
}

fn main() -> std::process::ExitCode {
    grading::audit(vec![Lesson {
        name: "health_checks",
        starter: health_checks::checks::<starters::health_checks::MyHealth>(),
        reference: health_checks::checks::<Vitals>(),
        decoys: decoys::health_checks::all(),
    }])
}
