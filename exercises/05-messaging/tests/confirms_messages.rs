//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p messaging-exercises --test confirms_messages` accepts a change
//! of them.

use decoys::confirms;
use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod confirms;
}

#[test]
fn a_nack_that_was_taken_for_a_confirm() {
    insta::assert_snapshot!(explain("confirms", confirms::all(), "any_confirm_will_do"));
}

#[test]
fn a_message_that_came_back_and_nobody_noticed() {
    insta::assert_snapshot!(explain("confirms", confirms::all(), "not_mandatory"));
}

#[test]
fn a_lost_confirm_that_was_taken_for_a_yes() {
    insta::assert_snapshot!(explain("confirms", confirms::all(), "lost_is_ok"));
}

#[test]
#[ignore = "prints all of them, to be read"]
fn all_of_them() {
    for decoy in confirms::all() {
        println!("=== {}", decoy.name);
        println!("{}", explain("confirms", confirms::all(), decoy.name));
    }
}
