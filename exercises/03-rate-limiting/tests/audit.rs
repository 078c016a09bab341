//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use grading::Lesson;
use rate_limiting::gcra::Gcra;
use rate_limiting::http_limits::TowerLimits;
use rate_limiting::token_bucket::TokenBucket;
use rate_limiting_exercises::{gcra, http_limits, token_bucket};

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod gcra;
    pub mod http_limits;
    mod plain;
    pub mod token_bucket;
}

/// The untouched starters. They must fail.
#[allow(unreachable_pub)]
#[path = "../starters"]
mod starters {
    pub mod gcra;
    pub mod http_limits;
    pub mod token_bucket;
}

fn main() -> std::process::ExitCode {
    grading::audit(vec![
        Lesson {
            name: "token_bucket",
            starter: token_bucket::checks::<starters::token_bucket::MyBucket>(),
            reference: token_bucket::checks::<TokenBucket>(),
            decoys: decoys::token_bucket::all(),
        },
        Lesson {
            name: "gcra",
            starter: gcra::checks::<starters::gcra::MyLimiter>(),
            reference: gcra::checks::<Gcra>(),
            decoys: decoys::gcra::all(),
        },
        Lesson {
            name: "http_limits",
            starter: http_limits::checks::<starters::http_limits::MyLimits>(),
            reference: http_limits::checks::<TowerLimits>(),
            decoys: decoys::http_limits::all(),
        },
    ])
}
