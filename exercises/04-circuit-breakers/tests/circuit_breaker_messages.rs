//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p circuit-breakers-exercises --test circuit_breaker_messages`
//! accepts a change of them.

use decoys::circuit_breaker;
use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod circuit_breaker;
}

#[test]
fn a_late_success_is_shown_beside_the_state_that_it_changed() {
    insta::assert_snapshot!(explain(
        "circuit_breaker",
        circuit_breaker::all(),
        "stale_success_closes"
    ));
}

#[test]
fn callers_who_gave_up_are_shown_in_their_row() {
    insta::assert_snapshot!(explain(
        "circuit_breaker",
        circuit_breaker::all(),
        "outer_timeout_not_counted"
    ));
}

#[test]
fn a_place_that_was_not_given_back_is_shown_by_who_is_refused() {
    insta::assert_snapshot!(explain(
        "circuit_breaker",
        circuit_breaker::all(),
        "gives_back_after_the_await"
    ));
}

#[test]
fn a_crowd_is_told_as_a_number() {
    let told = explain("circuit_breaker", circuit_breaker::all(), "bare_failsafe");
    // Who of a hundred comes first is not the same in each run.
    assert!(told.contains("saw       100"), "{told}");
    println!("{told}");
}
