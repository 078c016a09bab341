//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use grading::Lesson;
use locks::fencing::PgStock;
use locks::lease::RedisLease;
use locks_exercises::{fencing, lease, lock_free};

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod fencing;
    pub mod lease;
    pub mod lock_free;
}

/// The untouched starters. They must fail.
#[allow(unreachable_pub)]
#[path = "../starters"]
mod starters {
    pub mod fencing;
    pub mod lease;
    pub mod lock_free;
}

/// The three ways of one lesson.
struct Starter;

impl lock_free::Ways for Starter {
    type Script = starters::lock_free::MyScript;
    type Watch = starters::lock_free::MyWatch;
    type Update = starters::lock_free::MyUpdate;
}

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
            starter: lock_free::checks::<Starter>(),
            reference: lock_free::checks::<lock_free::Reference>(),
            decoys: decoys::lock_free::all(),
        },
    ])
}
