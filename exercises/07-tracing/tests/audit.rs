//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use grading::Lesson;
use observability::correlation_ids::TaskIds;
use observability::spans::TracingSpans;
use observability_exercises::correlation_ids;
use observability_exercises::spans;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod correlation_ids;
    pub mod spans;
}

/// The untouched starters. They must fail.
#[allow(unreachable_pub)]
#[path = "../starters"]
mod starters {
    pub mod correlation_ids;
    pub mod spans;
}

fn main() -> std::process::ExitCode {
    grading::audit(vec![
        Lesson {
            name: "correlation_ids",
            starter: correlation_ids::checks::<starters::correlation_ids::MyIds>(),
            reference: correlation_ids::checks::<TaskIds>(),
            decoys: decoys::correlation_ids::all(),
        },
        Lesson {
            name: "spans",
            starter: spans::checks::<starters::spans::MySpans>(),
            reference: spans::checks::<TracingSpans>(),
            decoys: decoys::spans::all(),
        },
    ])
}
