//! Writes the lab's parts of the progress file, and the blank form at the root of the project.

use std::fmt::Write as _;

use super::{
    Progress, Record, Status,
    document::{Document, Segment},
    read::{NOTHING, seal, seal_line},
    table,
};
use crate::{
    screen::count,
    workspace::{Located, Stage, Topic, Workspace},
};

/// The lab's parts, in the order in which a file that lacks one gets it.
const PARTS: [&str; 7] = ["resume", "phases", "topics", "lessons", "skills", "levels", "goals"];

/// From this complexity on, a topic of the first phase belongs to the second step.
const SENIOR_COMPLEXITY: u8 = 4;

const HEAD: &str = "# Progress\n\n\
    `cargo lab` keeps the parts between its comments up to date. Everything else in this file is yours:\n\
    write where you like, the lab keeps it byte for byte.\n\n";

const BLANK_HEAD: &str = "# Progress: the blank form\n\n\
    This is the form as it looks before the first lesson. Yours is `desk/PROGRESS.md`: `cargo lab start`\n\
    makes it, `cargo lab check` fills it from what passed, and `git pull` never touches it.\n\n";

const SECTIONS: &str = "\n## Decision log\n\n\
    What you decided, what else there was, and why.\n\n\
    | date | decision | alternatives | reason |\n| ---- | -------- | ------------ | ------ |\n\
    |      |          |              |        |\n\n\
    ## Session notes\n\n\
    ## Questions\n\n- [ ] \n\n\
    ## Wins\n\n- \n\n\
    ## Lessons learned\n\n- \n";

/// Where `cargo lab note` writes.
pub(crate) const NOTES: &str = "Session notes";

/// A new file, its parts still empty.
pub(crate) fn fresh() -> Document {
    with_head(HEAD)
}

/// PROGRESS.md at the root: what every clone sees.
pub(crate) fn blank(workspace: &Workspace) -> String {
    let mut document = with_head(BLANK_HEAD);
    fill(&mut document, workspace, &Progress::default());
    String::from_utf8_lossy(&document.bytes()).into_owned()
}

fn with_head(head: &str) -> Document {
    let mut document = Document { segments: vec![Segment::Text(head.into())] };
    for (number, name) in PARTS.iter().enumerate() {
        if number > 0 {
            document.segments.push(Segment::Text(b"\n".to_vec()));
        }
        document.segments.push(Segment::Part(super::document::Part {
            name: (*name).to_owned(),
            line: 0,
            body: String::new(),
        }));
    }
    document.segments.push(Segment::Text(SECTIONS.into()));
    document
}

/// Writes every part anew. The learner's text stays as it is.
pub(crate) fn fill(document: &mut Document, workspace: &Workspace, progress: &Progress) {
    let mut before = None;
    for name in PARTS {
        let body = match name {
            "resume" => resume(workspace, progress),
            "phases" => phases(workspace, progress),
            "topics" => topics(workspace, progress),
            "lessons" => lessons(workspace, progress),
            "skills" => skills(workspace, progress),
            "levels" => levels(workspace, progress),
            _ => goals(workspace, progress),
        };
        document.set(name, before, body);
        before = Some(name);
    }
    let sealed = resume(workspace, progress) + &seal_line(&seal(document));
    document.set("resume", None, sealed);
}

fn resume(workspace: &Workspace, progress: &Progress) -> String {
    let mut out = String::from("## Quick resume\n\n");
    let current = progress.current(workspace);
    // A chosen lesson that this version does not know is kept for the version that does.
    let id = progress.current.as_ref().map(|id| id.0.as_str());
    let shown = current.map(|found| found.lesson.id.as_str());
    match current {
        Some(found) if id.is_none() || id == shown => {
            let place = format!("{} {}", found.lesson.id, found.lesson.name);
            let _ = match id {
                Some(_) => {
                    writeln!(out, "- **Lesson:** {place}, {}", standing(progress.record(found)))
                }
                None => writeln!(out, "- **Lesson:** {NOTHING} not chosen; next is {place}"),
            };
            let _ = writeln!(
                out,
                "- **Your file:** `desk/{}/{}.rs`",
                found.topic.folder, found.lesson.name
            );
        }
        _ => {
            let _ = writeln!(out, "- **Lesson:** {}", id.unwrap_or(NOTHING));
        }
    }
    match &progress.last {
        Some((when, what)) => {
            let _ = writeln!(out, "- **Last activity:** {when}: {what}");
        }
        None => out.push_str("- **Last activity:** –\n"),
    }
    if !progress.started.is_empty() {
        let _ = writeln!(out, "- **Started:** {}", progress.started);
    }
    let _ = writeln!(out, "- **Next command:** `{}`", next_command(workspace, progress));
    out
}

/// `in progress, 3 of 7 checks`
pub(crate) fn standing(record: Option<&Record>) -> String {
    let Some(record) = record else {
        return Status::Pending.word().to_owned();
    };
    match record.passed {
        Some((passed, all)) => format!("{}, {passed} of {all} checks", record.status.word()),
        None => record.status.word().to_owned(),
    }
}

/// What a learner should type next.
pub(crate) fn next_command(workspace: &Workspace, progress: &Progress) -> String {
    let Some(found) = progress.current(workspace) else {
        return "cargo lab list".to_owned();
    };
    let next = match progress.status(found) {
        Status::Completed => progress.next_open(workspace, Some(&found.lesson.id)),
        _ => Some(found),
    };
    match next.map(|found| (progress.status(found), &found.lesson.name)) {
        Some((Status::Pending, name)) => format!("cargo lab start {name}"),
        Some((_, name)) => format!("cargo lab check {name}"),
        None => "cargo lab progress".to_owned(),
    }
}

fn percent(done: usize, all: usize) -> String {
    format!("{} %", (done * 100).checked_div(all).unwrap_or(0))
}

fn phases(workspace: &Workspace, progress: &Progress) -> String {
    let mut out =
        String::from("## Phases\n\n_Initial and target are yours to edit; current is earned._\n\n");
    let mut rows = Vec::new();
    for phase in workspace.phases() {
        let lessons = || workspace.lessons().filter(|found| found.topic.phase == phase);
        let all = lessons().count();
        let ready = lessons().filter(|found| found.lesson.status == Stage::Ready).count();
        let done = progress.done(lessons().map(|found| found.lesson.id.clone()));
        let aim = progress.aims.get(phase).copied().unwrap_or_default();
        rows.push(vec![
            phase.to_owned(),
            format!("{} %", aim.initial),
            percent(done, all),
            format!("{} %", aim.target),
            format!("{done} of {all}"),
            ready.to_string(),
        ]);
    }
    // Goals for a phase that this version does not have are kept.
    for (phase, aim) in
        progress.aims.iter().filter(|(phase, _)| !workspace.phases().contains(&phase.as_str()))
    {
        let (initial, target) = (format!("{} %", aim.initial), format!("{} %", aim.target));
        rows.push(vec![
            phase.clone(),
            initial,
            percent(0, 0),
            target,
            "0 of 0".to_owned(),
            "0".to_owned(),
        ]);
    }
    out += &table::write(
        &["phase", "initial", "current", "target", "lessons done", "ready now"],
        &rows,
    );
    out
}

/// A topic's status follows its lessons.
pub(crate) fn topic_status(topic: &Topic, progress: &Progress) -> &'static str {
    let records = || {
        topic
            .lessons
            .iter()
            .filter_map(|lesson| progress.records.get(&super::Id(lesson.id.clone())))
    };
    let done = records().filter(|record| record.is_done()).count();
    if topic.ready().count() == 0 && records().count() == 0 {
        "planned"
    } else if records().any(|record| record.status == Status::Stale) {
        Status::Stale.word()
    } else if done == topic.lessons.len() {
        Status::Completed.word()
    } else if records().any(|record| record.status != Status::Pending) {
        Status::InProgress.word()
    } else {
        Status::Pending.word()
    }
}

fn topics(workspace: &Workspace, progress: &Progress) -> String {
    let mut rows = Vec::new();
    for topic in &workspace.topics {
        let all = topic.lessons.len();
        let done = progress.done(topic.lessons.iter().map(|lesson| lesson.id.clone()));
        rows.push(vec![
            topic.id.clone(),
            topic.title.clone(),
            topic_status(topic, progress).to_owned(),
            percent(done, all),
            format!("{done} of {all}"),
        ]);
    }
    String::from("## Topics\n\n")
        + &table::write(&["id", "topic", "status", "done", "lessons"], &rows)
}

const LESSON_COLUMNS: [&str; 9] =
    ["id", "lesson", "status", "date", "checks", "attempts", "hints", "peeked", "figures"];

fn lessons(workspace: &Workspace, progress: &Progress) -> String {
    let mut out = String::from("## Lessons\n");
    for topic in &workspace.topics {
        let recorded = topic
            .lessons
            .iter()
            .any(|lesson| progress.records.contains_key(&super::Id(lesson.id.clone())));
        if topic.ready().count() == 0 && !recorded {
            continue;
        }
        let located = topic.lessons.iter().map(|lesson| Located { topic, lesson });
        let rows: Vec<_> = located.map(|found| row(found, progress.record(found))).collect();
        let _ = write!(
            out,
            "\n### {} {}\n\n{}",
            topic.id,
            topic.title,
            table::write(&LESSON_COLUMNS, &rows)
        );
    }
    let unknown: Vec<_> =
        progress.records.iter().filter(|(id, _)| workspace.by_id(&id.0).is_none()).collect();
    if !unknown.is_empty() {
        let rows: Vec<_> = unknown
            .iter()
            .map(|(id, record)| record_row(&id.0, &record.name, record.status.word(), record))
            .collect();
        let _ =
            write!(out, "\n### From another version\n\n{}", table::write(&LESSON_COLUMNS, &rows));
    }
    out
}

fn row(found: Located<'_>, record: Option<&Record>) -> Vec<String> {
    let planned = found.lesson.status == Stage::Planned;
    let blank = Record::default();
    let status = match record {
        None if planned => "planned",
        None => Status::Pending.word(),
        Some(record) => record.status.word(),
    };
    record_row(&found.lesson.id, &found.lesson.name, status, record.unwrap_or(&blank))
}

fn record_row(id: &str, name: &str, status: &str, record: &Record) -> Vec<String> {
    let or = |text: &str, other: &str| {
        if text.is_empty() { other.to_owned() } else { text.to_owned() }
    };
    let mut marks = String::new();
    for (label, hash) in
        [("file", &record.file), ("checks", &record.checks), ("starter", &record.starter)]
    {
        if !hash.is_empty() {
            let _ = write!(marks, " {label}:{hash}");
        }
    }
    if !record.seen.is_empty() {
        let _ = write!(marks, " seen:{}", record.seen.join(","));
    }
    for mark in &record.other {
        let _ = write!(marks, " {mark}");
    }
    let figures = or(&record.figures, NOTHING);
    vec![
        id.to_owned(),
        name.to_owned(),
        status.to_owned(),
        or(&record.date, NOTHING),
        record.passed.map_or(NOTHING.to_owned(), |(passed, all)| format!("{passed}/{all}")),
        record.attempts.to_string(),
        record.hints.to_string(),
        or(&record.peeked, "no"),
        if marks.is_empty() { figures } else { format!("{figures} <!--{marks} -->") },
    ]
}

fn skills(workspace: &Workspace, progress: &Progress) -> String {
    let mut out = String::from("## Skills acquired\n\n_From the lessons that passed._\n");
    let mut any = false;
    for topic in &workspace.topics {
        let done: Vec<_> = topic
            .lessons
            .iter()
            .map(|lesson| Located { topic, lesson })
            .filter(|found| progress.is_done(*found))
            .collect();
        if done.is_empty() {
            continue;
        }
        any = true;
        let _ = writeln!(out, "\n### {}\n", topic.title);
        for found in &done {
            let _ = writeln!(out, "- **{}:** {}", found.lesson.name, found.lesson.proves);
        }
        // The topic's concepts are met lesson by lesson, and all of them only at its end.
        let complete = done.len() == topic.ready().count();
        out.push('\n');
        for concept in &topic.concepts {
            let _ = writeln!(out, "- [{}] {concept}", if complete { "x" } else { " " });
        }
    }
    if !any {
        out.push_str("\n_None yet: pass a first lesson._\n");
    }
    out
}

fn levels(workspace: &Workspace, progress: &Progress) -> String {
    let first_phase = workspace.phases().first().copied().unwrap_or_default().to_owned();
    let is_mid =
        |topic: &&Topic| topic.phase == first_phase && topic.complexity < SENIOR_COMPLEXITY;
    let done: Vec<&Record> = progress.records.values().filter(|record| record.is_done()).collect();
    let tick = |yes: bool, text: &str| format!("- [{}] {text}\n", if yes { "x" } else { " " });
    let topic_line = |topic: &Topic| {
        let passed = progress.done(topic.lessons.iter().map(|lesson| lesson.id.clone()));
        let all = topic.lessons.len();
        tick(
            all > 0 && passed == all,
            &format!("{} {}: {passed} of {all} lessons", topic.id, topic.title),
        )
    };
    let mut out = String::from(
        "## Level checkpoints\n\n_Ticked from what passed; nothing here is ticked by hand._\n",
    );
    out += "\n### Junior to mid\n\n";
    out += &tick(!done.is_empty(), "a first lesson passed");
    out += &tick(
        done.iter().any(|record| record.peeked.is_empty()),
        "a lesson passed without the solution",
    );
    out += &tick(
        done.iter().any(|record| !record.seen.is_empty()),
        "a lesson passed, and one of its wrong answers read",
    );
    workspace.topics.iter().filter(is_mid).for_each(|topic| out += &topic_line(topic));
    out += "\n### Mid to senior\n\n";
    let alone = done.iter().filter(|record| record.peeked.is_empty() && record.hints == 0).count();
    out += &tick(
        alone >= 10,
        &format!("ten lessons passed with neither hint nor solution: {alone} so far"),
    );
    workspace
        .topics
        .iter()
        .filter(|topic| !is_mid(topic))
        .for_each(|topic| out += &topic_line(topic));
    out
}

fn goals(workspace: &Workspace, progress: &Progress) -> String {
    let mut out =
        String::from("## Next goals\n\n_The lab's three. Write your own below this part._\n\n");
    let open: Vec<_> =
        workspace.ready().filter(|found| !progress.is_done(*found)).take(3).collect();
    for found in &open {
        let time = found
            .lesson
            .minutes
            .map_or(String::new(), |minutes| format!(" About {minutes} minutes."));
        let _ = writeln!(
            out,
            "- [ ] **{} {}:** {}.{time}",
            found.lesson.id,
            found.lesson.name,
            found.lesson.proves.trim_end_matches('.')
        );
    }
    if open.is_empty() {
        let _ = writeln!(
            out,
            "- [x] **All that is ready:** {} passed",
            count(workspace.ready().count(), "lesson")
        );
    }
    out
}
