//! What grades the observability exercises: the checks, generic over the lessons' contracts.
//!
//! The learner's files are not part of this library. Each is compiled into the one test that
//! grades it, so that an unfinished file breaks nothing else, and an edit rebuilds one small crate.
//! Nor are the wrong answers: a learner need not wait until all checks are compiled for each of
//! them. They are modules of the tests that grade the graders.

pub mod correlation_ids;
pub mod metrics;
pub mod propagation;
pub mod spans;
pub mod structured_logs;
