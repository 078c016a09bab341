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

use rustix::fs::statvfs;
use rustix::process::Signal;

use super::{Account, Own, account};
use crate::process::{Disobeyed, children, freeze, running, signal, thaw};

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

/// What to start, and how.
pub struct Launch<'a> {
    /// The server's program.
    pub program: &'a Path,
    /// A script that becomes the program: see [`super::Recipe::prelude`].
    pub prelude: Option<&'static str>,
    /// Its arguments. Relative paths in them are inside the room.
    pub arguments: &'a [String],
    /// As whom, where that is not who we are.
    pub account: Option<&'a Account>,
    /// Whether the room will hold a thousand files, and is better in memory.
    pub many_files: bool,
    /// Puts into the room what must be there before the first start.
    pub furnish: &'a dyn Fn(&Path) -> Result<(), String>,
    /// How the server is told to end, with its children, when its owner is gone.
    pub farewell: Signal,
    /// It is ready when a line of its log holds this, upper and lower case alike. Without it,
    /// it is ready when it has ended, and well.
    pub ready: Option<&'static str>,
    /// How long to wait for that.
    pub patience: Duration,
}

impl<'a> Launch<'a> {
    /// A program that needs nothing but its arguments, and may be killed.
    pub fn plain(program: &'a Path, arguments: &'a [String], ready: Option<&'static str>) -> Self {
        Self {
            program,
            prelude: None,
            arguments,
            account: None,
            many_files: false,
            furnish: &|_| Ok(()),
            farewell: Signal::KILL,
            ready,
            patience: Duration::from_secs(10),
        }
    }
}

/// A server, its supervisor and its room. Dropping it ends the server and removes the room
/// without waiting for either: both are gone some milliseconds later.
#[derive(Debug)]
pub struct Supervised {
    /// Holding this is what keeps the server alive.
    orders: Mutex<ChildStdin>,
    seen: Arc<Seen>,
    room: PathBuf,
    program: PathBuf,
    serves: bool,
    patience: Duration,
}

/// Why a server is not running.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The shell that supervises could not be started or was lost.
    #[error("cannot supervise a server: {0}")]
    Supervisor(io::Error),
    /// Its room could not be made ready for it.
    #[error("{0}")]
    Unfurnished(String),
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
    /// It was to stop or to go on, and did not.
    #[error(transparent)]
    Disobeyed(#[from] Disobeyed),
}

impl Own for Supervised {
    fn kill(&self) -> Result<(), Trouble> {
        let (pid, deaths) = {
            let state = self.seen.lock();
            let Some(pid) = state.pid else {
                return Ok(());
            };
            (pid, state.deaths)
        };
        // Frozen, it starts no more processes, and does not see these die. They are what
        // clients talk to: they go without a word. The server itself goes by its farewell, so
        // that it leaves nothing of the system's behind, such as shared memory.
        signal(pid, Signal::STOP);
        let children = children(pid);
        for child in &children {
            signal(*child, Signal::KILL);
        }
        self.order("kill")?;
        let state = self.seen.wait(self.patience, |state| state.deaths > deaths);
        if state.deaths == deaths {
            return Err(self.trouble(&state));
        }
        drop(state);
        let deadline = Instant::now() + self.patience;
        while children.iter().any(|child| running(*child)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn restart(&self) -> Result<(), Trouble> {
        self.kill()?;
        self.run()
    }

    fn stop(&self) -> Result<(), Trouble> {
        self.each(freeze)
    }

    fn resume(&self) -> Result<(), Trouble> {
        self.each(thaw)
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
    /// What the last one that ended said: 0 is well.
    status: String,
    closed: bool,
}

impl Supervised {
    /// Starts a program in a room of its own and waits until it is ready.
    ///
    /// # Errors
    /// [`Trouble`]; nothing is left running.
    pub fn start(launch: &Launch<'_>) -> Result<Self, Trouble> {
        let mut supervisor = Command::new("sh");
        supervisor
            .args(["-c", SCRIPT, "testbed-supervisor"])
            .arg(base(launch))
            .arg(launch.farewell.as_raw().to_string())
            .args(launch.prelude.map(|prelude| ["sh", "-c", prelude, "sh"]).into_iter().flatten())
            .arg(launch.program)
            .args(launch.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        if let Some(account) = launch.account {
            // Root's other groups are given up as well (std's `CommandExt::uid`).
            supervisor.uid(account.uid).gid(account.gid).current_dir("/");
        }
        let spawning = SPAWNING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut supervisor = supervisor.spawn()?;
        drop(spawning);
        let lost = || io::Error::other("the supervisor has no pipe");
        let orders = supervisor.stdin.take().ok_or_else(lost)?;
        let seen = Arc::new(Seen::default());
        let writer = Arc::clone(&seen);
        let ready = launch.ready;
        std::thread::Builder::new()
            .name("testbed-log".into())
            .spawn(move || writer.follow(supervisor, ready))?;

        let mut server = Self {
            orders: Mutex::new(orders),
            seen,
            room: PathBuf::new(),
            program: launch.program.to_owned(),
            serves: launch.ready.is_some(),
            patience: launch.patience,
        };
        let housed = server.seen.wait(server.patience, |state| state.room.is_some());
        let room = housed.room.clone();
        drop(housed);
        // Without a room there is no supervisor; its log says why, and `run` passes it on.
        if let Some(room) = room {
            (launch.furnish)(&room).map_err(Trouble::Unfurnished)?;
            server.room = room;
        }
        server.run()?;
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

    /// To the server and to the processes that it has started.
    fn each(&self, order: fn(u32) -> Result<(), Disobeyed>) -> Result<(), Trouble> {
        let state = self.seen.lock();
        let Some(pid) = state.pid else {
            return Err(self.trouble(&state));
        };
        // First the server: frozen, it starts no process behind our back.
        order(pid)?;
        for child in children(pid) {
            // One that has ended meanwhile does nothing any more, as was wanted.
            match order(child) {
                Err(disobeyed) if running(child) => return Err(disobeyed.into()),
                _ => {}
            }
        }
        Ok(())
    }

    fn run(&self) -> Result<(), Trouble> {
        let deaths = self.seen.lock().deaths;
        // A supervisor that could not start closes its pipe; its log says why.
        let _ = self.order("start");
        // The log's first lines may overtake the line that names the process.
        let up = |state: &State| match self.serves {
            true => state.ready && state.pid.is_some(),
            false => state.deaths > deaths && state.status == "0",
        };
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
    fn follow(&self, mut supervisor: Child, ready: Option<&str>) {
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
    fn take(&mut self, line: &str, ready: Option<&str>) {
        match line.strip_prefix("supervisor: ").and_then(|said| said.split_once(' ')) {
            Some(("room", room)) => self.room = Some(room.into()),
            Some(("pid", pid)) => self.pid = pid.parse().ok(),
            Some(("exited", status)) => {
                self.pid = None;
                self.ready = false;
                self.deaths += 1;
                self.status = status.into();
                self.keep(format!("exit status {status}"));
            }
            _ => {
                self.ready |= ready.is_some_and(|ready| line.to_lowercase().contains(ready));
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
/// a socket in it could not be bound, or where it is closed to the account that shall work in
/// a room.
///
/// A room of many files is in memory where Linux offers that, and `TMPDIR` is not set, which
/// would mean that somebody wants it elsewhere. The disk would do, but ext4 passes over the
/// numbers of files that were removed in the last minutes one by one, so that after some such
/// rooms each new file costs most of a millisecond.
fn base(launch: &Launch<'_>) -> PathBuf {
    let fits = |base: &PathBuf| {
        base.is_dir()
            && base.as_os_str().len() <= LONGEST_BASE
            && (launch.account.is_none()
                || (account::open_to_all(base) && account::writable_by_all(base)))
    };
    let memory = launch.many_files.then(memory).flatten();
    let temporary = std::path::absolute(std::env::temp_dir()).ok();
    memory.into_iter().chain(temporary).find(fits).unwrap_or_else(|| "/tmp".into())
}

/// The folder in memory where rooms of many files are made, where there is one.
pub(super) fn memory() -> Option<PathBuf> {
    let chosen = std::env::var_os("TMPDIR").is_some();
    Some(PathBuf::from("/dev/shm")).filter(|memory| !chosen && spacious(memory))
}

/// Whether a folder takes several rooms. Docker gives a container 64 MB of `/dev/shm`.
fn spacious(folder: &Path) -> bool {
    const ENOUGH: u64 = 1 << 30;
    statvfs(folder).is_ok_and(|found| found.f_bavail.saturating_mul(found.f_frsize) >= ENOUGH)
}
