//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use grading::Lesson;
use locks_exercises::{decoys, lock_free};

fn main() -> std::process::ExitCode {
    grading::audit(vec![Lesson {
        name: "lock_free",
        starter: lock_free::checks::<lock_free::Starter>(),
        reference: lock_free::checks::<lock_free::Reference>(),
        decoys: decoys::lock_free::all(),
    }])
}
