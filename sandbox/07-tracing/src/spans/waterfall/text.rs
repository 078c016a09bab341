//! For a terminal, a pipe, and a page.

use super::path::{culprit, duration};
use super::rows::{Mark, Row, failures, legible, rows, told};
use super::tree::{Nanos, Tree};
use std::fmt::Write;

const WIDTH: usize = 80;
const NAMES: usize = 32;
const BARS: usize = 32;
const TIMES: usize = 9;
/// Deeper than this the lines say how deep they are, and move no further to the right.
const DEEPEST: usize = 7;

pub(super) fn draw(tree: &Tree<'_>) -> String {
    let mut out = String::new();
    let rows = rows(tree);
    if rows.is_empty() {
        return "no spans\n".to_owned();
    }
    let long = (tree.ends - tree.begins).max(1);
    let whole = told(duration(tree.ends - tree.begins));
    line(&mut out, &format!("{:w$}0{whole:>b$}", "", w = NAMES + 3, b = BARS - 1));
    for row in &rows {
        let name = clip(&format!("{}{}", branches(row), row.label), NAMES);
        let bar = bar(row, tree.begins, long);
        let took = clip(&told(row.took), TIMES);
        let here = if row.is_culprit { " ◀" } else { "" };
        let mark = sign(row.mark);
        line(&mut out, &format!("{mark} {name:<NAMES$} {bar:<BARS$} {took:>TIMES$}{here}"));
    }
    let mut notes = Vec::new();
    if let Some(culprit) = culprit(tree) {
        let times = match culprit.times {
            1 => String::new(),
            times => format!(" {times} times,"),
        };
        let (own, of) = (told(culprit.own), told(culprit.of));
        let name = clip(&legible(&culprit.span.name), NAMES);
        notes.push(format!("◀ {name}:{times} {own} of the {of} that were waited for"));
    }
    notes.extend(failures(tree));
    let is_there = |mark| rows.iter().any(|row| row.mark == mark);
    if is_there(Mark::Cancelled) {
        notes.push("✂ cancelled: dropped before its end".to_owned());
    }
    if is_there(Mark::Moved) {
        notes.push("~ moved: by its own clock it began before it was asked".to_owned());
    }
    if is_there(Mark::Orphan) {
        notes.push("? what began it is not here".to_owned());
    }
    for note in notes {
        line(&mut out, &clip(&note, WIDTH));
    }
    out
}

fn line(out: &mut String, text: &str) {
    // Writing into a string does not fail.
    let _ = writeln!(out, "{}", text.trim_end());
}

fn sign(mark: Mark) -> char {
    match mark {
        Mark::None => ' ',
        Mark::Failed => '✗',
        Mark::Cancelled => '✂',
        Mark::Moved => '~',
        Mark::Orphan => '?',
    }
}

fn branches(row: &Row) -> String {
    if row.depth == 0 {
        return String::new();
    }
    if row.depth > DEEPEST {
        return format!("{}…{} ", "  ".repeat(DEEPEST - 1), row.depth);
    }
    let above = row.more[1..row.depth].iter().map(|more| if *more { "│ " } else { "  " });
    let here = if row.more[row.depth] { "├ " } else { "└ " };
    above.chain([here]).collect()
}

/// Solid where this is what was waited for.
fn bar(row: &Row, begins: Nanos, long: Nanos) -> String {
    let columns = BARS as Nanos;
    // In halves of a column, so that its middle is a whole number.
    let column = |at: Nanos| (at - begins) * columns / long;
    let from = column(row.begins).clamp(0, columns - 1);
    let to = column(row.ends + long / columns / 2).clamp(from + 1, columns);
    let mut bar = " ".repeat(usize::try_from(from).unwrap_or(0));
    if row.begins == row.ends {
        bar.push('▏');
        return bar;
    }
    for at in from..to {
        let middle = begins + (2 * at + 1) * long / (2 * columns);
        let is_own = row.own.iter().any(|(from, to)| (*from..*to).contains(&middle));
        bar.push(if is_own { '█' } else { '░' });
    }
    bar
}

fn clip(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width - 1).collect();
    format!("{kept}…")
}
