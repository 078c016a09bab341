//! From the lab's parts of the file back to figures. A field that cannot be understood is named and
//! left out; the rest of its row still counts.

use std::collections::HashSet;

use super::{
    Aim, Id, Progress, Record, Status,
    document::{Damage, Document, Part, Segment},
    table,
};
use crate::fingerprint;

/// What stands in a cell that has nothing to say.
pub(crate) const NOTHING: &str = "–";
const SEAL: &str = "<!-- lab:seal ";

/// What was found in a file.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) document: Document,
    pub(crate) progress: Progress,
    /// Empty when everything was understood.
    pub(crate) damage: Vec<Damage>,
    /// Someone changed the lab's parts by hand. What could be read counts; a copy is kept, because
    /// the rest is about to be written anew.
    pub(crate) edited: bool,
}

pub(crate) fn read(bytes: &[u8]) -> Reading {
    let (mut document, mut damage) = Document::parse(bytes);
    let mut progress = Progress::default();
    if !document.parts().any(|part| part.name == "lessons") {
        damage.push(Damage::new(1, "the part lessons is missing: its figures begin anew"));
    }
    let edited = seal(&document) != written_seal(&document);
    for part in document.parts() {
        match part.name.as_str() {
            "resume" => resume(part, &mut progress),
            "phases" => phases(part, &mut progress, &mut damage),
            "lessons" => lessons(part, &mut progress, &mut damage),
            _ => {}
        }
    }
    drop_repeated_parts(&mut document, &mut damage);
    damage.sort_by_key(|damage| damage.line);
    Reading { document, progress, damage, edited }
}

/// The seal over all parts but the seal itself: tells an edit by hand from the lab's own writing.
pub(crate) fn seal(document: &Document) -> String {
    let mut bodies = String::new();
    for line in document.parts().flat_map(|part| part.body.lines()) {
        if !line.starts_with(SEAL) {
            bodies.push_str(line);
            bodies.push('\n');
        }
    }
    fingerprint::of_bytes(bodies.as_bytes())
}

pub(crate) fn seal_line(seal: &str) -> String {
    format!("{SEAL}{seal} -->\n")
}

fn written_seal(document: &Document) -> String {
    let lines = document.parts().flat_map(|part| part.body.lines());
    let mut seals =
        lines.filter_map(|line| line.trim_end().strip_prefix(SEAL)?.strip_suffix(" -->"));
    seals.next().unwrap_or_default().to_owned()
}

/// A file that was merged or pasted may hold a part twice; the first place stays.
fn drop_repeated_parts(document: &mut Document, damage: &mut Vec<Damage>) {
    let mut seen = HashSet::new();
    document.segments.retain(|segment| match segment {
        Segment::Part(part) if !seen.insert(part.name.clone()) => {
            damage.push(Damage::new(
                part.line,
                format!("the part {} stands here a second time", part.name),
            ));
            false
        }
        _ => true,
    });
}

/// `- **Label:** value`
fn resume(part: &Part, progress: &mut Progress) {
    for line in part.body.lines() {
        let Some((label, value)) =
            line.strip_prefix("- **").and_then(|rest| rest.split_once(":** "))
        else {
            continue;
        };
        let value = value.trim();
        match label {
            "Lesson" => {
                progress.current = value.split_whitespace().next().map(|id| Id(id.to_owned()));
            }
            "Last activity" => {
                progress.last =
                    value.split_once(": ").map(|(when, what)| (when.to_owned(), what.to_owned()));
            }
            "Started" => value.clone_into(&mut progress.started),
            _ => {}
        }
    }
    if progress.current.as_ref().is_some_and(|id| id.0 == NOTHING) {
        progress.current = None;
    }
}

fn phases(part: &Part, progress: &mut Progress, damage: &mut Vec<Damage>) {
    for (number, row) in rows(part) {
        let [phase, initial, _, target, ..] = row.as_slice() else {
            damage.push(Damage::new(number, "a row of the phases is cut short"));
            continue;
        };
        let percent =
            |cell: &str| cell.trim_end_matches('%').trim().parse::<u8>().ok().filter(|p| *p <= 100);
        match (percent(initial), percent(target)) {
            (Some(initial), Some(target)) => {
                progress.aims.insert(phase.clone(), Aim { initial, target });
            }
            _ => damage.push(Damage::new(
                number,
                format!("the phase {phase} needs percents from 0 to 100"),
            )),
        }
    }
}

fn lessons(part: &Part, progress: &mut Progress, damage: &mut Vec<Damage>) {
    for (number, row) in rows(part) {
        let Some((id, record)) = lesson(number, &row, damage) else {
            continue;
        };
        if record.is_blank() {
            continue;
        }
        // After a merge by hand a lesson may stand twice: the row with more behind it counts.
        let further = |record: &Record| (record.is_done(), record.attempts, record.passed);
        let known = progress.records.get(&id);
        if known.is_some() {
            damage.push(Damage::new(
                number,
                format!("the lesson {} stands here a second time", id.0),
            ));
        }
        if known.is_none_or(|known| further(known) < further(&record)) {
            progress.records.insert(id, record);
        }
    }
}

/// `id | lesson | status | date | checks | attempts | hints | peeked | figures <!-- marks -->`
fn lesson(number: usize, row: &[String], damage: &mut Vec<Damage>) -> Option<(Id, Record)> {
    let mut unclear = |what: &str, cell: &str| {
        damage.push(Damage::new(number, format!("{what} cannot be \"{cell}\"")));
    };
    let [id, name, status, date, checks, attempts, hints, peeked, figures, ..] = row else {
        damage.push(Damage::new(number, "a row of the lessons is cut short"));
        return None;
    };
    if !is_id(id) {
        unclear("a lesson's id", id);
        return None;
    }
    let mut record = Record { name: name.clone(), ..Record::default() };
    record.status = match status.as_str() {
        "pending" | "planned" => Status::Pending,
        "in progress" => Status::InProgress,
        "completed" => Status::Completed,
        "stale" => Status::Stale,
        other => {
            unclear("a status", other);
            Status::Pending
        }
    };
    let given = |cell: &str| {
        if cell == NOTHING { String::new() } else { cell.to_owned() }
    };
    record.date = given(date);
    record.peeked = if peeked == "no" { String::new() } else { given(peeked) };
    if checks != NOTHING {
        record.passed = checks.split_once('/').and_then(|(passed, all)| {
            Some((passed.trim().parse().ok()?, all.trim().parse().ok()?))
        });
        if record.passed.is_none() {
            unclear("the checks passed", checks);
        }
    }
    for (cell, field, what) in
        [(attempts, &mut record.attempts, "the attempts"), (hints, &mut record.hints, "the hints")]
    {
        match cell.parse() {
            Ok(count) => *field = count,
            Err(_) => unclear(what, cell),
        }
    }
    let (shown, marks) = figures.split_once("<!--").unwrap_or((figures, ""));
    record.figures = given(shown.trim());
    for mark in marks.trim_end_matches("-->").split_whitespace() {
        match mark.split_once(':') {
            Some(("file", hash)) => hash.clone_into(&mut record.file),
            Some(("starter", hash)) => hash.clone_into(&mut record.starter),
            Some(("checks", hash)) => hash.clone_into(&mut record.checks),
            Some(("seen", names)) => record.seen = names.split(',').map(str::to_owned).collect(),
            _ => record.other.push(mark.to_owned()),
        }
    }
    if record.is_done() && !record.is_earned() {
        record.status = Status::InProgress;
        damage.push(Damage::new(
            number,
            format!("{name} says {status} without the checks that passed: it is in progress"),
        ));
    }
    Some((Id(id.clone()), record))
}

/// `01.2`, `P.3`
fn is_id(text: &str) -> bool {
    text.split_once('.').is_some_and(|(topic, number)| {
        !topic.is_empty()
            && topic.chars().all(|c| c.is_ascii_alphanumeric())
            && !number.is_empty()
            && number.chars().all(|c| c.is_ascii_digit())
    })
}

/// Table rows with their line numbers, without headers and rules.
fn rows(part: &Part) -> Vec<(usize, Vec<String>)> {
    let lines: Vec<_> = part.body.lines().map(table::cells).collect();
    let header = |at: usize| {
        lines
            .get(at + 1)
            .is_some_and(|next| next.as_ref().is_some_and(|cells| table::is_rule(cells)))
    };
    lines
        .iter()
        .enumerate()
        .filter_map(|(at, cells)| Some((at, cells.as_ref()?)))
        .filter(|(at, cells)| !table::is_rule(cells) && !header(*at))
        .map(|(at, cells)| (part.line + at, cells.clone()))
        .collect()
}
