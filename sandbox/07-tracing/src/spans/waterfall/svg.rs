//! For a page in the browser: light or dark, as its reader has it.

use super::rows::{Mark, rows, told};
use super::tree::{Nanos, Tree};
use crate::spans::waterfall::path::duration;
use std::fmt::Write;

const WIDTH: usize = 960;
const ROW: usize = 22;
const HEAD: usize = 30;
/// Where the bars begin, and how wide all of them are.
const BARS: usize = 330;
const ROOM: usize = 520;
/// Names stand no further to the right than this.
const DEEPEST: usize = 10;
/// So many letters fit before the bars, of those that are indented least.
const LETTERS: usize = 44;

/// Within the picture only: several of them may stand on one page.
const STYLE: &str = "\
.waterfall .paper{fill:#fff}.waterfall .ink{fill:#1f2933}.waterfall .dim{fill:#616e7c}\
.waterfall .bad{fill:#c62828}.waterfall .bar{fill:#bcccdc}.waterfall .path{fill:#d9822b}\
.waterfall .here{fill:#c62828}\
@media (prefers-color-scheme: dark){\
.waterfall .paper{fill:#14191f}.waterfall .ink{fill:#e4e7eb}.waterfall .dim{fill:#9aa5b1}\
.waterfall .bad{fill:#ef9a9a}.waterfall .bar{fill:#3e4c59}.waterfall .path{fill:#f0a45d}\
.waterfall .here{fill:#ef9a9a}}";

pub(super) fn draw(tree: &Tree<'_>) -> String {
    let mut out = String::new();
    // Writing into a string does not fail.
    let _ = write(&mut out, tree);
    out
}

fn write(out: &mut String, tree: &Tree<'_>) -> std::fmt::Result {
    let rows = rows(tree);
    let height = HEAD + rows.len() * ROW + 10;
    let long = (tree.ends - tree.begins).max(1);
    let x = |at: Nanos| BARS as f64 + (at - tree.begins) as f64 / long as f64 * ROOM as f64;
    let whole = told(duration(tree.ends - tree.begins));
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"waterfall\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"A trace of {spans} spans, {whole}\" \
         font-family=\"ui-sans-serif, system-ui, sans-serif\" font-size=\"13\">",
        spans = tree.nodes.len(),
    )?;
    writeln!(out, "<style>{STYLE}</style>")?;
    writeln!(out, "<rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>")?;
    writeln!(out, "<text class=\"dim\" x=\"{BARS}\" y=\"20\">0</text>")?;
    let end = BARS + ROOM;
    writeln!(out, "<text class=\"dim\" x=\"{end}\" y=\"20\" text-anchor=\"end\">{whole}</text>")?;
    for (nth, row) in rows.iter().enumerate() {
        let (top, base) = (HEAD + nth * ROW, HEAD + nth * ROW + 16);
        let indent = row.depth.min(DEEPEST);
        let class = if row.mark == Mark::Failed { "bad" } else { "ink" };
        let sign = match row.mark {
            Mark::None => "",
            Mark::Failed => "✗ ",
            Mark::Cancelled => "✂ ",
            Mark::Moved => "~ ",
            Mark::Orphan => "? ",
        };
        let label = escaped(&row.label);
        let letters = LETTERS - indent * 2;
        let short: String = row.label.chars().take(letters).collect();
        let cut = if short.len() < row.label.len() { "…" } else { "" };
        let (left, took) = (10 + indent * 14, told(row.took));
        writeln!(out, "<g><title>{label}: {took}</title>")?;
        let short = escaped(&short);
        writeln!(
            out,
            "<text class=\"{class}\" x=\"{left}\" y=\"{base}\">{sign}{short}{cut}</text>"
        )?;
        let mut bar = |class: &str, from: Nanos, to: Nanos| {
            let (from, to) = (x(from), x(to));
            // What took no time is seen all the same.
            let wide = (to - from).max(1.5);
            let top = top + 4;
            writeln!(
                out,
                "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{top}\" width=\"{wide:.1}\" \
                 height=\"14\" rx=\"1.5\"/>"
            )
        };
        bar("bar", row.begins, row.ends)?;
        let class = if row.is_culprit { "here" } else { "path" };
        for (from, to) in &row.own {
            bar(class, *from, *to)?;
        }
        let right = WIDTH - 10;
        writeln!(
            out,
            "<text class=\"dim\" x=\"{right}\" y=\"{base}\" text-anchor=\"end\">{took}</text></g>"
        )?;
    }
    writeln!(out, "</svg>")
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}
