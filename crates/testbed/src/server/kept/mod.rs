//! Servers that `cargo lab up` keeps running, those that linger after their last use, and the
//! record of them.
//!
//! The record lies in `.lab/servers/<id>.json`. It may be deleted at any time and may be
//! stale: it is believed only when the server at its URL answers and is the process that the
//! record names.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Account, Address, Linger, Recipe, Room, program};
use crate::process::{running, signal};

mod record;

pub use record::Record;
use record::{folder, lock, lock_file, log, now, path, read, remove, room, write};

/// How long a server may take to end by itself before it is killed.
const FAREWELL: Duration = Duration::from_secs(10);

/// Waits for the owner's word before it becomes the server, and keeps its process number.
/// The owner records that number first, so a server that runs is always on record: an owner
/// interrupted before that leaves nothing behind.
const START: &str = r#"trap "" HUP; read -r go && exec "$@" </dev/null"#;

/// How long a server lingers after its last use; `TESTBED_LINGER` is another number of seconds.
pub const LINGER: Duration = Duration::from_secs(300);

/// How a server is told that it lingers, and for how many seconds. Its room then goes with it,
/// as nobody will be there to remove it.
const ENDS_AFTER: &str = "TESTBED_ENDS_AFTER";

/// Why a server cannot be kept or let go. Each message names what to do next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program is not on this machine.
    #[error("{name} is not on this machine\nnext: {next}")]
    NotInstalled {
        /// What was wanted.
        name: &'static str,
        /// The order that installs it.
        next: String,
    },
    /// It may not run as who we are, nor as anybody else.
    #[error("{0}\nnext: as another user than root, cargo lab up")]
    NoAccount(String),
    /// One is up already, elsewhere than was asked for.
    #[error("it is up already, at {place}\nnext: {next}")]
    Elsewhere {
        /// Where.
        place: String,
        /// The order that ends it.
        next: String,
    },
    /// Somebody else listens there.
    #[error("port {port} is in use{by}\nnext: stop that, or {up} --port {free}")]
    InUse {
        /// The order that was given.
        up: String,
        /// The port that was asked for.
        port: u16,
        /// Who listens, where that can be told: " by redis-server (process 7)".
        by: String,
        /// A port that is free.
        free: u16,
    },
    /// No port near the well-known one is free.
    #[error("no port from {port} on is free\nnext: {up} --port <a free one>")]
    NoPort {
        /// The order that was given.
        up: String,
        /// The first port that was tried.
        port: u16,
    },
    /// It was started and did not become ready.
    #[error("{program} did not become ready\n{log}\nnext: {next}")]
    NotReady {
        /// What was started.
        program: String,
        /// The last lines of its log.
        log: String,
        /// The order that shows more.
        next: String,
    },
    /// The process on record lives, and does not say that it is the server.
    #[error(
        "process {pid}, on record at {place}, does not answer\n\
         next: if `ps {pid}` shows the server, run kill -9 {pid}, then cargo lab down"
    )]
    Silent {
        /// The process.
        pid: u32,
        /// Where it should listen.
        place: String,
    },
    /// `.lab` cannot be written, or a program not be started.
    #[error("cannot keep a server in {}: {cause}\nnext: make that folder writable", folder.display())]
    Folder {
        /// Where records lie.
        folder: PathBuf,
        /// What the system said. In the message, which ends with what to do, and for that
        /// reason no `source` for others to append.
        cause: io::Error,
    },
}

impl From<io::Error> for Error {
    fn from(cause: io::Error) -> Self {
        Self::Folder { folder: folder(), cause }
    }
}

/// A server that is up.
#[derive(Debug, Clone)]
pub struct Kept {
    /// What is on record.
    pub record: Record,
    /// What it says that it is: "Redis 7.0.15".
    pub version: String,
    /// Whether it was up before.
    pub already: bool,
    /// The well-known port and who has it, where another had to be taken.
    pub evaded: Option<String>,
}

/// The server on record, if it answers. The record of a dead one is removed, unless somebody
/// is about to replace it.
pub fn alive(recipe: &Recipe) -> Option<Kept> {
    let found = answering(recipe);
    if found.is_none() && path(recipe).exists() {
        let lock = lock_file().ok()?;
        lock.try_lock().ok()?;
        clear(recipe);
    }
    found
}

fn answering(recipe: &Recipe) -> Option<Kept> {
    let record = read(recipe)?;
    let greeting = (recipe.greet)(&record.url).ok()?;
    greeting.pid.is_none_or(|pid| pid == record.pid).then_some(Kept {
        record,
        version: greeting.version,
        already: true,
        evaded: None,
    })
}

/// Removes the record of a server that is dead, and one that cannot be read. Only under the
/// lock: another might be written meanwhile.
fn clear(recipe: &Recipe) {
    if read(recipe).is_none_or(|record| !running(record.pid)) {
        let _ = remove(recipe);
    }
}

/// The server on record, under the lock; what is on record of a dead one is removed.
fn alive_or_cleared(recipe: &Recipe) -> Option<Kept> {
    let found = answering(recipe);
    if found.is_none() {
        clear(recipe);
    }
    found
}

/// Keeps a server running on a loopback port: on `port`, else on the well-known one, else on
/// the next free one. If it is up already, that is fine. Blocks until clients are welcome.
///
/// # Errors
/// [`Error`]; nothing is left running.
pub fn up(recipe: &Recipe, port: Option<u16>) -> Result<Kept, Error> {
    let _lock = lock()?;
    if let Some(mut kept) = alive_or_cleared(recipe) {
        let password = kept.record.password.as_deref();
        let wanted = port.map(|port| (recipe.url)(&loopback(port), password));
        if wanted.is_some_and(|wanted| wanted != kept.record.url) {
            let place = kept.record.place().to_owned();
            return Err(Error::Elsewhere { place, next: recipe.order("down") });
        }
        if let Some(Linger { keep, .. }) = recipe.linger.filter(|_| kept.record.lingers) {
            keep(&kept.record.url).map_err(|_| silent(&kept.record))?;
            kept.record.lingers = false;
            write(recipe, &kept.record)?;
        }
        return Ok(kept);
    }
    if let Some(record) = read(recipe) {
        return Err(silent(&record));
    }
    let (port, evaded) = choose(recipe, port)?;
    let kept = launch(recipe, &loopback(port), None)?;
    Ok(Kept { evaded, ..kept })
}

/// The server that all programs of this clone share, started by the first that comes. It ends
/// by itself some minutes after the last has left, however that was: its users are connected to
/// it, and it counts them. Blocks until clients are welcome.
///
/// # Errors
/// [`Error`]; nothing is left running.
pub fn linger(recipe: &Recipe) -> Result<Kept, Error> {
    // Held while the first one starts it, so that the others find it.
    let _lock = lock()?;
    let deadline = Instant::now() + recipe.patience;
    loop {
        if let Some(kept) = alive_or_cleared(recipe) {
            return Ok(kept);
        }
        match read(recipe) {
            None => break,
            // Whoever started it was killed meanwhile; it goes on.
            Some(_) if Instant::now() < deadline => sleep(Duration::from_millis(50)),
            Some(record) => return Err(silent(&record)),
        }
    }
    if let Some(Linger { notice, .. }) = recipe.linger {
        super::tell(notice);
    }
    let chosen = std::env::var("TESTBED_LINGER").ok().and_then(|seconds| seconds.parse().ok());
    let time = chosen.map_or(LINGER, Duration::from_secs);
    launch(recipe, &(recipe.private)(), Some(time))
}

/// Starts a server that outlives us: for good, or until it has not been used for a time.
fn launch(recipe: &Recipe, address: &Address, linger: Option<Duration>) -> Result<Kept, Error> {
    let program = program::of(recipe)
        .ok_or_else(|| Error::NotInstalled { name: recipe.name, next: recipe.order("setup") })?;
    let account = Account::of(recipe).map_err(Error::NoAccount)?;
    let password = recipe.password.then(super::secret);
    let url = (recipe.url)(address, password.as_deref());
    let room = room(recipe, account.as_ref(), linger.is_some())?;
    let output = File::create(log(recipe))?;
    let mut server = Command::new("sh");
    server
        .args(["-c", START, "testbed-keeper"])
        .args(recipe.prelude.map(|prelude| ["sh", "-c", prelude, "sh"]).into_iter().flatten())
        .arg(&program)
        .args((recipe.arguments)(address))
        .current_dir(&room)
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0);
    if let Some(account) = &account {
        server.uid(account.uid).gid(account.gid);
    }
    if let Some(time) = linger {
        server.env(ENDS_AFTER, time.as_secs().max(1).to_string());
    }
    let mut server = server.spawn()?;
    let (room, lingers) = (Some(room), linger.is_some());
    let record = Record { url, pid: server.id(), started: now(), password, room, lingers };
    write(recipe, &record)?;
    let started = furnish(recipe, &program, account.as_ref(), &record)
        .and_then(|()| start(recipe, &record, &mut server));
    match started {
        Ok(version) => {
            // Buries it, should it end while we live.
            std::thread::spawn(move || server.wait());
            Ok(Kept { record, version, already: false, evaded: None })
        }
        Err(said) => {
            signal(record.pid, recipe.farewell);
            let _ = server.kill();
            let _ = server.wait();
            remove(recipe)?;
            let program = program.display().to_string();
            Err(Error::NotReady { program, log: said, next: recipe.order("doctor") })
        }
    }
}

/// A free port, and who has the one that would have been taken.
fn choose(recipe: &Recipe, port: Option<u16>) -> Result<(u16, Option<String>), Error> {
    let up = || recipe.order("up");
    let free = |port: u16| {
        let second = recipe.second_port.map(|above| port.checked_add(above));
        free(port) && second.is_none_or(|second| second.is_some_and(free))
    };
    let next = |from: u16| {
        let found = (from..from.saturating_add(100)).find(|port| free(*port));
        found.ok_or_else(|| Error::NoPort { up: up(), port: from })
    };
    match port {
        Some(port) if free(port) => Ok((port, None)),
        Some(port) => Err(Error::InUse { up: up(), port, by: listener(port), free: next(port)? }),
        None if free(recipe.port) => Ok((recipe.port, None)),
        None => {
            let evaded = format!("port {} is in use{}", recipe.port, listener(recipe.port));
            Ok((next(recipe.port)?, Some(evaded)))
        }
    }
}

fn furnish(
    recipe: &Recipe,
    program: &Path,
    account: Option<&Account>,
    record: &Record,
) -> Result<(), String> {
    let password = record.password.as_deref();
    let path = record.room.as_deref().ok_or("there is no room")?;
    (recipe.furnish)(&Room { path, program, account, password })
}

/// Gives the word and waits for the answer; the error is the server's last words.
fn start(recipe: &Recipe, record: &Record, server: &mut Child) -> Result<String, String> {
    let go = server.stdin.take().map(|mut word| word.write_all(b"go\n"));
    let ready = go.and_then(|_| ready(recipe, record, server));
    ready.ok_or_else(|| {
        let said = fs::read_to_string(log(recipe)).unwrap_or_default();
        let last: Vec<&str> = said.lines().rev().take(5).collect();
        last.into_iter().rev().collect::<Vec<_>>().join("\n")
    })
}

/// Ends the server that is kept and removes its record; gives what was on record, or `None`
/// when nothing was up, which is fine.
///
/// # Errors
/// [`Error::Silent`], [`Error::Folder`].
pub fn down(recipe: &Recipe) -> Result<Option<Record>, Error> {
    let _lock = lock()?;
    let Some(Kept { record, .. }) = alive_or_cleared(recipe) else {
        return match read(recipe) {
            Some(record) => Err(silent(&record)),
            None => Ok(None),
        };
    };
    // Nothing of it is kept, so nothing is to be saved.
    signal(record.pid, recipe.farewell);
    let deadline = Instant::now() + FAREWELL;
    while running(record.pid) {
        if Instant::now() > deadline {
            signal(record.pid, Signal::KILL);
        }
        sleep(Duration::from_millis(10));
    }
    remove(recipe)?;
    Ok(Some(record))
}

fn ready(recipe: &Recipe, record: &Record, server: &mut Child) -> Option<String> {
    let deadline = Instant::now() + recipe.patience;
    while Instant::now() < deadline && matches!(server.try_wait(), Ok(None)) {
        match (recipe.greet)(&record.url) {
            Ok(greeting) if greeting.pid.is_none_or(|pid| pid == record.pid) => {
                return Some(greeting.version);
            }
            _ => sleep(Duration::from_millis(5)),
        }
    }
    None
}

fn loopback(port: u16) -> Address {
    Address::Tcp(Ipv4Addr::LOCALHOST.to_string(), port)
}

/// Whether a server could listen there: on all interfaces, as somebody's Redis on 0.0.0.0
/// would not hinder a bind to the loopback alone everywhere.
pub(crate) fn free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
        && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Who listens on a port, as lsof tells, which macOS has and many a Linux.
fn listener(port: u16) -> String {
    let asked = Command::new("lsof")
        .args(["-nP", &format!("-iTCP:{port}"), "-sTCP:LISTEN", "-Fpc"])
        .stderr(Stdio::null())
        .output();
    let said = asked.map(|asked| String::from_utf8_lossy(&asked.stdout).into_owned());
    let said = said.unwrap_or_default();
    let field = |mark: char| said.lines().find_map(|line| line.strip_prefix(mark));
    match (field('c'), field('p')) {
        (Some(command), Some(pid)) => format!(" by {command} (process {pid})"),
        _ => String::new(),
    }
}

fn silent(record: &Record) -> Error {
    Error::Silent { pid: record.pid, place: record.place().into() }
}
