//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p observability-exercises --test propagation_messages`
//! accepts a change of them.

use decoys::propagation;
use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod propagation;
}

#[test]
fn a_message_in_the_trace_of_whoever_carried_it_is_shown() {
    insta::assert_snapshot!(explain("propagation", propagation::all(), "injects_when_sent"));
}

#[test]
fn what_was_written_for_a_customer_who_hung_up_is_shown() {
    insta::assert_snapshot!(explain("propagation", propagation::all(), "while_polled"));
}

#[test]
fn an_attempt_that_hangs_on_the_one_before_is_shown() {
    insta::assert_snapshot!(explain("propagation", propagation::all(), "child_of_the_attempt"));
}

#[test]
fn an_id_that_is_too_short_is_shown() {
    insta::assert_snapshot!(explain("propagation", propagation::all(), "takes_what_the_sdk_takes"));
}

#[test]
fn a_span_that_has_ended_before_its_work_is_shown() {
    insta::assert_snapshot!(explain("propagation", propagation::all(), "ends_too_early"));
}

#[test]
fn a_row_that_is_sent_as_something_else_is_shown() {
    insta::assert_snapshot!(explain("propagation", propagation::all(), "sends_what_it_understood"));
}
