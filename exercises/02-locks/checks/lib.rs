//! What grades the locks exercises: the checks, and the wrong answers that they must reject.
//!
//! The learner's files are not part of this library. Each is compiled into the one test that
//! grades it, so that an unfinished file breaks nothing else, and an edit rebuilds one small crate.
