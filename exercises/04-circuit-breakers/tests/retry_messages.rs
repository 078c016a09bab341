//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p circuit-breakers-exercises --test retry_messages` accepts a
//! change of them.

use decoys::retry;
use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod retry;
}

#[test]
fn pauses_that_are_not_uniform_are_told_in_figures() {
    insta::assert_snapshot!(explain("retry", retry::all(), "equal_jitter"));
}

#[test]
fn retries_without_a_budget_are_told_at_the_first_call() {
    insta::assert_snapshot!(explain("retry", retry::all(), "no_budget"));
}

#[test]
fn twenty_seven_calls_are_shown() {
    insta::assert_snapshot!(explain("retry", retry::all(), "twenty_seven"));
}

#[test]
#[ignore = "prints all of them, to be read"]
fn all_of_them() {
    for decoy in retry::all() {
        println!("=== {}", decoy.name);
        println!("{}", explain("retry", retry::all(), decoy.name));
    }
}
