//! `cargo lab`: where you are and what is next, in a screenful.

use anyhow::Result;

use crate::{
    failure::PASSED,
    progress::{self, Progress, Status, file, form},
    prose,
    screen::{BOLD, DIM, WARN, WIDTH, bar, command, count, paint, say},
    workspace::{HINTS, Located, Workspace},
};

const LABEL: usize = 13;

pub(crate) fn run(workspace: &Workspace) -> Result<u8> {
    let progress = file::load(workspace)?;
    say!("{}\n", paint(BOLD, "Distributed Systems Sandbox"));
    if progress.records.is_empty() {
        say!(
            "  Patterns of distributed systems: run them, break them, write them.\n  \
             Your code is graded against real servers that are paused, cut off and killed.\n\n  \
             After an update, cargo first builds this command anew: a quarter of a minute\n  \
             without a word. It also waits in silence while another cargo works.\n"
        );
    }
    if let Some(found) = progress.current(workspace) {
        place(workspace, &progress, found);
    }
    let ready: Vec<_> = workspace.ready().map(|found| found.lesson.id.clone()).collect();
    let done = progress.done(ready.iter());
    let planned = workspace.lessons().count() - ready.len();
    let line = format!("{done} of {} done; {planned} planned", count(ready.len(), "ready lesson"));
    field("Progress", &format!("{}  {line}", bar(done, ready.len(), 20)));
    if let Some((when, what)) = &progress.last {
        wrapped("Last", &format!("{when}: {what}"));
    }
    notices(workspace, &progress);
    say!();
    let next = form::next_command(workspace, &progress);
    field("Next", &command(&next));
    if let Some(found) = progress.current(workspace) {
        let name = &found.lesson.name;
        let also = match progress.status(found) {
            Status::Pending => vec![format!("cargo lab run {name}"), "cargo lab list".to_owned()],
            Status::Completed => {
                vec![format!("cargo lab why {name}"), format!("cargo lab solution {name}")]
            }
            Status::InProgress | Status::Stale => {
                vec!["cargo lab watch".to_owned(), format!("cargo lab hint {name}")]
            }
        };
        field("Also", &also.iter().map(|text| command(text)).collect::<Vec<_>>().join(" · "));
    }
    field("All commands", &command("cargo lab --help"));
    Ok(PASSED)
}

fn field(label: &str, value: &str) {
    say!("  {}{value}", paint(DIM, &format!("{label:<LABEL$}")));
}

fn wrapped(label: &str, text: &str) {
    for (number, line) in prose::wrap(text, WIDTH - LABEL - 4).iter().enumerate() {
        field(if number == 0 { label } else { "" }, line);
    }
}

fn place(workspace: &Workspace, progress: &Progress, found: Located<'_>) {
    let lesson = found.lesson;
    field("You are at", &paint(BOLD, &format!("{} {}", lesson.id, lesson.name)));
    field("", &format!("{}: {}", found.topic.title, lesson.title));
    let record = progress.record(found);
    let mut standing = form::standing(record);
    if let Some(record) = record {
        if record.attempts > 0 {
            standing += &format!(" · {}", count(record.attempts as usize, "attempt"));
        }
        if record.hints > 0 {
            standing += &format!(" · {} of {HINTS} hints", record.hints);
        }
    }
    field("Status", &standing);
    let file = found.desk_file(workspace);
    if file.is_file() {
        field("Your file", &workspace.shown(&file).to_string());
    }
    wrapped("It proves", &lesson.proves);
}

/// What changed since the learner last met a lesson, after `git pull` above all.
fn notices(workspace: &Workspace, progress: &Progress) {
    for found in workspace.ready() {
        let name = &found.lesson.name;
        for change in progress::changes(workspace, found, progress) {
            let then = match change {
                progress::Change::Task => format!("cargo lab diff {name}"),
                progress::Change::Checks | progress::Change::File => {
                    format!("cargo lab check {name}")
                }
            };
            say!("\n  {} {name}: {}\n    {}", paint(WARN, "~"), change.words(), command(&then));
        }
    }
}
