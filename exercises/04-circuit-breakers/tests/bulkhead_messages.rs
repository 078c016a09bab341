//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p circuit-breakers-exercises --test bulkhead_messages` accepts a
//! change of them.

use decoys::bulkhead;
use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod bulkhead;
}

#[test]
fn a_place_that_is_lost_on_its_way_is_shown_from_the_leaving_to_the_next_caller() {
    insta::assert_snapshot!(explain("bulkhead", bulkhead::all(), "grant_lost"));
}

#[test]
fn a_call_outside_is_named() {
    insta::assert_snapshot!(explain("bulkhead", bulkhead::all(), "calls_outside"));
}

#[test]
fn an_idle_clone_that_keeps_its_place_is_told_as_such() {
    insta::assert_snapshot!(explain("bulkhead", bulkhead::all(), "reserves_when_asked"));
}
