//! The words with which wrong limiters are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p rate-limiting-exercises --test limiting_messages` accepts a
//! change of them.

use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod gcra;
    mod plain;
    pub mod token_bucket;
}

fn of_bucket(name: &str) -> String {
    explain("token_bucket", decoys::token_bucket::all(), name)
}

fn of_gcra(name: &str) -> String {
    explain("gcra", decoys::gcra::all(), name)
}

#[test]
fn a_lost_fraction_is_shown_at_the_poll_that_should_have_been_allowed() {
    insta::assert_snapshot!(of_bucket("whole_tokens"));
}

#[test]
fn a_double_burst_is_told_in_few_requests() {
    insta::assert_snapshot!(of_bucket("window_counter"));
}

#[test]
fn a_key_without_end_shows_the_reply_that_was_lost() {
    insta::assert_snapshot!(of_bucket("expire_apart"));
}

#[test]
fn room_between_two_steps_is_drawn_as_two_lanes_that_clash() {
    insta::assert_snapshot!(of_gcra("get_compute_set"));
}

#[test]
fn a_clients_clock_is_shown_by_a_request_that_was_late() {
    insta::assert_snapshot!(of_gcra("client_clock"));
}

#[test]
fn lost_digits_are_told_to_the_microsecond() {
    insta::assert_snapshot!(of_gcra("fourteen_digits"));
}
