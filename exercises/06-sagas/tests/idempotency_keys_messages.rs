//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p sagas-exercises --test idempotency_keys_messages` accepts a
//! change of them.

use decoys::idempotency_keys;
use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod idempotency_keys;
}

#[test]
fn a_charge_under_each_body_hash_shows_the_second_order() {
    insta::assert_snapshot!(explain("idempotency_keys", idempotency_keys::all(), "keyed_by_body"));
}

#[test]
fn an_error_that_became_an_answer_is_told_as_what_it_is() {
    let decoys = idempotency_keys::all();
    insta::assert_snapshot!(explain("idempotency_keys", decoys, "error_is_an_answer"));
}

#[test]
fn a_commit_that_was_not_asked_shows_the_request_that_was_lost() {
    let decoys = idempotency_keys::all();
    insta::assert_snapshot!(explain("idempotency_keys", decoys, "commit_cannot_fail"));
}

#[test]
#[ignore = "prints all of them, to be read"]
fn all_of_them() {
    for decoy in idempotency_keys::all() {
        println!("=== {}", decoy.name);
        println!("{}", explain("idempotency_keys", idempotency_keys::all(), decoy.name));
    }
}
