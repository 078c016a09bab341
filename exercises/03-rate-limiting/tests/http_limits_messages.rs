//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p rate-limiting-exercises --test http_limits_messages` accepts a
//! change of them.

use rate_limiting_exercises::decoys::http_limits;

/// One schedule for all, so that names, quotas and addresses stay the same.
const SEED: u64 = 7;

fn told(name: &str) -> String {
    let decoy = http_limits::all().into_iter().find(|decoy| decoy.name == name);
    grading::explain("http_limits", decoy.expect("a decoy of this name"), SEED)
}

#[test]
fn a_forged_address_is_shown_beside_the_honest_one() {
    insta::assert_snapshot!(told("leftmost"));
}

#[test]
fn a_clone_that_was_never_ready_is_told_apart() {
    insta::assert_snapshot!(told("calls_a_clone"));
}

#[test]
fn a_client_that_would_be_too_fast_is_told_in_numbers() {
    insta::assert_snapshot!(told("whole_until_reset"));
}
