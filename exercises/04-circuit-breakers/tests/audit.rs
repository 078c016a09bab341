//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use circuit_breakers::bulkhead::Compartment;
use circuit_breakers::circuit_breaker::Breaker;
use circuit_breakers::health_checks::Vitals;
use circuit_breakers::retry::Retries;
use circuit_breakers::timeouts::OneDeadline;
use circuit_breakers_exercises::{bulkhead, circuit_breaker, health_checks, retry, timeouts};
use grading::Lesson;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod bulkhead;
    pub mod circuit_breaker;
    pub mod health_checks;
    pub mod retry;
    pub mod timeouts;
}

/// The untouched starters. They must fail.
#[allow(unreachable_pub)]
#[path = "../starters"]
mod starters {
    pub mod bulkhead;
    pub mod circuit_breaker;
    pub mod health_checks;
    pub mod retry;
    pub mod timeouts;
}

fn main() -> std::process::ExitCode {
    grading::audit(vec![
        Lesson {
            name: "circuit_breaker",
            starter: circuit_breaker::checks::<starters::circuit_breaker::MyBreaker>(),
            reference: circuit_breaker::checks::<Breaker>(),
            decoys: decoys::circuit_breaker::all(),
        },
        Lesson {
            name: "retry",
            starter: retry::checks::<starters::retry::MyRetries>(),
            reference: retry::checks::<Retries>(),
            decoys: decoys::retry::all(),
        },
        Lesson {
            name: "timeouts",
            starter: timeouts::checks::<starters::timeouts::MyDeadlines>(),
            reference: timeouts::checks::<OneDeadline>(),
            decoys: decoys::timeouts::all(),
        },
        Lesson {
            name: "bulkhead",
            starter: bulkhead::checks::<starters::bulkhead::MyBulkhead>(),
            reference: bulkhead::checks::<Compartment>(),
            decoys: decoys::bulkhead::all(),
        },
        Lesson {
            name: "health_checks",
            starter: health_checks::checks::<starters::health_checks::MyHealth>(),
            reference: health_checks::checks::<Vitals>(),
            decoys: decoys::health_checks::all(),
        },
    ])
}
