//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use grading::Lesson;
use rate_limiting::http_limits::TowerLimits;
use rate_limiting_exercises::{decoys, http_limits, starters};

fn main() -> std::process::ExitCode {
    grading::audit(vec![Lesson {
        name: "http_limits",
        starter: http_limits::checks::<starters::http_limits::MyLimits>(),
        reference: http_limits::checks::<TowerLimits>(),
        decoys: decoys::http_limits::all(),
    }])
}
