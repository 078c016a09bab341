//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p locks-exercises --test messages` accepts a change of them.

use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod fencing;
    pub mod lease;
    pub mod lock_free;
}

#[test]
fn an_end_that_never_comes_shows_the_reply_that_was_lost() {
    insta::assert_snapshot!(explain("lease", decoys::lease::all(), "setnx_then_expire"));
}

#[test]
fn an_error_that_was_taken_for_a_no_is_told_as_what_it_is() {
    insta::assert_snapshot!(explain("lease", decoys::lease::all(), "error_is_busy"));
}

#[test]
fn a_write_that_lands_late_shows_where_it_was_held() {
    insta::assert_snapshot!(explain("fencing", decoys::fencing::all(), "looks_at_its_clock"));
}

#[test]
fn a_write_between_a_read_and_a_write_is_drawn_between_them() {
    insta::assert_snapshot!(explain("fencing", decoys::fencing::all(), "reads_leave_no_mark"));
}

#[test]
fn a_second_write_under_one_lease_is_told_from_the_first() {
    insta::assert_snapshot!(explain("fencing", decoys::fencing::all(), "accepts_equal"));
}

#[test]
fn a_watch_that_was_left_behind_shows_whose_write_it_was() {
    let decoys = decoys::lock_free::all();
    insta::assert_snapshot!(explain("lock_free", decoys, "no_unwatch"));
}
