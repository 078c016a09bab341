//! `cargo lab run L`: the lesson's example.

use anyhow::Result;

use super::chosen;
use crate::{
    cargo,
    failure::{FAILED, PASSED},
    progress::file,
    screen::next,
    workspace::Workspace,
};

pub(crate) fn run(workspace: &Workspace, word: Option<&str>) -> Result<u8> {
    let progress = file::load(workspace)?;
    let found = chosen(workspace, &progress, word)?;
    let name = &found.lesson.name;
    let status = cargo::run(&mut cargo::command(workspace, &["run", "-q", "--example", name]))?;
    if status.success() {
        // The example itself says what comes next.
        return Ok(PASSED);
    }
    next("cargo lab doctor");
    Ok(FAILED)
}
