//! `cargo lab reset L`: a fresh file; the old one is kept.

use anyhow::Result;

use crate::{
    clock, desk,
    failure::PASSED,
    fingerprint, lookup,
    progress::{Status, file},
    screen::{next, say},
    workspace::Workspace,
};

pub(crate) fn run(workspace: &Workspace, word: &str) -> Result<u8> {
    let found = lookup::lesson(workspace, word)?;
    let copy = desk::reset(workspace, found)?;
    file::update(workspace, |progress| {
        desk::take_up(workspace, found, progress, &clock::day());
        let record = progress.record_mut(found);
        record.status = Status::InProgress;
        record.passed = None;
        record.file.clear();
        record.starter = fingerprint::of_file(&found.starter(workspace)).unwrap_or_default();
        progress.did(clock::minute(), format!("reset {}", found.lesson.name));
    })?;
    let file = found.desk_file(workspace);
    say!("{} is the starter again.", workspace.shown(&file));
    if let Some(copy) = copy {
        say!("Your file as it was: {}", workspace.shown(&copy));
    }
    next(&format!("cargo lab start {}", found.lesson.name));
    Ok(PASSED)
}
