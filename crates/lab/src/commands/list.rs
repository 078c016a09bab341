//! `cargo lab list`: every lesson and its status.

use anyhow::Result;

use crate::{
    failure::{PASSED, usage},
    progress::{Progress, Status, file},
    screen::{BOLD, DIM, GOOD, WARN, WIDTH, count, cut, next, pad, paint, say},
    workspace::{Located, Stage, Topic, Workspace},
};

pub(crate) fn run(workspace: &Workspace, word: Option<&str>, all: bool) -> Result<u8> {
    let progress = file::load(workspace)?;
    let current = progress.current(workspace).map(|found| found.lesson.id.as_str());
    let mut apart = false;
    let one = word.map(|word| topic(workspace, word)).transpose()?;
    let shown = |topic: &&Topic| one.is_none_or(|one| one.id == topic.id);
    let detailed = |topic: &Topic| topic.ready().count() > 0 || all || one.is_some();
    let lessons = workspace
        .topics
        .iter()
        .filter(shown)
        .filter(|topic| detailed(topic))
        .flat_map(|topic| &topic.lessons);
    let column = lessons.map(|lesson| lesson.name.chars().count()).max().unwrap_or(0).max(16) + 2;
    for (number, topic) in workspace.topics.iter().filter(shown).enumerate() {
        let ready = topic.ready().count();
        let done = progress.done(topic.lessons.iter().map(|lesson| lesson.id.clone()));
        let state = match ready {
            0 => format!("planned, {}", count(topic.lessons.len(), "lesson")),
            _ => format!("{done} done, {ready} ready, {} planned", topic.lessons.len() - ready),
        };
        let title = format!("{:<2}  {}", topic.id, topic.title);
        let title = if ready > 0 { paint(BOLD, &pad(&title, 44)) } else { pad(&title, 44) };
        // A topic with its lessons stands apart from the topics around it.
        if std::mem::replace(&mut apart, detailed(topic)) && number > 0 {
            say!();
        }
        say!("{title}{}", paint(DIM, &state));
        if detailed(topic) {
            for lesson in &topic.lessons {
                let current = current == Some(lesson.id.as_str());
                row(&progress, Located { topic, lesson }, current, column);
            }
        }
    }
    if one.is_none() && !all {
        say!("{}", paint(DIM, "\nA planned topic's lessons: cargo lab list 02"));
    }
    next("cargo lab");
    Ok(PASSED)
}

fn row(progress: &Progress, found: Located<'_>, current: bool, column: usize) {
    let lesson = found.lesson;
    let record = progress.record(found);
    let status = progress.status(found);
    let planned = lesson.status == Stage::Planned && record.is_none();
    let mark = match status {
        Status::Completed => paint(GOOD, "✓"),
        Status::Stale => paint(WARN, "~"),
        _ if current => paint(BOLD, "›"),
        _ => " ".to_owned(),
    };
    let checks = record
        .and_then(|record| record.passed)
        .map_or(String::new(), |(passed, all)| format!("{passed}/{all}"));
    let word = if planned { "planned" } else { status.word() };
    let name = pad(&lesson.name, column);
    let name = if current { paint(BOLD, &name) } else { name };
    let rest = format!("{word:<12} {checks:<6}");
    let text = format!("{name}{rest}");
    // Before the title stand a mark, the id, the name, the status and the checks.
    let title = cut(&lesson.title, WIDTH.saturating_sub(31 + column));
    if planned {
        say!(
            "  {mark} {}",
            paint(
                DIM,
                format!("{:<6}{} {rest} {title}", lesson.id, pad(&lesson.name, column - 1))
                    .trim_end()
            )
        );
    } else {
        say!("  {mark} {:<6}{text} {title}", lesson.id);
    }
}

fn topic<'w>(workspace: &'w Workspace, word: &str) -> Result<&'w Topic> {
    let wanted = word.to_lowercase();
    let plain = wanted.trim_start_matches('0');
    let mut topics = workspace.topics.iter();
    topics
        .find(|topic| {
            topic.id.to_lowercase().trim_start_matches('0') == plain
                || topic.name == wanted
                || topic.folder == wanted
        })
        .ok_or_else(|| {
            let names: Vec<_> = workspace.topics.iter().map(|topic| topic.name.as_str()).collect();
            usage(format!(
                "there is no topic {word}. There are: {}\nNext: cargo lab list",
                names.join(", ")
            ))
        })
}
