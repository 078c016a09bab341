//! How the examples print: 80 columns, colour only where somebody looks at it.
//!
//! `anstream` leaves colours out in a pipe and where `NO_COLOR` is set.

pub mod printed;
mod screen;

use anstyle::{AnsiColor, Style};
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

pub use screen::Screen;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// The end of an example: its error in words, as `cargo run` of a learner should show it. The
/// backtrace that anyhow would add, where `RUST_BACKTRACE` is set, buries the next command.
pub fn end(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let told: Vec<String> = error.chain().map(ToString::to_string).collect();
            let _ = writeln!(anstream::stderr(), "{BAD}error:{BAD:#} {}", told.join(": "));
            ExitCode::FAILURE
        }
    }
}

fn line(text: impl Display) {
    let written = match screen::is_drawn() {
        true => screen::line(&text.to_string()),
        false => writeln!(anstream::stdout(), "{text}"),
    };
    match written {
        // `| head` has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        // There is nowhere else to say it.
        _ => {}
    }
}

/// An empty line.
pub fn gap() {
    line("");
}

/// The first line of an example.
pub fn title(text: &str) {
    line(format_args!("{BOLD}{text}{BOLD:#}\n"));
}

/// The beginning of a part.
pub fn part(number: usize, text: &str) {
    line(format_args!("\n{BOLD}{number}  {text}{BOLD:#}"));
}

/// What one should know to read the figures.
pub fn note(text: impl Display) {
    line(format_args!("{DIM}   {text}{DIM:#}"));
}

/// What nobody should overlook.
pub fn alarm(text: impl Display) {
    line(format_args!("   {BAD}{text}{BAD:#}"));
}

/// What was drawn by somebody else, as it is.
pub fn picture(text: &str) {
    gap();
    for drawn in text.lines() {
        line(drawn);
    }
}

/// The heads of a table's columns.
pub fn heads(columns: &[&str]) {
    let columns: String = columns.iter().map(|head| format!("{head:>15}")).collect();
    line(format_args!("\n{DIM}   {:<30}{columns}{DIM:#}", ""));
}

/// A row of a table: first without the pattern, then with it, last how they compare, if they do.
pub fn row(what: &str, without: impl Display, with: &[String], ratio: &str) {
    let without = without.to_string();
    let with: String = with.iter().map(|cell| format!("{cell:>15}")).collect();
    // The gap belongs to the last column, or a row without a ratio would end in spaces.
    let gap = if ratio.is_empty() { "" } else { "  " };
    line(format_args!("   {what:<30}{without:>15}{GOOD}{with}{GOOD:#}{gap}{ratio}"));
}

/// A table of many columns: the first cell of each row is what it is about, the others are figures.
/// A row of one cell says something about the row above it. As wide as it has to be.
pub fn grid(heads: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([heads.get(column).map_or(0, |head| head.chars().count())]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let aligned = |cells: &mut dyn Iterator<Item = &str>| {
        let first = format!("{:<1$}", cells.next().unwrap_or_default(), widths[0]);
        let rest = cells.zip(&widths[1..]).map(|(cell, width)| format!("   {cell:>width$}"));
        (first, rest.collect::<String>())
    };
    let (first, rest) = aligned(&mut heads.iter().copied());
    line(format_args!("\n{DIM}   {first}{rest}{DIM:#}"));
    for row in rows {
        match row.as_slice() {
            // Something about the row above.
            [alone] => line(format_args!("   {DIM}{alone}{DIM:#}")),
            row => {
                let (first, rest) = aligned(&mut row.iter().map(String::as_str));
                line(format_args!("   {first}{GOOD}{rest}{GOOD:#}"));
            }
        }
    }
}

/// Something that should be true, and whether it is.
pub fn judged(what: &str, holds: bool, figures: &str) {
    let (style, word) = if holds { (GOOD, "holds") } else { (BAD, "BROKEN") };
    line(format_args!("   {what:<34}{style}{word:<8}{style:#}{DIM}{figures}{DIM:#}"));
}

/// A figure that stands by itself.
pub fn figure(what: &str, value: impl Display) {
    line(format_args!("   {what:<56}{GOOD}{:>13}{GOOD:#}", value.to_string()));
}

/// What to do next: commands, and what each is for.
pub fn next(commands: &[(&str, &str)]) {
    line(format_args!("\n{BOLD}Next{BOLD:#}"));
    let longest = commands.iter().map(|(command, _)| command.chars().count()).max();
    let width = longest.map_or(0, |longest| longest + 2).max(31);
    for (command, purpose) in commands {
        line(format_args!("   {command:<width$}{DIM}{purpose}{DIM:#}"));
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
