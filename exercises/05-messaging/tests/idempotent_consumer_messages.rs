//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p messaging-exercises --test idempotent_consumer_messages`
//! accepts a change of them.

use decoys::idempotent_consumer;
use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod idempotent_consumer;
}

fn told(decoy: &str) -> String {
    explain("idempotent_consumer", idempotent_consumer::all(), decoy)
}

#[test]
fn two_who_looked_before_either_wrote_are_drawn_side_by_side() {
    insta::assert_snapshot!(told("select_then_insert"));
}

#[test]
fn an_error_that_was_taken_for_a_repetition_is_told_as_a_loss() {
    insta::assert_snapshot!(told("error_is_seen"));
}

#[test]
fn a_commit_that_did_nothing_is_told_as_one() {
    insta::assert_snapshot!(told("commit_is_proof"));
}

#[test]
#[ignore = "prints all of them, to be read"]
fn all_of_them() {
    for decoy in idempotent_consumer::all() {
        println!("=== {}", decoy.name);
        println!("{}", told(decoy.name));
    }
}
