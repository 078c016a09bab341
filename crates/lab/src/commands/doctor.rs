//! `cargo lab doctor`: what this machine has and what is missing, a line each.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Result;

use super::servers;
use crate::{
    child::cargo_program,
    failure::{FAILED, PASSED},
    progress::read,
    screen::{BAD, GOOD, WARN, command, count, next, paint, say},
    workspace::Workspace,
};

/// A full build of the workspace with its tests and examples takes about this much.
const DISK_NEEDED: u64 = 3 << 30;

enum State {
    Ok,
    Warn,
    Missing,
}

struct Finding {
    state: State,
    what: &'static str,
    text: String,
    /// What to type, where something is to be done.
    then: Option<String>,
}

impl Finding {
    fn ok(what: &'static str, text: impl Into<String>) -> Self {
        Self { state: State::Ok, what, text: text.into(), then: None }
    }

    fn warn(what: &'static str, text: impl Into<String>, then: &str) -> Self {
        Self { state: State::Warn, what, text: text.into(), then: Some(then.to_owned()) }
    }

    fn missing(what: &'static str, text: impl Into<String>, then: &str) -> Self {
        Self { state: State::Missing, what, text: text.into(), then: Some(then.to_owned()) }
    }
}

pub(crate) fn run(workspace: &Workspace, words: &[String]) -> Result<u8> {
    let findings = [
        toolchain(workspace),
        disk(workspace),
        writable("desk", &workspace.desk(), "chmod -R u+w desk"),
        writable(".lab", &workspace.state(), "chmod -R u+w .lab"),
        writable("target", &target(workspace), "chmod -R u+w target"),
        git(workspace),
        desk(workspace),
        progress(workspace),
    ];
    for finding in &findings {
        let mark = match finding.state {
            State::Ok => paint(GOOD, "ok     "),
            State::Warn => paint(WARN, "warn   "),
            State::Missing => paint(BAD, "missing"),
        };
        say!("{mark}  {:<10} {}", finding.what, finding.text);
        if let Some(then) = &finding.then {
            say!("         {:<10} {}", "", command(then));
        }
    }
    let missing = findings.iter().find(|finding| matches!(finding.state, State::Missing));
    // Cargo cannot build the test bed without these; its errors would only repeat the lines above.
    if let Some(then) = missing.and_then(|finding| finding.then.as_deref()) {
        next(then);
        return Ok(FAILED);
    }
    say!();
    let servers = servers::run(workspace, "doctor", words)?;
    if servers == PASSED {
        next("cargo lab");
    }
    Ok(servers)
}

/// What a program says on standard output; `None` when it is not there or fails.
fn ask(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str], folder: &Path) -> Option<String> {
    let mut command = Command::new(program);
    let output = command.args(arguments).current_dir(folder).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn toolchain(workspace: &Workspace) -> Finding {
    let cargo = ask(cargo_program(), &["--version"], &workspace.root);
    match cargo {
        Some(version) => Finding::ok("toolchain", version),
        None => Finding::missing(
            "toolchain",
            "cargo does not answer",
            "rustup toolchain install stable",
        ),
    }
}

/// `df -P` is the one way to ask that POSIX promises.
fn disk(workspace: &Workspace) -> Finding {
    let free = ask("df", &["-Pk", "."], &workspace.root)
        .and_then(|text| text.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok());
    match free.map(|kibibytes| kibibytes << 10) {
        None => Finding::warn("disk", "df does not say how much is free", "df -h ."),
        Some(bytes) => {
            let text = format!("{:.1} GiB free", bytes as f64 / f64::from(1 << 30));
            if bytes < DISK_NEEDED {
                let text = format!("{text}; a full build wants {} GiB", DISK_NEEDED >> 30);
                Finding::warn("disk", text, "cargo clean")
            } else {
                Finding::ok("disk", text)
            }
        }
    }
}

fn target(workspace: &Workspace) -> std::path::PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace.root.join("target"), |path| workspace.root.join(path))
}

/// Tries it: modes and owners do not tell of read-only mounts and full disks.
fn writable(what: &'static str, folder: &Path, then: &str) -> Finding {
    let probe = folder.join(format!(".probe-{}", std::process::id()));
    let tried = fs::create_dir_all(folder)
        .and_then(|()| fs::write(&probe, b"x"))
        .and_then(|()| fs::remove_file(&probe));
    match tried {
        Ok(()) => Finding::ok(what, "can be written"),
        Err(error) => {
            let _ = fs::remove_file(&probe);
            Finding::missing(what, format!("cannot write {}: {error}", folder.display()), then)
        }
    }
}

fn git(workspace: &Workspace) -> Finding {
    let root = &workspace.root;
    let Some(branch) = ask("git", &["rev-parse", "--abbrev-ref", "HEAD"], root) else {
        return Finding::warn(
            "git",
            "no clone: updates will not come by git pull",
            "git --version",
        );
    };
    let tracked = ask("git", &["ls-files", "desk"], root).unwrap_or_default();
    if !tracked.is_empty() {
        // The promise that git pull never touches the desk holds only while nothing there is tracked.
        return Finding::warn(
            "git",
            "files in desk/ are tracked; git pull may touch them",
            "git rm -r --cached desk",
        );
    }
    let changed = ask("git", &["status", "--porcelain"], root).unwrap_or_default().lines().count();
    match changed {
        0 => Finding::ok("git", format!("{branch}, clean; desk/ is yours")),
        _ => Finding::warn(
            "git",
            format!("{branch}, {} changed outside desk/", count(changed, "file")),
            "git status",
        ),
    }
}

fn desk(workspace: &Workspace) -> Finding {
    let files = workspace.ready().filter(|found| found.desk_file(workspace).is_file()).count();
    Finding::ok(
        "lessons",
        format!("{files} of {} on the desk", count(workspace.ready().count(), "ready lesson")),
    )
}

fn progress(workspace: &Workspace) -> Finding {
    let file = crate::progress::file::location(workspace);
    match fs::read(&file) {
        Err(_) => Finding::ok("progress", "none yet"),
        Ok(bytes) => match read::read(&bytes).damage.as_slice() {
            [] => Finding::ok("progress", format!("{} is whole", workspace.shown(&file))),
            [first, ..] => {
                let text = format!("line {}: {}", first.line, first.what);
                Finding::warn("progress", text, "cargo lab progress")
            }
        },
    }
}
