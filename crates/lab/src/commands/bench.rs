//! `cargo lab bench L`: the lesson's benchmark.

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
    let package = found.sandbox_package(workspace)?;
    let name = &found.lesson.name;
    let status = cargo::run(&mut cargo::command(
        workspace,
        &["bench", "-q", "-p", &package, "--bench", name],
    ))?;
    next(&format!("cargo lab start {name}"));
    Ok(if status.success() { PASSED } else { FAILED })
}
