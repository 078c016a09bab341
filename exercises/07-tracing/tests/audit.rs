//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use grading::Lesson;
use observability::correlation_ids::TaskIds;
use observability::metrics::Instance;
use observability::propagation::OneTrace;
use observability::spans::TracingSpans;
use observability::structured_logs::JsonLines;
use observability_exercises::{correlation_ids, metrics, propagation, spans, structured_logs};

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod correlation_ids;
    pub mod metrics;
    pub mod propagation;
    pub mod spans;
    pub mod structured_logs;
}

/// The untouched starters. They must fail.
#[allow(unreachable_pub)]
#[path = "../starters"]
mod starters {
    pub mod correlation_ids;
    pub mod metrics;
    pub mod propagation;
    pub mod spans;
    pub mod structured_logs;
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
            name: "structured_logs",
            starter: structured_logs::checks::<starters::structured_logs::MyLines>(),
            reference: structured_logs::checks::<JsonLines>(),
            decoys: decoys::structured_logs::all(),
        },
        Lesson {
            name: "spans",
            starter: spans::checks::<starters::spans::MySpans>(),
            reference: spans::checks::<TracingSpans>(),
            decoys: decoys::spans::all(),
        },
        Lesson {
            name: "propagation",
            starter: propagation::checks::<starters::propagation::MyPropagation>(),
            reference: propagation::checks::<OneTrace>(),
            decoys: decoys::propagation::all(),
        },
        Lesson {
            name: "metrics",
            starter: metrics::checks::<starters::metrics::MyMetrics>(),
            reference: metrics::checks::<Instance>(),
            decoys: decoys::metrics::all(),
        },
    ])
}
