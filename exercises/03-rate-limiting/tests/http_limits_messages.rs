//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p rate-limiting-exercises --test http_limits_messages` accepts a
//! change of them.

use decoys::http_limits;
use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod http_limits;
}

#[test]
fn a_forged_address_is_shown_beside_the_honest_one() {
    insta::assert_snapshot!(explain("http_limits", http_limits::all(), "leftmost"));
}

#[test]
fn a_clone_that_was_never_ready_is_told_apart() {
    insta::assert_snapshot!(explain("http_limits", http_limits::all(), "calls_a_clone"));
}

#[test]
fn a_client_that_would_be_too_fast_is_told_in_numbers() {
    insta::assert_snapshot!(explain("http_limits", http_limits::all(), "whole_until_reset"));
}
