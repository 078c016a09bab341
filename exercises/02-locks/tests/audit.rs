//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use grading::Lesson;
use locks::lease::RedisLease;
use locks_exercises::{decoys, lease, starters};

fn main() -> std::process::ExitCode {
    grading::audit(vec![Lesson {
        name: "lease",
        starter: lease::checks::<starters::lease::MyLease>(),
        reference: lease::checks::<RedisLease>(),
        decoys: decoys::lease::all(),
    }])
}
