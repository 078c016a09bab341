//! The data directory of a server of ours: a cluster, as PostgreSQL says.
//!
//! Making one with initdb takes half a second, copying one a tenth of that. So the first
//! server of a version leaves a copy in `.lab/servers`, from which all later ones begin.
//!
//! The copy is never half there for anybody: it is built beside its place and renamed. It may
//! be short, though, after the machine lost its power, as nothing waits for the disk here; so
//! it knows its size, and one that has another is thrown away. Where `.lab` cannot be written,
//! each server makes its own.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::server::supervised::{Launch, Supervised};
use crate::server::{Account, Room, state};

/// The data directory's name in a room.
pub(super) const DATA: &str = "data";

/// The file beside it in a copy, which holds the size of the copy.
const SIZE: &str = "size";

/// What all copies' names begin with.
const PREFIX: &str = "postgres-";

/// How long initdb may take. It takes half a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How initdb is told to make it. The locale is the same on every machine, so that the same
/// words are sorted in the same order everywhere.
const OPTIONS: &str = "--username=postgres --encoding=UTF8 --locale=C --no-sync --wal-segsize=1";

/// Of a private server: who can open the socket is decided by the room, which only its account
/// can enter.
const TRUSTING: &str = "--auth=trust";

/// Of a server with a password.
const WARY: &str = "--auth=scram-sha-256 --pwfile=";

/// Puts a data directory into a room.
pub(super) fn furnish(room: &Room<'_>) -> Result<(), String> {
    let data = room.path.join(DATA);
    // All copies are of one that wants no password.
    if room.password.is_none() && from_copy(room, &data).is_ok() {
        return Ok(());
    }
    let _ = fs::remove_dir_all(&data);
    let made = initdb(room)?;
    let done = copy(&made.room().join(DATA), &data, room.account);
    done.map(drop).map_err(|error| format!("cannot make {}: {error}", data.display()))
}

fn from_copy(room: &Room<'_>, data: &Path) -> io::Result<()> {
    let place = place(room.program)?;
    fs::create_dir_all(folder())?;
    let lock = File::create(folder().join("postgres.lock"))?;
    // Shared by all who read the copy; whoever replaces it waits for them.
    lock.lock_shared()?;
    if take(&place, room, data).is_ok() {
        return Ok(());
    }
    lock.unlock()?;
    lock.lock()?;
    // Another may have been first.
    take(&place, room, data).or_else(|_| {
        make(room, &place)?;
        take(&place, room, data)
    })
}

/// Where the copy of this version lies. A clone may be seen from two systems at once, from a
/// container and its host, which read each other's data as little as each other's programs.
fn place(program: &Path) -> io::Result<PathBuf> {
    let said = Command::new(program).arg("--version").output()?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    // postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
    let version = said.split_whitespace().nth(2).ok_or_else(|| io::Error::other("no version"))?;
    let system = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    Ok(folder().join(format!("{PREFIX}{version}-{system}")))
}

fn folder() -> PathBuf {
    state().join("servers")
}

/// Takes the copy, if it has the size that it says.
fn take(place: &Path, room: &Room<'_>, data: &Path) -> io::Result<()> {
    let size: u64 = fs::read_to_string(place.join(SIZE))?.parse().map_err(io::Error::other)?;
    if data.exists() {
        fs::remove_dir_all(data)?;
    }
    match copy(&place.join(DATA), data, room.account)? {
        taken if taken == size => Ok(()),
        _ => Err(io::Error::other("the copy is short")),
    }
}

/// Makes the copy, under the lock. Those of other versions, and what a killed maker left
/// behind, go: they would stay for ever.
fn make(room: &Room<'_>, place: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder())?.flatten() {
        let copy = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if copy && entry.path().is_dir() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    let made = initdb(room).map_err(io::Error::other)?;
    let fresh = folder().join(format!("{PREFIX}new"));
    fs::create_dir(&fresh)?;
    let size = copy(&made.room().join(DATA), &fresh.join(DATA), None)?;
    fs::write(fresh.join(SIZE), size.to_string())?;
    fs::rename(fresh, place)
}

/// A room with a fresh data directory, which goes when the answer is dropped. initdb is
/// supervised as a server is, so it does not outlive us either.
fn initdb(room: &Room<'_>) -> Result<Supervised, String> {
    // On Debian the programs are in a folder of the version's own, with links elsewhere.
    let program = fs::canonicalize(room.program).unwrap_or_else(|_| room.program.to_owned());
    let program = program.with_file_name("initdb");
    let secret = room.password.map(|password| secret(room, password)).transpose();
    let secret = secret.map_err(|error| format!("cannot write a password: {error}"))?;
    let auth = match &secret {
        Some(file) => format!("{WARY}{}", file.display()),
        None => TRUSTING.into(),
    };
    let words = OPTIONS.split_whitespace().chain(auth.split(' '));
    let arguments: Vec<String> =
        ["--pgdata", DATA].into_iter().chain(words).map(String::from).collect();
    let made = Supervised::start(&Launch {
        account: room.account,
        many_files: true,
        // It removes what it has made.
        farewell: Signal::TERM,
        patience: PATIENCE,
        ..Launch::plain(&program, &arguments, None)
    });
    if let Some(file) = secret {
        let _ = fs::remove_file(file);
    }
    made.map_err(|trouble| trouble.to_string())
}

/// A file that tells initdb the password. Its command line is there for everybody to read.
fn secret(room: &Room<'_>, password: &str) -> io::Result<PathBuf> {
    let path = room.path.join("password");
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
    writeln!(file, "{password}")?;
    give(&path, room.account)?;
    Ok(path)
}

/// Copies a folder and gives the number of bytes in its files. By ourselves and not by `cp`,
/// which would go on for a moment after our death, in a room that is being removed.
fn copy(from: &Path, to: &Path, owner: Option<&Account>) -> io::Result<u64> {
    fs::DirBuilder::new().mode(0o700).create(to)?;
    // Before there is anything in it: from a folder of root's, the supervisor, which is the
    // owner and not root, could remove nothing if we died now.
    give(to, owner)?;
    let mut size = 0;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            size += copy(&from, &to, owner)?;
        } else {
            size += fs::copy(&from, &to)?;
            give(&to, owner)?;
        }
    }
    Ok(size)
}

fn give(path: &Path, owner: Option<&Account>) -> io::Result<()> {
    owner.map_or(Ok(()), |owner| chown(path, Some(owner.uid), Some(owner.gid)))
}
