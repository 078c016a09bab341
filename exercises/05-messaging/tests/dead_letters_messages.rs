//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p messaging-exercises --test dead_letters_messages` accepts a
//! change of them.

use decoys::dead_letters;
use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod dead_letters;
}

fn told(decoy: &str) -> String {
    explain("dead_letters", dead_letters::all(), decoy)
}

#[test]
fn letters_that_nobody_wanted_back_are_missed() {
    insta::assert_snapshot!(told("loses_the_others"));
}

#[test]
fn a_key_that_became_the_name_of_the_queue_is_told() {
    insta::assert_snapshot!(told("key_of_the_queue"));
}

#[test]
fn letters_that_were_read_and_purged_by_two_are_counted() {
    insta::assert_snapshot!(told("reads_then_purges"));
}

#[test]
#[ignore = "prints all of them, to be read"]
fn all_of_them() {
    for decoy in dead_letters::all() {
        println!("=== {}", decoy.name);
        println!("{}", told(decoy.name));
    }
}
