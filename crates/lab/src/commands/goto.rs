//! `cargo lab goto L`: makes a lesson the current one.

use anyhow::Result;

use crate::{
    clock,
    failure::PASSED,
    lookup,
    progress::{Id, file, form},
    screen::{BOLD, next, paint, say},
    workspace::Workspace,
};

pub(crate) fn run(workspace: &Workspace, word: &str) -> Result<u8> {
    let found = lookup::lesson(workspace, word)?;
    file::update(workspace, |progress| {
        progress.current = Some(Id(found.lesson.id.clone()));
        progress.did(clock::minute(), format!("went to {}", found.lesson.name));
    })?;
    let progress = file::load(workspace)?;
    let name = paint(BOLD, &format!("{} {}", found.lesson.id, found.lesson.name));
    say!("You are at {name}: {}.", form::standing(progress.record(found)));
    next(&form::next_command(workspace, &progress));
    Ok(PASSED)
}
