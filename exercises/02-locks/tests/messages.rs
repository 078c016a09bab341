//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p locks-exercises --test messages` accepts a change of them.

use grading::Decoy;
use locks_exercises::decoys;

/// One schedule for all, so that names and numbers stay the same.
const SEED: u64 = 7;

fn told(lesson: &'static str, decoys: Vec<Decoy>, name: &str) -> String {
    let decoy = decoys.into_iter().find(|decoy| decoy.name == name).expect("a decoy of this name");
    steady(&grading::explain(lesson, decoy, SEED))
}

/// The owners of leases differ from run to run.
fn steady(text: &str) -> String {
    let is_owner = |word: &str| word.chars().take_while(char::is_ascii_hexdigit).count() >= 8;
    let word = |word: &str| match (is_owner(word), word.ends_with(' ')) {
        (true, true) => "(owner) ".to_owned(),
        (true, false) => "(owner)".to_owned(),
        (false, _) => word.to_owned(),
    };
    let line = |line: &str| line.split_inclusive(' ').map(word).collect::<String>() + "\n";
    text.lines().map(line).collect()
}

#[test]
fn an_end_that_never_comes_shows_the_reply_that_was_lost() {
    insta::assert_snapshot!(told("lease", decoys::lease::all(), "setnx_then_expire"));
}

#[test]
fn an_error_that_was_taken_for_a_no_is_told_as_what_it_is() {
    insta::assert_snapshot!(told("lease", decoys::lease::all(), "error_is_busy"));
}

#[test]
fn a_write_that_lands_late_shows_where_it_was_held() {
    insta::assert_snapshot!(told("fencing", decoys::fencing::all(), "looks_at_its_clock"));
}

#[test]
fn a_write_between_a_read_and_a_write_is_drawn_between_them() {
    insta::assert_snapshot!(told("fencing", decoys::fencing::all(), "reads_leave_no_mark"));
}

#[test]
fn a_second_write_under_one_lease_is_told_from_the_first() {
    insta::assert_snapshot!(told("fencing", decoys::fencing::all(), "accepts_equal"));
}

#[test]
fn a_watch_that_was_left_behind_shows_whose_write_it_was() {
    let decoys = decoys::lock_free::all();
    insta::assert_snapshot!(told("lock_free", decoys, "no_unwatch"));
}
