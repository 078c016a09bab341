//! Child processes that end with the lab.
//!
//! Children share the lab's process group, so Ctrl-C in a terminal reaches them too. A signal that
//! is sent to the lab alone (`kill`, a CI runner) is passed on here: the running child is killed,
//! and what it held, servers included, goes with it.

use std::{
    env,
    ffi::OsString,
    io,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::{
    failure::INTERRUPTED,
    screen::{BOLD, WARN, command, paint},
};

const POLL: Duration = Duration::from_millis(10);

static RUNNING: Mutex<Option<Arc<Mutex<Child>>>> = Mutex::new(None);

/// Ends the lab in order on Ctrl-C and its like: says so, and leaves with a code of its own.
pub(crate) fn end_on_signals() -> Result<()> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen for Ctrl-C")?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            // Holding the registry keeps the main thread from going on as if the child had ended
            // by itself, and from recording half a grading.
            let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(child) = running.as_ref() {
                let _ = child.lock().unwrap_or_else(PoisonError::into_inner).kill();
            }
            anstream::eprintln!(
                "\n{}. Nothing is lost: what was finished is recorded, the rest is not.\n\n{}  {}",
                paint(WARN, "Stopped"),
                paint(BOLD, "Next"),
                command("cargo lab")
            );
            std::process::exit(i32::from(INTERRUPTED));
        }
    });
    Ok(())
}

/// A running child. While it lives, a signal to the lab kills it.
pub(crate) struct Running {
    child: Arc<Mutex<Child>>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.spawn().map_err(|error| explain(error, &program))?;
        let child = Arc::new(Mutex::new(child));
        *running = Some(Arc::clone(&child));
        Ok(Self { child })
    }

    /// What `take` takes out of the child, such as its output.
    pub(crate) fn take<T>(&self, take: impl FnOnce(&mut Child) -> T) -> T {
        take(&mut self.child.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the end, calling `meanwhile` about a hundred times a second.
    pub(crate) fn wait(self, mut meanwhile: impl FnMut()) -> Result<ExitStatus> {
        loop {
            let ended = self.take(Child::try_wait).context("cannot wait for a child process")?;
            meanwhile();
            if let Some(status) = ended {
                *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = None;
                if was_interrupted(status) {
                    // The signal that killed the child is on its way to the lab too.
                    thread::sleep(Duration::from_millis(200));
                }
                return Ok(status);
            }
            thread::sleep(POLL);
        }
    }
}

fn was_interrupted(status: ExitStatus) -> bool {
    status.signal() == Some(SIGINT)
}

fn explain(error: io::Error, program: &str) -> anyhow::Error {
    let missing = error.kind() == io::ErrorKind::NotFound;
    let error = anyhow::Error::from(error);
    if missing && cargo_program() == program {
        error.context(format!("cannot find {program}\nNext: install Rust, https://rustup.rs"))
    } else {
        error.context(format!("cannot start {program}"))
    }
}

/// The cargo that started the lab, so that both are of one toolchain.
pub(crate) fn cargo_program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
