//! Runs a grader and follows its report: one line of JSON for each finished check.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    str::FromStr,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{
    cargo::{self, TestProgram},
    child::Running,
    failure::usage,
    store,
    workspace::Workspace,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Valid,
    Invalid,
    /// Nothing was proved: a server was missing, the fault never landed. Never counts as passed.
    Inconclusive,
}

/// One finished check, as the grader reports it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) lesson: String,
    /// `desk`, `starter`, `reference` or `decoy:NAME`.
    pub(crate) subject: String,
    pub(crate) check: String,
    /// One sentence: what holds if it passes.
    pub(crate) title: String,
    pub(crate) verdict: Verdict,
    #[serde(default)]
    pub(crate) seed: u64,
    #[serde(default)]
    pub(crate) millis: u64,
    #[serde(default)]
    pub(crate) rounds: u32,
    /// The failure in full, with its timeline; empty when valid.
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) expected_check: Option<String>,
}

/// A grader that came to its end.
pub(crate) struct Graded {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) status: ExitStatus,
    /// What the test program printed; worth showing only when the report says nothing.
    pub(crate) output: String,
}

/// What the environment asks of a grading: how often each check runs (`GRADING_REPEAT`). A `SEED`
/// that is none is refused here, before anything is built: the grader could only fail on it.
pub(crate) fn settings(lesson: &str) -> Result<u32> {
    number::<u64>("SEED", lesson)?;
    Ok(number("GRADING_REPEAT", lesson)?.unwrap_or(1).max(1))
}

fn number<T: FromStr>(variable: &str, lesson: &str) -> Result<Option<T>> {
    let Some(text) = std::env::var_os(variable) else {
        return Ok(None);
    };
    let text = text.to_string_lossy();
    text.parse().map(Some).map_err(|_| {
        usage(format!(
            "{variable}={text} is not a whole number\nNext: {variable}=7 cargo lab check {lesson}"
        ))
    })
}

/// The checks of a test program in the order of its suite, as it lists them itself.
pub(crate) fn checks(program: &TestProgram) -> Result<Vec<String>> {
    let (_, text, _) = cargo::captured(&mut program.command(&["--list"]), || {})?;
    let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(names.map(str::to_owned).collect())
}

/// Runs a test program and hands over each outcome as soon as it is there. The grader's standard
/// error passes through: servers that are being installed say so there.
pub(crate) fn run(
    workspace: &Workspace,
    program: &TestProgram,
    arguments: &[&str],
    repeat: u32,
    mut each: impl FnMut(&Outcome),
) -> Result<Graded> {
    let mut report = Report::new(workspace)?;
    let mut output = report.output()?;
    let mut command = program.command(arguments);
    command
        .env("GRADING_REPORT", &report.path)
        .env("GRADING_REPEAT", repeat.to_string())
        .stdin(Stdio::null())
        .stdout(output.try_clone().context("cannot share the grader's output file")?);
    let mut outcomes = Vec::new();
    let status = Running::start(&mut command)?.wait(|| {
        for outcome in report.news() {
            each(&outcome);
            outcomes.push(outcome);
        }
    })?;
    let mut text = Vec::new();
    output
        .seek(SeekFrom::Start(0))
        .and_then(|_| output.read_to_end(&mut text))
        .context("cannot read the grader's output")?;
    Ok(Graded { outcomes, status, output: String::from_utf8_lossy(&text).into_owned() })
}

/// A report file in `.lab/`, gone when dropped. One that a killed lab leaves behind is harmless:
/// no two runs share a name.
struct Report {
    path: PathBuf,
    output: PathBuf,
    read: u64,
}

impl Report {
    fn new(workspace: &Workspace) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder = workspace.state();
        store::make_folder(&folder)?;
        let name =
            format!("report-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = folder.join(format!("{name}.jsonl"));
        // An old process may have had our id.
        let _ = fs::remove_file(&path);
        Ok(Self { output: folder.join(format!("{name}.out")), path, read: 0 })
    }

    fn output(&self) -> Result<File> {
        let open =
            File::options().read(true).write(true).create(true).truncate(true).open(&self.output);
        open.with_context(|| {
            format!("cannot write {}\nNext: cargo lab doctor", self.output.display())
        })
    }

    /// The whole lines that came since the last look. A line that is still being written waits.
    fn news(&mut self) -> Vec<Outcome> {
        let Ok(text) = read_from(&self.path, self.read) else {
            return Vec::new();
        };
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        let lines = text[..whole].split(|byte| *byte == b'\n');
        lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.output);
    }
}

/// Clears away what labs left behind that were killed in the middle of a grading: reports whose
/// process is gone, and, because process ids come back, those of which nobody heard for an hour.
pub(crate) fn sweep(workspace: &Workspace) {
    const OLD: Duration = Duration::from_secs(60 * 60);
    let Ok(entries) = fs::read_dir(workspace.state()) else { return };
    let listed = Path::new("/proc/self").exists();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(owner) = name.strip_prefix("report-").and_then(|rest| rest.split('-').next())
        else {
            continue;
        };
        let gone = listed && !Path::new("/proc").join(owner).exists();
        let age =
            entry.metadata().and_then(|data| data.modified()).ok().and_then(|at| at.elapsed().ok());
        if gone || age.is_some_and(|age| age > OLD) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn read_from(path: &Path, start: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
