//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use grading::Lesson;
use locks::fencing::PgStock;
use locks::lease::RedisLease;
use locks_exercises::{decoys, fencing, lease, lock_free, starters};

fn main() -> std::process::ExitCode {
    grading::audit(vec![
        Lesson {
            name: "lease",
            starter: lease::checks::<starters::lease::MyLease>(),
            reference: lease::checks::<RedisLease>(),
            decoys: decoys::lease::all(),
        },
        Lesson {
            name: "fencing",
            starter: fencing::checks::<starters::fencing::MyStock>(),
            reference: fencing::checks::<PgStock>(),
            decoys: decoys::fencing::all(),
        },
        Lesson {
            name: "lock_free",
            starter: lock_free::checks::<lock_free::Starter>(),
            reference: lock_free::checks::<lock_free::Reference>(),
            decoys: decoys::lock_free::all(),
        },
    ])
}
