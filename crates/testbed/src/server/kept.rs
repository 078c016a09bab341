//! Servers that `cargo lab up` keeps running, and the record of them.
//!
//! The record lies in `.lab/servers/<id>.json`. It may be deleted at any time and may be
//! stale: it is believed only when the server at its URL answers and is the process that the
//! record names.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::process::{running, signal};
use super::{Address, Recipe, program};

/// How long a server may take to end by itself before it is killed.
const FAREWELL: Duration = Duration::from_secs(5);

/// Waits for the owner's word before it becomes the server, and keeps its process number.
/// The owner records that number first, so a server that runs is always on record: an owner
/// interrupted before that leaves nothing behind.
const START: &str = r#"trap "" HUP; read -r go && exec "$@" </dev/null"#;

/// What `.lab/servers/<id>.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Where clients connect to.
    pub url: String,
    /// The server's process.
    pub pid: u32,
    /// When it was started: RFC 3339, UTC.
    pub started: String,
}

/// Why a server cannot be kept or let go. Each message names what to do next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program is not on this machine.
    #[error("{0} is not on this machine\nnext: cargo lab setup")]
    NotInstalled(&'static str),
    /// One is up already, elsewhere than was asked for.
    #[error("it is up already, at {0}\nnext: cargo lab down")]
    Elsewhere(String),
    /// Somebody else listens there.
    #[error("port {port} is in use{by}\nnext: stop that, or cargo lab up --port {free}")]
    InUse {
        /// The port that was asked for.
        port: u16,
        /// Who listens, where that can be told: " by redis-server (process 7)".
        by: String,
        /// A port that is free.
        free: u16,
    },
    /// No port near the well-known one is free.
    #[error("no port from {0} on is free\nnext: cargo lab up --port <a free one>")]
    NoPort(u16),
    /// It was started and did not become ready.
    #[error("{program} did not become ready\n{log}\nnext: cargo lab doctor")]
    NotReady {
        /// What was started.
        program: String,
        /// The last lines of its log.
        log: String,
    },
    /// The process on record lives, and does not say that it is the server.
    #[error(
        "process {pid}, on record at {url}, does not answer\n\
         next: if `ps {pid}` shows the server, run kill -9 {pid}, then cargo lab down"
    )]
    Silent {
        /// The process.
        pid: u32,
        /// Where it should listen.
        url: String,
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

/// The server on record, if it answers. The record of a dead one is removed.
pub fn alive(recipe: &Recipe) -> Option<Kept> {
    let record = read(recipe)?;
    match (recipe.greet)(&record.url) {
        Ok(greeting) if greeting.pid.is_none_or(|pid| pid == record.pid) => {
            Some(Kept { record, version: greeting.version, already: true, evaded: None })
        }
        _ => {
            if !running(record.pid) {
                let _ = remove(recipe);
            }
            None
        }
    }
}

/// Keeps a server running on a loopback port: on `port`, else on the well-known one, else on
/// the next free one. If it is up already, that is fine. Blocks until clients are welcome.
///
/// # Errors
/// [`Error`]; nothing is left running.
pub fn up(recipe: &Recipe, port: Option<u16>) -> Result<Kept, Error> {
    let _lock = lock()?;
    if let Some(kept) = alive(recipe) {
        let wanted = port.map(|port| (recipe.url)(&loopback(port)));
        return match wanted {
            Some(wanted) if wanted != kept.record.url => Err(Error::Elsewhere(kept.record.url)),
            _ => Ok(kept),
        };
    }
    if let Some(Record { pid, url, .. }) = read(recipe) {
        return Err(Error::Silent { pid, url });
    }
    let program = program::of(recipe).ok_or(Error::NotInstalled(recipe.name))?;
    let next = |from: u16| (from..from.saturating_add(100)).find(|port| free(*port));
    let (port, evaded) = match port {
        Some(port) if free(port) => (port, None),
        Some(port) => {
            let free = next(port).ok_or(Error::NoPort(port))?;
            return Err(Error::InUse { port, by: listener(port), free });
        }
        None if free(recipe.port) => (recipe.port, None),
        None => {
            let evaded = format!("port {} is in use{}", recipe.port, listener(recipe.port));
            (next(recipe.port).ok_or(Error::NoPort(recipe.port))?, Some(evaded))
        }
    };

    let address = loopback(port);
    let url = (recipe.url)(&address);
    let log = folder().join(format!("{}.log", recipe.id));
    let output = File::create(&log)?;
    let mut server = Command::new("sh")
        .args(["-c", START, "testbed-keeper"])
        .arg(&program)
        .args((recipe.arguments)(&address))
        .current_dir(folder())
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn()?;
    let record = Record { url, pid: server.id(), started: now() };
    write(recipe, &record)?;
    if let Some(mut word) = server.stdin.take() {
        word.write_all(b"go\n")?;
    }
    match ready(recipe, &record, &mut server) {
        Some(version) => Ok(Kept { record, version, already: false, evaded }),
        None => {
            let _ = server.kill();
            let _ = server.wait();
            remove(recipe)?;
            let said = fs::read_to_string(&log).unwrap_or_default();
            let last: Vec<&str> = said.lines().rev().take(5).collect();
            let log = last.into_iter().rev().collect::<Vec<_>>().join("\n");
            Err(Error::NotReady { program: program.display().to_string(), log })
        }
    }
}

/// Ends the server that is kept and removes its record; gives what was on record, or `None`
/// when nothing was up, which is fine.
///
/// # Errors
/// [`Error::Silent`], [`Error::Folder`].
pub fn down(recipe: &Recipe) -> Result<Option<Record>, Error> {
    let _lock = lock()?;
    let Some(Kept { record, .. }) = alive(recipe) else {
        return match read(recipe) {
            Some(Record { pid, url, .. }) => Err(Error::Silent { pid, url }),
            None => Ok(None),
        };
    };
    signal(record.pid, Signal::TERM);
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
fn free(port: u16) -> bool {
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

fn now() -> String {
    let date = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output();
    date.map(|date| String::from_utf8_lossy(&date.stdout).trim().to_owned()).unwrap_or_default()
}

/// Where records, logs and data of kept servers lie.
fn folder() -> PathBuf {
    super::state().join("servers")
}

fn path(recipe: &Recipe) -> PathBuf {
    folder().join(format!("{}.json", recipe.id))
}

/// One at a time: two `up` at once must not start two.
fn lock() -> io::Result<File> {
    fs::create_dir_all(folder())?;
    let file = File::create(folder().join("lock"))?;
    file.lock()?;
    Ok(file)
}

fn read(recipe: &Recipe) -> Option<Record> {
    serde_json::from_str(&fs::read_to_string(path(recipe)).ok()?).ok()
}

/// Renamed into place, so that nobody ever reads half a record.
fn write(recipe: &Recipe, record: &Record) -> io::Result<()> {
    let fresh = path(recipe).with_extension("new");
    fs::write(&fresh, serde_json::to_string_pretty(record)?)?;
    fs::rename(fresh, path(recipe))
}

fn remove(recipe: &Recipe) -> io::Result<()> {
    match fs::remove_file(path(recipe)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
