//! `cargo lab setup`, `up`, `down`, and the servers of `doctor`: the test bed does it; the lab links no server's client.

use anyhow::Result;

use crate::{
    cargo,
    failure::{FAILED, PASSED, USAGE},
    workspace::Workspace,
};

pub(crate) fn run(workspace: &Workspace, what: &str, words: &[String]) -> Result<u8> {
    let mut command = cargo::command(workspace, &["run", "-q", "-p", "testbed", "--", what]);
    // The test bed says what to type next; it knows what it found.
    let status = cargo::run(command.args(words))?;
    Ok(match status.code() {
        Some(0) => PASSED,
        Some(2) => USAGE,
        _ => FAILED,
    })
}
