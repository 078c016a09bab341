//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p observability-exercises --test structured_logs_messages`
//! accepts a change of them.

use decoys::structured_logs;
use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod structured_logs;
}

#[test]
fn a_password_in_a_derived_debug_is_shown() {
    insta::assert_snapshot!(explain("structured_logs", structured_logs::all(), "looks_only"));
}

#[test]
fn a_line_that_came_between_two_pieces_is_shown() {
    insta::assert_snapshot!(explain("structured_logs", structured_logs::all(), "line_and_end"));
}

#[test]
fn a_card_at_the_cut_is_shown() {
    insta::assert_snapshot!(explain("structured_logs", structured_logs::all(), "cuts_first"));
}

#[test]
fn a_reader_that_keeps_the_level_from_changing_is_shown() {
    insta::assert_snapshot!(explain("structured_logs", structured_logs::all(), "holds_the_level"));
}
