//! What grades the locks exercises: the checks, and the wrong answers that they must reject.
//!
//! The learner's files are not part of this library. Each is compiled into the one test that
//! grades it, so that an unfinished file breaks nothing else, and an edit rebuilds one small crate.

pub mod fencing;
pub mod lease;
pub mod lock_free;

/// The wrong answers that people really give. Each names the check that must reject it.
#[path = "../decoys"]
pub mod decoys {
    pub mod fencing;
    pub mod lease;
    pub mod lock_free;
}

/// The untouched starters. They must fail.
#[path = "../starters"]
pub mod starters {
    pub mod fencing;
    pub mod lease;
    pub mod lock_free;
}
