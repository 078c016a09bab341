//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p caching-exercises --test messages` accepts a change of them.

use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod cache_aside;
    pub mod stampede;
}

#[test]
fn a_stale_refill_is_drawn_as_three_lanes_that_clash() {
    insta::assert_snapshot!(explain("cache_aside", decoys::cache_aside::all(), "plain_delete"));
}

#[test]
fn a_refill_held_on_its_way_shows_where_it_was_held() {
    let decoys = decoys::cache_aside::all();
    insta::assert_snapshot!(explain("cache_aside", decoys, "version_compared_in_client"));
}

#[test]
fn an_entry_without_ttl_shows_the_reply_that_was_lost() {
    insta::assert_snapshot!(explain("cache_aside", decoys::cache_aside::all(), "set_then_expire"));
}

#[test]
fn a_remembered_error_shows_the_time_in_which_the_database_was_down() {
    insta::assert_snapshot!(explain("cache_aside", decoys::cache_aside::all(), "error_cached"));
}

#[test]
fn a_shrugged_invalidation_shows_writer_and_reader() {
    let decoys = decoys::cache_aside::all();
    insta::assert_snapshot!(explain("cache_aside", decoys, "invalidation_shrugged"));
}

#[test]
fn a_formula_that_is_off_is_told_in_numbers() {
    insta::assert_snapshot!(explain("stampede", decoys::stampede::all(), "refreshes_at_threshold"));
}
