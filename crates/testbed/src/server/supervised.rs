//! A server process that cannot outlive its owner.
//!
//! The owner starts `supervise.sh` and holds the only writing end of its standard input.
//! However the owner ends, by returning, by a panic or by `kill -9`, the kernel closes that
//! end, the script reads end of file, kills the server and removes its room: a fresh
//! directory, readable by its user alone, in which the server works. A handler for signals
//! or a destructor could not promise as much, and `PR_SET_PDEATHSIG` exists on Linux only.
//!
//! The script runs in a process group of its own, so that Ctrl-C in a terminal reaches the
//! owner, which decides, and not the server behind its back.
//!
//! Everything here blocks; call it from a blocking thread. Time is the system's, not
//! tokio's, which a test may have paused.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Own;

const SCRIPT: &str = include_str!("supervise.sh");

/// Lines of the log that are kept, to be shown when the server dies.
const TAIL: usize = 20;

/// A socket's path may hold 103 bytes on macOS, 107 on Linux; the room's name and the
/// socket's take 30 of them.
const LONGEST_BASE: usize = 70;

/// Where the system cannot make a pipe that children do not inherit in one step, as on macOS,
/// a supervisor started meanwhile would hold this one's pipe open: two could keep each other
/// alive for ever. One at a time cannot.
static SPAWNING: Mutex<()> = Mutex::new(());

/// A server, its supervisor and its room. Dropping it kills the server and removes the room
/// without waiting for either: both are gone some milliseconds later.
#[derive(Debug)]
pub struct Supervised {
    /// Holding this is what keeps the server alive.
    orders: Mutex<ChildStdin>,
    seen: Arc<Seen>,
    room: PathBuf,
    program: PathBuf,
    patience: Duration,
}

/// Why a server is not running.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The shell that supervises could not be started or was lost.
    #[error("cannot supervise a server: {0}")]
    Supervisor(io::Error),
    /// The server ended before it was ready, or was found dead.
    #[error("{} ended: {log}", program.display())]
    Died {
        /// What was started.
        program: PathBuf,
        /// The last lines of its log.
        log: String,
    },
    /// The server neither became ready nor ended. It has been killed.
    #[error("{} was not ready after {after:?}: {log}", program.display())]
    Stalled {
        /// What was started.
        program: PathBuf,
        /// How long it was waited for.
        after: Duration,
        /// The last lines of its log.
        log: String,
    },
}

impl Own for Supervised {
    fn kill(&self) -> Result<(), Trouble> {
        let deaths = {
            let state = self.seen.lock();
            if state.pid.is_none() {
                return Ok(());
            }
            state.deaths
        };
        self.order("kill")?;
        let state = self.seen.wait(self.patience, |state| state.deaths > deaths);
        if state.deaths > deaths {
            return Ok(());
        }
        Err(self.trouble(&state))
    }

    fn restart(&self) -> Result<(), Trouble> {
        self.kill()?;
        self.run()
    }

    fn stop(&self) -> Result<(), Trouble> {
        self.signal(Signal::STOP)
    }

    fn resume(&self) -> Result<(), Trouble> {
        self.signal(Signal::CONT)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Supervisor(error)
    }
}

#[derive(Debug, Default)]
struct Seen {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    room: Option<PathBuf>,
    pid: Option<u32>,
    ready: bool,
    deaths: u32,
    tail: VecDeque<String>,
    closed: bool,
}

impl Supervised {
    /// Starts `program` in a room of its own and waits until a line of its log holds `ready`
    /// (upper and lower case alike). Relative paths in `arguments` are inside the room.
    ///
    /// # Errors
    /// [`Trouble`]; nothing is left running.
    pub fn start(
        program: &Path,
        arguments: &[String],
        ready: &'static str,
        patience: Duration,
    ) -> Result<Self, Trouble> {
        let spawning = SPAWNING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut supervisor = Command::new("sh")
            .args(["-c", SCRIPT, "testbed-supervisor"])
            .arg(base())
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        drop(spawning);
        let lost = || io::Error::other("the supervisor has no pipe");
        let orders = supervisor.stdin.take().ok_or_else(lost)?;
        let seen = Arc::new(Seen::default());
        let writer = Arc::clone(&seen);
        std::thread::Builder::new()
            .name("testbed-log".into())
            .spawn(move || writer.follow(supervisor, ready))?;

        let mut server = Self {
            orders: Mutex::new(orders),
            seen,
            room: PathBuf::new(),
            program: program.to_owned(),
            patience,
        };
        server.run()?;
        server.room = server.seen.lock().room.clone().unwrap_or_default();
        Ok(server)
    }

    /// The directory in which the server works; it goes when the server does.
    pub fn room(&self) -> &Path {
        &self.room
    }

    /// The server's process, or `None` while it is dead.
    pub fn pid(&self) -> Option<u32> {
        self.seen.lock().pid
    }

    /// The last lines of the server's log.
    pub fn log(&self) -> String {
        self.seen.lock().log()
    }

    fn signal(&self, signal: Signal) -> Result<(), Trouble> {
        let state = self.seen.lock();
        let pid = state.pid.and_then(|pid| Pid::from_raw(pid.cast_signed()));
        match pid {
            Some(pid) => kill_process(pid, signal).map_err(|errno| io::Error::from(errno).into()),
            None => Err(self.trouble(&state)),
        }
    }

    fn run(&self) -> Result<(), Trouble> {
        let deaths = self.seen.lock().deaths;
        // A supervisor that could not start closes its pipe; its log says why.
        let _ = self.order("start");
        // The log's first lines may overtake the line that names the process.
        let up = |state: &State| state.ready && state.pid.is_some();
        let state = self.seen.wait(self.patience, |state| up(state) || state.deaths > deaths);
        if up(&state) { Ok(()) } else { Err(self.trouble(&state)) }
    }

    fn order(&self, order: &str) -> io::Result<()> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.write_all(format!("{order}\n").as_bytes())
    }

    fn trouble(&self, state: &State) -> Trouble {
        let program = self.program.clone();
        let log = state.log();
        if state.pid.is_some() && !state.closed {
            Trouble::Stalled { program, after: self.patience, log }
        } else {
            Trouble::Died { program, log }
        }
    }
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `enough`, until nothing more can come, or until `patience` is at its end.
    fn wait(&self, patience: Duration, enough: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let deadline = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if enough(&state) || state.closed || left.is_zero() {
                return state;
            }
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Reads the log to its end, so that the server never blocks on a full pipe, then reaps
    /// the supervisor.
    fn follow(&self, mut supervisor: Child, ready: &str) {
        if let Some(log) = supervisor.stdout.take() {
            let mut log = BufReader::new(log);
            let mut line = Vec::new();
            while log.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                self.lock().take(String::from_utf8_lossy(&line).trim_end(), ready);
                self.changed.notify_all();
                line.clear();
            }
        }
        self.lock().closed = true;
        self.changed.notify_all();
        let _ = supervisor.wait();
    }
}

impl State {
    fn take(&mut self, line: &str, ready: &str) {
        match line.strip_prefix("supervisor: ").and_then(|said| said.split_once(' ')) {
            Some(("room", room)) => self.room = Some(room.into()),
            Some(("pid", pid)) => self.pid = pid.parse().ok(),
            Some(("exited", status)) => {
                self.pid = None;
                self.ready = false;
                self.deaths += 1;
                self.keep(format!("exit status {status}"));
            }
            _ => {
                self.ready |= line.to_lowercase().contains(ready);
                self.keep(line.to_owned());
            }
        }
    }

    fn keep(&mut self, line: String) {
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    fn log(&self) -> String {
        let lines: Vec<&str> = self.tail.iter().map(String::as_str).collect();
        lines.join("\n")
    }
}

/// Where rooms are made: the temporary directory, or `/tmp` where that path is so long that
/// a socket in it could not be bound.
fn base() -> PathBuf {
    std::path::absolute(std::env::temp_dir())
        .ok()
        .filter(|base| base.is_dir() && base.as_os_str().len() <= LONGEST_BASE)
        .unwrap_or_else(|| "/tmp".into())
}
