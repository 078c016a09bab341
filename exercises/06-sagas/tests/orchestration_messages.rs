//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p sagas-exercises --test orchestration_messages` accepts a
//! change of them.

use decoys::orchestration;
use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod orchestration;
}

#[test]
fn what_never_ran_and_is_undone_is_listed() {
    let decoys = orchestration::all();
    insta::assert_snapshot!(explain("orchestration", decoys, "compensates_what_never_ran"));
}

#[test]
fn an_attempt_that_lands_late_is_drawn_behind_the_way_back() {
    insta::assert_snapshot!(explain("orchestration", orchestration::all(), "believes_the_last"));
}

#[test]
fn a_charge_without_an_order_is_told_by_the_books() {
    insta::assert_snapshot!(explain("orchestration", orchestration::all(), "guesses_it_failed"));
}

#[test]
fn an_entry_that_is_on_its_way_shows_what_was_begun_meanwhile() {
    insta::assert_snapshot!(explain("orchestration", orchestration::all(), "writes_one_behind"));
}

#[test]
#[ignore = "prints all of them, to be read"]
fn all_of_them() {
    for decoy in orchestration::all() {
        println!("=== {}", decoy.name);
        println!("{}", explain("orchestration", orchestration::all(), decoy.name));
    }
}
