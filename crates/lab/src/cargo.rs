//! Running cargo, and the test programs that cargo builds.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{
    child::{Running, cargo_program},
    screen::{DIM, paint, say},
    workspace::Workspace,
};

/// A build that is silent for longer than this is announced.
const PATIENCE: Duration = Duration::from_secs(3);

/// Cargo at the root of the workspace, with this terminal's input and output.
pub(crate) fn command(workspace: &Workspace, arguments: &[&str]) -> Command {
    let mut command = Command::new(cargo_program());
    command.args(arguments).current_dir(&workspace.root);
    // Set for the lab's own package by `cargo run`; below, cargo sets them for each package.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs to the end with this terminal's input and output.
pub(crate) fn run(command: &mut Command) -> Result<ExitStatus> {
    Running::start(command)?.wait(|| {})
}

/// What came of building a test program.
pub(crate) enum Built {
    Program(TestProgram),
    /// Cargo's own words.
    Broken(String),
}

/// A built test target, run as cargo would run it.
#[derive(Debug, Clone)]
pub(crate) struct TestProgram {
    executable: PathBuf,
    package: PathBuf,
}

impl TestProgram {
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.executable);
        command.args(arguments).current_dir(&self.package).env("CARGO_MANIFEST_DIR", &self.package);
        command.env("CARGO", cargo_program());
        command
    }
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
}

/// Builds one test target. Building and running are two steps, so that a file which does not
/// compile is never taken for a file that fails, and so that the program can be killed.
///
/// A lesson's target is the only one of its name, and is built without naming its package: then
/// cargo chooses the same features of the crates below as for the example, and a learner waits
/// for them once. The audits all have one name, and are told apart by `package`.
pub(crate) fn build_test(
    workspace: &Workspace,
    package: Option<&str>,
    target: &str,
) -> Result<Built> {
    let colour = match anstream::AutoStream::choice(&std::io::stdout()) {
        anstream::ColorChoice::Never => "never",
        _ => "always",
    };
    let mut arguments = vec!["test", "-q"];
    arguments.extend(package.iter().flat_map(|package| ["-p", package]));
    arguments.extend(["--test", target, "--no-run", "--color", colour]);
    arguments.extend(["--message-format", "json-render-diagnostics"]);
    let (status, out, err) = captured(&mut command(workspace, &arguments), || {
        say!("{}", paint(DIM, "Building the grader; the first time takes a minute."));
    })?;
    if !status.success() {
        return Ok(Built::Broken(err));
    }
    let artifacts = out.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    let built = artifacts
        .filter(|message| message.reason == "compiler-artifact")
        .filter_map(|message| Some((message.executable?, message.manifest_path?)))
        .next_back();
    let Some((executable, manifest)) = built else {
        bail!("cargo built no test {target}\nNext: cargo test --test {target}");
    };
    let package =
        manifest.parent().map(Path::to_path_buf).context("a manifest lies in a folder")?;
    Ok(Built::Program(TestProgram { executable, package }))
}

/// Runs to the end and returns standard output and error. `slow` is called once if it takes long.
pub(crate) fn captured(
    command: &mut Command,
    slow: impl FnOnce(),
) -> Result<(ExitStatus, String, String)> {
    let began = Instant::now();
    let mut slow = Some(slow);
    let running =
        Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let out = running.take(|child| child.stdout.take().map(drain));
    let err = running.take(|child| child.stderr.take().map(drain));
    let status = running.wait(|| {
        if began.elapsed() > PATIENCE
            && let Some(slow) = slow.take()
        {
            slow();
        }
    })?;
    let text = |drained: Option<thread::JoinHandle<Vec<u8>>>| {
        let bytes = drained.and_then(|thread| thread.join().ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ok((status, text(out), text(err)))
}

/// Reads to the end on a thread of its own: a child that fills one pipe while the other is read
/// would wait for ever.
fn drain(mut pipe: impl std::io::Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is still worth showing.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}
