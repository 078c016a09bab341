//! `cargo lab progress`: how far you are, by phase and topic.

use anyhow::Result;

use crate::{
    failure::PASSED,
    progress::{file, form},
    screen::{BOLD, DIM, bar, next, pad, paint, say},
    workspace::{Located, Workspace},
};

/// The longest title of a topic, and its id.
const TITLE: usize = 35;
const BAR: usize = 12;

pub(crate) fn run(workspace: &Workspace) -> Result<u8> {
    let progress = file::load(workspace)?;
    for phase in workspace.phases() {
        let lessons = || workspace.lessons().filter(|found| found.topic.phase == phase);
        let (done, all) =
            (progress.done(lessons().map(|found| found.lesson.id.clone())), lessons().count());
        let aim = progress.aims.get(phase).copied().unwrap_or_default();
        say!(
            "{}{}  {done:>3} of {all:<3} {}",
            paint(BOLD, &pad(phase, TITLE + 2)),
            bar(done, all, BAR),
            paint(DIM, &format!("target {} %", aim.target))
        );
        for topic in workspace.topics.iter().filter(|topic| topic.phase == phase) {
            let located = || topic.lessons.iter().map(|lesson| Located { topic, lesson });
            let done = located().filter(|found| progress.is_done(*found)).count();
            say!(
                "  {}{}  {done:>3} of {:<3} {}",
                pad(&format!("{:<4}{}", topic.id, topic.title), TITLE),
                bar(done, topic.lessons.len(), BAR),
                topic.lessons.len(),
                paint(DIM, form::topic_status(topic, &progress))
            );
        }
        say!();
    }
    let file = file::location(workspace);
    if file.is_file() {
        say!("In full, with your notes: {}", workspace.shown(&file));
    }
    next(&form::next_command(workspace, &progress));
    Ok(PASSED)
}
