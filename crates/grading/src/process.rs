//! A second process, for checks that are about more than one.
//!
//! Two caches in one process share its memory, and a wrong answer may hide in a `static`. So a
//! check that says "fleet" starts the test program again, as another process, which runs the
//! check's process body ([`Check::process`](crate::Check::process)) on the same subject. The two
//! talk in lines. The child ends when its body does, when it is killed, or when its parent is
//! gone: then its standard input ends.

use crate::check::Check;
use crate::report::Subject;
use crate::runner::panic_text;
use crate::verdict::{Evidence, Finding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{BufRead, Write};
use std::process::{ExitCode, Stdio};
use std::time::Duration;
use testbed::process::Disobeyed;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

/// Who a child process is: lesson, subject and check.
const ROLE: &str = "GRADING_PROCESS";
/// What it is told: JSON.
const ARGUMENTS: &str = "GRADING_ARGUMENTS";
/// Begins a line that reports a panic of the child.
const PANIC: &str = "panic: ";

/// Another process that runs the check's process body, as its parent sees it.
pub struct Process {
    child: tokio::process::Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(crate) fn start(role: &str, arguments: &impl Serialize) -> Result<Process, Finding> {
        let failed = |error: &dyn std::fmt::Display| {
            Finding::inconclusive(format!("no second process: {error}"))
        };
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let arguments = serde_json::to_string(arguments).map_err(|error| failed(&error))?;
        let mut child = Command::new(program)
            .env(ROLE, role)
            .env(ARGUMENTS, arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&error))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(to), Some(from)) => Ok(Process { child, to, from: BufReader::new(from).lines() }),
            _ => Err(Finding::inconclusive("no pipes to the second process")),
        }
    }

    /// Sends a line. A child that is gone hears nothing, which the next [`Process::hear`] shows.
    pub async fn say(&mut self, line: &str) {
        let _ = self.to.write_all(format!("{line}\n").as_bytes()).await;
        let _ = self.to.flush().await;
    }

    /// The next line, or `None` if there is none within `patience`.
    ///
    /// # Errors
    /// Invalid if the child has panicked or ended: the subject did it.
    pub async fn hear(&mut self, patience: Duration) -> Result<Option<String>, Finding> {
        match tokio::time::timeout(patience, self.from.next_line()).await {
            Err(_) => Ok(None),
            Ok(Ok(Some(line))) => match line.strip_prefix(PANIC) {
                None => Ok(Some(line)),
                Some(text) => {
                    Err(Evidence::new("an answer", format!("a panic in the other process: {text}"))
                        .into())
                }
            },
            Ok(_) => Err(Evidence::new("an answer", "the other process ended").into()),
        }
    }

    /// The next line, which has to come.
    ///
    /// # Errors
    /// As [`Process::hear`], and invalid if nothing comes within `patience`.
    pub async fn expect(&mut self, what: &str, patience: Duration) -> Result<String, Finding> {
        let expected = || format!("{what} from the other process within {patience:?}");
        self.hear(patience).await?.ok_or_else(|| Evidence::new(expected(), "nothing").into())
    }

    /// F5: stops it with SIGSTOP; all of its threads stand still when this returns. What it holds
    /// it still holds, and its clock goes on. The fault is over with [`Process::resume`].
    ///
    /// # Errors
    /// Inconclusive if it does not stop.
    pub fn stop(&self) -> Result<(), Finding> {
        self.order("stop", testbed::process::freeze)
    }

    /// Wakes it with SIGCONT, where and as it was stopped.
    ///
    /// # Errors
    /// Inconclusive if it does not go on.
    pub fn resume(&self) -> Result<(), Finding> {
        self.order("continue", testbed::process::thaw)
    }

    fn order(&self, what: &str, order: fn(u32) -> Result<(), Disobeyed>) -> Result<(), Finding> {
        let landed = self.child.id().map(order);
        let why = match landed {
            Some(Ok(())) => return Ok(()),
            Some(Err(disobeyed)) => disobeyed.to_string(),
            None => "it has ended".to_owned(),
        };
        Err(Finding::inconclusive(format!("the {what} did not land: {why}")))
    }

    /// F6: kills it with SIGKILL and waits until it is dead.
    ///
    /// # Errors
    /// Inconclusive if it cannot be killed.
    pub async fn kill(mut self) -> Result<(), Finding> {
        let killed = self.child.kill().await;
        killed.map_err(|error| Finding::inconclusive(format!("the kill did not land: {error}")))
    }
}

/// What the body of a child process holds.
pub struct Child {
    arguments: String,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Child {
    /// What the parent passed to [`World::process`](crate::World::process).
    ///
    /// # Panics
    /// If it is of another type.
    pub fn arguments<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.arguments).expect("the parent passes what the child expects")
    }

    /// Sends a line to the parent.
    pub fn say(line: &str) {
        let mut out = std::io::stdout().lock();
        // A parent that is gone ends this process through its standard input.
        let _ = writeln!(out, "{line}");
        let _ = out.flush();
    }

    /// The parent's next line.
    pub async fn hear(&mut self) -> String {
        match self.lines.recv().await {
            Some(line) => line,
            // The parent is gone, and the thread that noticed ends this process.
            None => std::future::pending().await,
        }
    }
}

pub(crate) fn role(lesson: &str, subject: &Subject, check: &Check) -> String {
    let subject = match subject {
        Subject::Desk => "desk",
        Subject::Starter => "starter",
        Subject::Reference => "reference",
        Subject::Decoy { name, .. } => name,
    };
    format!("{lesson}/{subject}/{}", check.name)
}

/// Whether this process was started as a child; then it must do nothing else.
pub(crate) fn is_child() -> bool {
    std::env::var_os(ROLE).is_some()
}

/// Runs the body of the check that is asked for, if it is among `checks`.
pub(crate) fn run_child(lesson: &str, subject: &Subject, checks: &[Check]) -> Option<ExitCode> {
    let asked = std::env::var(ROLE).ok()?;
    let check = checks.iter().find(|check| role(lesson, subject, check) == asked)?;
    let body = check.process.as_ref()?;
    std::panic::set_hook(Box::new(|info| {
        Child::say(&format!("{PANIC}{}", panic_text(info.payload()).replace('\n', " ")));
    }));
    let (tell, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = tell.send(line);
        }
        std::process::exit(0);
    });
    let arguments = std::env::var(ARGUMENTS).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().ok()?;
    runtime.block_on(body(Child { arguments, lines }));
    Some(ExitCode::SUCCESS)
}
