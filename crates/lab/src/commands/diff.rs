//! `cargo lab diff L`: the learner's file against the task as it is now.

use std::fs;

use anyhow::{Context, Result};
use similar::{ChangeTag, TextDiff};

use super::chosen;
use crate::{
    desk,
    failure::PASSED,
    fingerprint,
    progress::file,
    prose,
    screen::{BAD, DIM, GOOD, WIDTH, next, paint, say},
    workspace::Workspace,
};

pub(crate) fn run(workspace: &Workspace, word: Option<&str>) -> Result<u8> {
    let progress = file::load(workspace)?;
    let found = chosen(workspace, &progress, word)?;
    desk::ensure(workspace, found)?;
    let (starter, mine) = (found.starter(workspace), found.desk_file(workspace));
    let read = |path: &std::path::Path| {
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    show(
        &read(&starter)?,
        &read(&mine)?,
        &workspace.shown(&starter).to_string(),
        &workspace.shown(&mine).to_string(),
    );
    // Having seen the task as it is now, the learner need not be told again that it changed.
    if progress.record(found).is_some_and(|record| !record.starter.is_empty()) {
        file::update(workspace, |progress| {
            progress.record_mut(found).starter = fingerprint::of_file(&starter).unwrap_or_default();
        })?;
    }
    next(&format!("cargo lab check {}", found.lesson.name));
    Ok(PASSED)
}

/// A unified diff.
pub(crate) fn show(old: &str, new: &str, old_name: &str, new_name: &str) {
    if old == new {
        for line in prose::wrap(&format!("{new_name} and {old_name} are the same."), WIDTH) {
            say!("{line}");
        }
        return;
    }
    say!("{}\n{}", paint(BAD, &format!("--- {old_name}")), paint(GOOD, &format!("+++ {new_name}")));
    let diff = TextDiff::from_lines(old, new);
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        say!("{}", paint(DIM, hunk.header().to_string().trim_end()));
        for change in hunk.iter_changes() {
            let line = change.value().trim_end_matches(['\n', '\r']);
            match change.tag() {
                ChangeTag::Delete => say!("{}", paint(BAD, &format!("-{line}"))),
                ChangeTag::Insert => say!("{}", paint(GOOD, &format!("+{line}"))),
                ChangeTag::Equal => say!(" {line}"),
            }
        }
    }
}
