//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p observability-exercises --test metrics_messages`
//! accepts a change of them.

use decoys::metrics;
use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod metrics;
}

#[test]
fn a_customer_who_hung_up_and_is_active_for_ever_is_shown() {
    insta::assert_snapshot!(explain("metrics", metrics::all(), "after_the_await"));
}

#[test]
fn a_duration_beside_its_bucket_is_shown_by_the_bound() {
    insta::assert_snapshot!(explain("metrics", metrics::all(), "less_than"));
}

#[test]
fn an_exemplar_of_another_bucket_is_shown_with_what_it_took() {
    insta::assert_snapshot!(explain("metrics", metrics::all(), "last_for_all"));
}

#[test]
fn a_restart_that_is_taken_for_a_fall_is_shown_point_by_point() {
    insta::assert_snapshot!(explain("metrics", metrics::all(), "last_minus_first"));
}
