//! A history as people like to read it: a lane for each client, time downwards, the fault as a
//! band, the steps that clash marked.

use crate::history::{Event, Kind, Step};
use anstyle::{AnsiColor, Style};
use std::fmt::Write;

/// Everything fits a terminal of this many columns.
const WIDTH: usize = 80;
/// `  ✗ 12345  `, before the first lane.
const MARGIN: usize = 11;
/// Longer histories keep their beginning and what surrounds the clash.
const LONGEST: usize = 36;
const KEPT_AT_START: usize = 6;
const KEPT_AROUND: usize = 8;

const CLASH: Style = AnsiColor::Red.on_default().bold();
const BAND: Style = AnsiColor::Yellow.on_default();
const QUIET: Style = Style::new().dimmed();
const HEAD: Style = Style::new().bold();

/// Draws the history with ANSI styles; the caller strips them where they are not wanted.
pub(crate) fn draw(events: &[Event], clash: &[Step]) -> String {
    let lanes = lanes(events);
    if lanes.is_empty() {
        return String::new();
    }
    let columns = columns(events, &lanes);
    // What the server took to start is nobody's business.
    let began = events.first().map(|event| event.at).unwrap_or_default();
    let mut out = String::new();
    let mut heads = String::new();
    for (lane, column) in lanes.iter().zip(&columns) {
        heads.push_str(&" ".repeat(column.saturating_sub(heads.chars().count())));
        heads.push_str(lane);
    }
    let _ = writeln!(out, "{HEAD}{:>7}    {}{HEAD:#}", "ms", heads);
    let mut faults_on = 0_usize;
    let mut skipped = 0;
    let rows = rows(events, clash);
    for (index, row) in rows.iter().enumerate() {
        if !is_kept(index, &rows) {
            skipped += 1;
            continue;
        }
        let event = row.event;
        if skipped > 0 {
            let _ = writeln!(out, "{QUIET}{:>7}    … {skipped} more{QUIET:#}", "");
            skipped = 0;
        }
        let millis = (event.at - began).as_millis();
        if let Kind::Fault { begins } = event.kind {
            faults_on = if begins { faults_on + 1 } else { faults_on.saturating_sub(1) };
            let corner = if begins { "┌" } else { "└" };
            let text = clip(&event.text, WIDTH - MARGIN);
            let _ = writeln!(out, "{QUIET}{millis:>7}{QUIET:#} {BAND}{corner}▒ {text}{BAND:#}");
            continue;
        }
        let band = if faults_on > 0 { "▒" } else { " " };
        let column = columns[lanes.iter().position(|lane| *lane == event.lane).unwrap_or(0)];
        let times = if row.times > 1 { format!("  × {}", row.times) } else { String::new() };
        let room = WIDTH - MARGIN - column - times.chars().count();
        let text = clip(&indented(event), room) + &times;
        if row.clashes {
            let _ = writeln!(
                out,
                "{CLASH}✗{millis:>6}{CLASH:#} {BAND}{band}{BAND:#}  {:column$}{CLASH}{text}{CLASH:#}",
                ""
            );
        } else {
            let _ = writeln!(
                out,
                "{QUIET}{millis:>7}{QUIET:#} {BAND}{band}{BAND:#}  {:column$}{text}",
                ""
            );
        }
    }
    if skipped > 0 {
        let _ = writeln!(out, "{QUIET}{:>7}    … {skipped} more{QUIET:#}", "");
    }
    out
}

fn lanes(events: &[Event]) -> Vec<String> {
    let mut lanes: Vec<String> = Vec::new();
    for event in events.iter().filter(|event| !event.lane.is_empty()) {
        if !lanes.contains(&event.lane) {
            lanes.push(event.lane.clone());
        }
    }
    // The database's texts are the shortest, so its lane may be the narrow one at the edge.
    lanes.sort_by_key(|lane| lane == "database");
    lanes
}

/// Where each lane begins. The last one gets what it needs, the others share the rest: a text may
/// run on to the right of its lane, but not past the edge.
fn columns(events: &[Event], lanes: &[String]) -> Vec<usize> {
    const WIDEST_LAST: usize = 30;
    let room = WIDTH - MARGIN;
    let last = lanes.last().map_or(0, |last| {
        let texts = events.iter().filter(|event| event.lane == *last);
        texts.map(|event| indented(event).chars().count()).max().unwrap_or(0).max(last.len())
    });
    let others = lanes.len().saturating_sub(1).max(1);
    let width = (room - last.min(WIDEST_LAST)) / others;
    (0..lanes.len()).map(|lane| lane * width).collect()
}

/// Calls stand at the edge of their lane, what they cause is set in below them.
fn indented(event: &Event) -> String {
    match event.kind {
        Kind::Wire if event.lane != "database" => format!("  {}", event.text),
        _ => event.text.clone(),
    }
}

/// One line of the timeline: a step, or a run of steps that are the same.
struct Row<'a> {
    event: &'a Event,
    times: usize,
    clashes: bool,
}

fn rows<'a>(events: &'a [Event], clash: &[Step]) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let clashes = clash.contains(&Step(index));
        match rows.last_mut() {
            Some(row) if row.event.lane == event.lane && row.event.text == event.text => {
                row.times += 1;
                row.clashes |= clashes;
            }
            _ => rows.push(Row { event, times: 1, clashes }),
        }
    }
    rows
}

fn is_kept(index: usize, rows: &[Row]) -> bool {
    if rows.len() <= LONGEST
        || index < KEPT_AT_START
        || matches!(rows[index].event.kind, Kind::Fault { .. })
    {
        return true;
    }
    if rows.iter().any(|row| row.clashes) {
        let from = index.saturating_sub(KEPT_AROUND / 2);
        let to = (index + KEPT_AROUND / 2).min(rows.len() - 1);
        return rows[from..=to].iter().any(|row| row.clashes);
    }
    index + KEPT_AROUND * 2 >= rows.len()
}

fn clip(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn event(at: u64, lane: &str, text: &str, kind: Kind) -> Event {
        Event { at: Duration::from_millis(at), lane: lane.into(), text: text.into(), kind }
    }

    fn stale_refill() -> Vec<Event> {
        vec![
            event(0, "reader", "get(product:7)", Kind::Invoke),
            event(1, "reader", "GET product:7 → nil", Kind::Wire),
            event(1, "database", "load product:7 → 10.00", Kind::Wire),
            event(2, "", "the reader's load is slow", Kind::Fault { begins: true }),
            event(2, "database", "write product:7 = 20.00", Kind::Wire),
            event(3, "writer", "invalidate(product:7)", Kind::Invoke),
            event(3, "writer", "DEL product:7 → 0", Kind::Wire),
            event(4, "writer", "= ()", Kind::Ok),
            event(4, "", "over: the reader's load is slow", Kind::Fault { begins: false }),
            event(5, "reader", "SET product:7 10.00 PX 60000 → OK", Kind::Wire),
            event(12, "writer", "get(product:7)", Kind::Invoke),
            event(13, "writer", "= 10.00", Kind::Ok),
        ]
    }

    #[test]
    fn a_clash_is_drawn_with_lanes_band_and_marks() {
        let drawn = draw(&stale_refill(), &[Step(9), Step(11)]);
        insta::assert_snapshot!(anstream::adapter::strip_str(&drawn).to_string());
    }

    #[test]
    fn a_long_history_keeps_its_beginning_and_its_clash() {
        let mut events: Vec<Event> = (0..200)
            .map(|n| event(n, "reader", &format!("get(product:{n})"), Kind::Invoke))
            .collect();
        events.extend(stale_refill());
        let drawn = draw(&events, &[Step(209), Step(211)]);
        insta::assert_snapshot!(anstream::adapter::strip_str(&drawn).to_string());
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut events = stale_refill();
        events.push(event(14, "a fourth client", &"very long ".repeat(20), Kind::Wire));
        let drawn = anstream::adapter::strip_str(&draw(&events, &[])).to_string();
        let widest = drawn.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(WIDTH), "{widest:?}\n{drawn}");
    }
}
