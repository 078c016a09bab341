//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use grading::Lesson;
use rate_limiting::gcra::Gcra;
use rate_limiting::http_limits::TowerLimits;
use rate_limiting::token_bucket::TokenBucket;
use rate_limiting_exercises::{decoys, gcra, http_limits, starters, token_bucket};

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
