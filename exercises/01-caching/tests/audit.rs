//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use caching::cache_aside::LeasedCache;
use caching::stampede::CoalescingCache;
use caching_exercises::{cache_aside, decoys, stampede, starters};
use grading::Lesson;

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
