//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use caching::cache_aside::LeasedCache;
use caching::stampede::CoalescingCache;
use caching_exercises::{cache_aside, stampede};
use grading::Lesson;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod cache_aside;
    pub mod stampede;
}

/// The untouched starters. They must fail.
#[allow(unreachable_pub)]
#[path = "../starters"]
mod starters {
    pub mod cache_aside;
    pub mod stampede;
}

fn main() -> std::process::ExitCode {
    grading::audit(vec![
        Lesson {
            name: "cache_aside",
            starter: cache_aside::checks::<starters::cache_aside::MyCache>(),
            reference: cache_aside::checks::<LeasedCache>(),
            decoys: decoys::cache_aside::all(),
        },
        Lesson {
            name: "stampede",
            starter: stampede::checks::<starters::stampede::MyCache>(),
            reference: stampede::checks::<CoalescingCache>(),
            decoys: decoys::stampede::all(),
        },
    ])
}
