//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p observability-exercises --test spans_messages`
//! accepts a change of them.

use decoys::spans;
use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod spans;
}

#[test]
fn a_step_that_strayed_to_another_request_is_shown_where_they_took_turns() {
    insta::assert_snapshot!(explain("spans", spans::all(), "guard_across_await"));
}

#[test]
fn a_step_of_a_task_that_hangs_beneath_nothing_is_shown() {
    insta::assert_snapshot!(explain("spans", spans::all(), "made_in_the_task"));
}

#[test]
fn a_request_that_never_ends_is_shown() {
    insta::assert_snapshot!(explain("spans", spans::all(), "in_a_table"));
}

#[test]
fn a_request_that_lasts_as_long_as_its_mail_is_shown() {
    insta::assert_snapshot!(explain("spans", spans::all(), "stays_in_the_request"));
}
