//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p observability-exercises --test correlation_ids_messages`
//! accepts a change of them.

use decoys::correlation_ids;
use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod correlation_ids;
}

#[test]
fn an_id_that_strayed_to_another_request_is_shown_where_they_took_turns() {
    insta::assert_snapshot!(explain("correlation_ids", correlation_ids::all(), "on_the_thread"));
}

#[test]
fn a_line_of_a_task_without_an_id_is_shown() {
    insta::assert_snapshot!(explain("correlation_ids", correlation_ids::all(), "bare_spawn"));
}

#[test]
fn what_was_logged_for_a_customer_who_hung_up_is_shown() {
    insta::assert_snapshot!(explain("correlation_ids", correlation_ids::all(), "polled_only"));
}

#[test]
fn a_line_that_a_stranger_has_begun_is_shown_by_its_code() {
    insta::assert_snapshot!(explain("correlation_ids", correlation_ids::all(), "bans_the_known"));
}
