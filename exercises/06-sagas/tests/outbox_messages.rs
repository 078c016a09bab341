//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p sagas-exercises --test outbox_messages` accepts a change of
//! them.

use decoys::outbox;
use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod outbox;
}

#[test]
fn a_number_that_was_passed_over_is_shown_where_it_was_drawn() {
    insta::assert_snapshot!(explain("outbox", outbox::all(), "time_after_the_last"));
}

#[test]
fn an_order_that_nobody_wanted_is_told_as_a_swap() {
    insta::assert_snapshot!(explain("outbox", outbox::all(), "by_transaction_number"));
}

#[test]
fn what_overtakes_a_refused_one_is_drawn_behind_it() {
    insta::assert_snapshot!(explain("outbox", outbox::all(), "pipelines_the_batch"));
}

#[test]
fn what_comes_twice_from_two_relays_is_counted() {
    insta::assert_snapshot!(explain("outbox", outbox::all(), "no_turns"));
}
