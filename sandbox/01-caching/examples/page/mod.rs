//! How the examples of this topic print: 80 columns, colour only where somebody looks at it.
//!
//! `anstream` leaves colours out in a pipe and where `NO_COLOR` is set.

use anstream::println;
use anstyle::{AnsiColor, Style};
use std::fmt::Display;
use std::time::Duration;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();

/// The first line of an example.
pub(crate) fn title(text: &str) {
    println!("{BOLD}{text}{BOLD:#}\n");
}

/// The beginning of a part.
pub(crate) fn part(number: usize, text: &str) {
    println!("\n{BOLD}{number}  {text}{BOLD:#}");
}

/// What one should know to read the figures.
pub(crate) fn note(text: impl Display) {
    println!("{DIM}   {text}{DIM:#}");
}

/// The heads of a table's columns: without the pattern, with it, and how they compare.
pub(crate) fn heads(without: &str, with: &str) {
    println!("\n{DIM}   {:<30}{without:>13}{with:>13}{DIM:#}", "");
}

/// A row of a table. The last column is the one to look at.
pub(crate) fn row(what: &str, without: impl Display, with: impl Display, ratio: impl Display) {
    let (without, with) = (without.to_string(), with.to_string());
    let ratio = ratio.to_string();
    // The gap is part of the last column, or a row without a ratio would end in spaces.
    let width = if ratio.is_empty() { 0 } else { ratio.chars().count() + 2 };
    println!("   {what:<30}{without:>13}{GOOD}{with:>13}{GOOD:#}{ratio:>width$}");
}

/// A figure that stands by itself.
pub(crate) fn figure(what: &str, value: impl Display) {
    println!("   {what:<56}{GOOD}{:>13}{GOOD:#}", value.to_string());
}

/// What to do next: commands, and what each is for.
pub(crate) fn next(commands: &[(&str, &str)]) {
    println!("\n{BOLD}Next{BOLD:#}");
    for (command, purpose) in commands {
        println!("   {command:<35}{DIM}{purpose}{DIM:#}");
    }
}

/// `12,345`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `6.1 ms`.
pub(crate) fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

/// `÷ 21`: how many times less the second is. Nothing where there is nothing to divide by.
pub(crate) fn ratio(without: f64, with: f64) -> String {
    match without / with {
        ratio if !ratio.is_finite() => String::new(),
        ratio if ratio < 10.0 => format!("÷ {ratio:.1}"),
        ratio => format!("÷ {ratio:.0}"),
    }
}

/// The seed of the run: `SEED`, or one that is always the same.
pub(crate) fn seed() -> anyhow::Result<u64> {
    match std::env::var("SEED") {
        Ok(text) => text.parse().map_err(|_| {
            anyhow::anyhow!(
                "SEED is `{text}`, and should be a number, as in SEED=7\nnext: unset SEED"
            )
        }),
        Err(_) => Ok(1),
    }
}
