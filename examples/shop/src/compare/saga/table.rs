//! What came of it, as a table.

use shop_contracts::Money;

use super::wire::{GONE, LOST};
use super::{Counted, Outcome, POINTS, WISHES};
use crate::compare::{balanced, build};

pub(super) fn head(seed: u64, seeds: u64) {
    page::title("shop compare saga · orders that are answered at once, and what becomes of them");
    build().into_iter().for_each(page::note);
    let which = match seeds {
        1 => format!("seed {seed}"),
        _ => format!("seeds {seed} to {}", seed + seeds - 1),
    };
    page::note(format_args!(
        "{WISHES} checkouts, {which}. One card of five is declined, {LOST} % of the"
    ));
    page::note(format_args!(
        "answers between services are lost, each {GONE}th hold is gone when it is"
    ));
    page::note(format_args!(
        "paid, and the orders service is killed at {} points and comes back.",
        POINTS.len()
    ));
    if seeds > 1 {
        page::note(format_args!("For hope, seed {seed} has to do."));
    }
}

pub(super) fn print(outcome: &Outcome) {
    let Outcome { hope, saga, .. } = outcome;
    outcome.place.iter().for_each(page::note);
    page::heads(&["hope", "saga"]);
    let row = |what: &str, told: &dyn Fn(&Counted) -> String| {
        page::row(what, told(hope), &[told(saga)], "");
    };
    let number = |of: fn(&Counted) -> u64| move |one: &Counted| page::count(of(one));
    row("checkouts", &number(|one| one.wishes));
    row("killed, at another point", &number(|one| one.killed.len() as u64));
    row("answers lost", &number(|one| one.answers_lost));
    row("holds gone", &number(|one| one.holds_gone));
    row("orders confirmed", &number(|one| one.confirmed));
    row("orders undone", &number(|one| one.cancelled));
    page::gap();
    row("orders stuck", &number(|one| one.stuck));
    row("ordered, and not wished for", &number(|one| one.twice));
    row("pieces of stock lost", &number(|one| one.pieces_lost));
    row("charged without an order", &number(|one| one.charged_without_order));
    row("which comes to", &|one| Money::euros(one.cents_without_order).to_string());
    row("confirmed, and not told", &number(|one| one.untold));
    row("told twice", &number(|one| one.told_twice));
    page::gap();
    page::note("hope: a task in memory asks one service after the other, takes no answer for");
    page::note("\"not done\", undoes once, and tells others after its commit. saga: a journal, a");
    page::note("lease, questions, undoing until it is done; outbox, inbox, idempotency keys.");
    page::gap();
    balanced("the books, with the saga", &outcome.invariants);
    page::next(&[
        ("cargo run --example crash_recovery", "the pattern by itself"),
        ("cargo lab start crash_recovery", "write it yourself"),
    ]);
}
