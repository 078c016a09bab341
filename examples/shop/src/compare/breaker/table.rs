//! What came of it, as a table.

use std::time::Duration;

use super::{AFTER, CHECKOUTS, Column, EACH, HEALTHY, LOOKS, Outcome, PLACES, STEADY, WAITING};
use crate::compare::{balanced, build, ratio, seconds};

pub(super) fn print(outcome: &Outcome) {
    page::title("shop compare breaker · the payment provider hangs, without topic 04 and with");
    outcome.place.iter().for_each(page::note);
    build().into_iter().for_each(page::note);
    page::note(format_args!(
        "{CHECKOUTS} checkouts and {LOOKS} looks at the catalogue a second, seed {}. After {} s the",
        outcome.seed,
        HEALTHY.as_secs()
    ));
    page::note(format_args!(
        "provider hangs for {} s: it charges and never answers. The gateway has {PLACES}",
        outcome.hang_seconds
    ));
    page::note(format_args!(
        "places; with bulkheads, {EACH} of them for each service. Customers wait {} s.",
        WAITING.as_secs()
    ));

    let (off, on) = (&outcome.columns[0], &outcome.columns[1]);
    page::heads(&["all off", "all on"]);
    let row = |what: &str, told: &dyn Fn(&Column) -> String, ratio: &str| {
        page::row(what, told(off), &[told(on)], ratio);
    };
    let number = |of: fn(&Column) -> u64| move |column: &Column| page::count(of(column));
    let time = |of: fn(&Column) -> f64| move |column: &Column| format!("{:.0} ms", of(column));
    row("catalogue: p99, healthy", &time(|one| one.looks_healthy.p99_ms), "");
    let p99 = |column: &Column| column.looks_during.p99_ms;
    row(
        "catalogue: p99 in the fault",
        &time(|one| one.looks_during.p99_ms),
        &ratio(p99(off), p99(on)),
    );
    row(
        "catalogue: answered, of",
        &|one| told_of(one.looks_during.well, one.looks_during.asked),
        "",
    );
    row("found no place free", &number(|one| one.waited_for_a_place), "");
    row("checkouts: p99, healthy", &time(|one| one.checkouts_healthy.p99_ms), "");
    row("checkouts: p50 in the fault", &time(|one| one.checkouts_during.p50_ms), "");
    row("checkouts: p99 in the fault", &time(|one| one.checkouts_during.p99_ms), "");
    row("confirmed, after a long wait", &number(|one| one.checkouts_during.well), "");
    row("503 with Retry-After", &number(|one| one.checkouts_during.later), "");
    row("503, too many wait already", &number(|one| one.checkouts_during.failed), "");
    row("504", &number(|one| one.checkouts_during.timed_out), "");
    row("customer gone after 10 s", &number(|one| one.checkouts_during.given_up), "");
    row("calls that reached payment", &number(|one| one.reached), "");
    let recovered = |column: &Column| match column.recovered_after_ms {
        Some(millis) => seconds(Duration::from_secs_f64(millis / 1e3)),
        None => format!("over {} s", (AFTER - STEADY).as_secs()),
    };
    row("well again after", &recovered, "");
    let late = off.late_ms.max(on.late_ms);
    if outcome.attempts > 1 {
        page::note(format_args!(
            "Busy machine: this is attempt {} of the right column.",
            outcome.attempts
        ));
    }
    if late > 50.0 {
        page::note(format_args!("Busy machine: requests began up to {late:.0} ms late."));
    }
    page::gap();
    page::note("A breaker sells nothing more. It tells the customer at once, holds no stock");
    page::note("for a payment that nobody asked for, and leaves the rest of the shop alone.");
    page::gap();
    for column in &outcome.columns {
        balanced(&format!("the books, all {}", column.switch), &column.invariants);
    }
    page::next(&[
        ("cargo run --example circuit_breaker", "the pattern by itself"),
        ("cargo lab start circuit_breaker", "write it yourself"),
    ]);
}

fn told_of(part: u64, of: u64) -> String {
    format!("{} / {}", page::count(part), page::count(of))
}
