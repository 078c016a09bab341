//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p circuit-breakers-exercises --test timeouts_messages` accepts a
//! change of them.

use decoys::timeouts;
use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod timeouts;
}

#[test]
fn a_hop_that_works_for_nobody_is_shown_after_the_caller_has_gone() {
    insta::assert_snapshot!(explain("timeouts", timeouts::all(), "fresh_timeout_at_each_hop"));
}

#[test]
fn a_queue_that_takes_no_time_is_shown() {
    insta::assert_snapshot!(explain("timeouts", timeouts::all(), "clock_starts_when_polled"));
}

#[test]
fn a_task_that_nobody_took_along_is_shown() {
    insta::assert_snapshot!(explain("timeouts", timeouts::all(), "drops_the_handle"));
}
