//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p sagas-exercises --test crash_recovery_messages` accepts a
//! change of them. Those of the checks that kill a process are not here: they start this program
//! again, and it is no grader.

use decoys::crash_recovery;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod crash_recovery;
}

fn explain(name: &str) -> String {
    grading::explain("crash_recovery", crash_recovery::all(), name)
}

#[test]
fn an_entry_that_is_not_there_yet_is_told_at_the_step_that_begins() {
    insta::assert_snapshot!(explain("writes_at_the_end"));
}

#[test]
fn a_saga_that_was_driven_twice_is_drawn_in_two_lanes() {
    insta::assert_snapshot!(explain("listed_with_entries"));
}

#[test]
fn a_late_entry_shows_how_it_was_held() {
    insta::assert_snapshot!(explain("claims_without_token"));
}

#[test]
fn an_undoing_that_nobody_asked_for_shows_the_reply_that_was_lost() {
    insta::assert_snapshot!(explain("error_is_a_failure"));
}
