//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p circuit-breakers-exercises --test health_checks_messages`
//! accepts a change of them.

use decoys::health_checks;
use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod health_checks;
}

#[test]
fn a_restart_for_the_fault_of_redis_is_shown_beside_that_fault() {
    insta::assert_snapshot!(explain("health_checks", health_checks::all(), "live_is_last_ready"));
}

#[test]
fn an_answer_that_the_drain_has_overtaken_is_told_as_two_steps_that_clash() {
    insta::assert_snapshot!(explain("health_checks", health_checks::all(), "looks_before_only"));
}

#[test]
fn a_drain_that_ends_early_names_who_is_still_under_way() {
    insta::assert_snapshot!(explain("health_checks", health_checks::all(), "only_those_of_then"));
}
