//! How the examples print: 80 columns, colour only where somebody looks at it.
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
pub fn title(text: &str) {
    println!("{BOLD}{text}{BOLD:#}\n");
}

/// The beginning of a part.
pub fn part(number: usize, text: &str) {
    println!("\n{BOLD}{number}  {text}{BOLD:#}");
}

/// What one should know to read the figures.
pub fn note(text: impl Display) {
    println!("{DIM}   {text}{DIM:#}");
}

/// The heads of a table's columns.
pub fn heads(columns: &[&str]) {
    let columns: String = columns.iter().map(|head| format!("{head:>15}")).collect();
    println!("\n{DIM}   {:<30}{columns}{DIM:#}", "");
}

/// A row of a table: first without the pattern, then with it, last how they compare, if they do.
pub fn row(what: &str, without: impl Display, with: &[String], ratio: &str) {
    let without = without.to_string();
    let with: String = with.iter().map(|cell| format!("{cell:>15}")).collect();
    // The gap belongs to the last column, or a row without a ratio would end in spaces.
    let gap = if ratio.is_empty() { "" } else { "  " };
    println!("   {what:<30}{without:>15}{GOOD}{with}{GOOD:#}{gap}{ratio}");
}

/// A figure that stands by itself.
pub fn figure(what: &str, value: impl Display) {
    println!("   {what:<56}{GOOD}{:>13}{GOOD:#}", value.to_string());
}

/// What to do next: commands, and what each is for.
pub fn next(commands: &[(&str, &str)]) {
    println!("\n{BOLD}Next{BOLD:#}");
    for (command, purpose) in commands {
        println!("   {command:<31}{DIM}{purpose}{DIM:#}");
    }
}

/// `12,345`.
pub fn count(number: u64) -> String {
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
pub fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

/// The seed of the run: `SEED`, or one that is always the same.
pub fn seed() -> anyhow::Result<u64> {
    match std::env::var("SEED") {
        Ok(text) => text.parse().map_err(|_| {
            anyhow::anyhow!(
                "SEED is `{text}`, and should be a number, as in SEED=7\nnext: unset SEED"
            )
        }),
        Err(_) => Ok(1),
    }
}
