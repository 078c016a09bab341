//! What is on record of the servers that are kept, and the folders in which they work.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::server::supervised::memory;
use crate::server::{Account, Recipe, account, state};

/// What the names of rooms begin with.
const ROOM: &str = "testbed-kept.";

/// What `.lab/servers/<id>.json` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Where clients connect to.
    pub url: String,
    /// The server's process.
    pub pid: u32,
    /// When it was started: RFC 3339, UTC.
    pub started: String,
    /// What it wants to hear from those who come, where it wants anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The folder in which it works, and which goes when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<PathBuf>,
    /// Whether it ends by itself, some time after its last use.
    #[serde(default)]
    pub lingers: bool,
}

impl Record {
    /// Where the server listens, without what only its clients need to know.
    pub fn place(&self) -> &str {
        let place = self.url.split_once("://").map_or(self.url.as_str(), |(_, place)| place);
        place.rsplit_once('@').map_or(place, |(_, place)| place)
    }
}

pub(super) fn now() -> String {
    let date = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output();
    date.map(|date| String::from_utf8_lossy(&date.stdout).trim().to_owned()).unwrap_or_default()
}

/// Where records, logs and data of kept servers lie.
pub(super) fn folder() -> PathBuf {
    state().join("servers")
}

pub(super) fn log(recipe: &Recipe) -> PathBuf {
    folder().join(format!("{}.log", recipe.id))
}

pub(super) fn path(recipe: &Recipe) -> PathBuf {
    folder().join(format!("{}.json", recipe.id))
}

/// One at a time: two `up` at once must not start two.
pub(super) fn lock() -> io::Result<File> {
    let file = lock_file()?;
    file.lock()?;
    Ok(file)
}

pub(super) fn lock_file() -> io::Result<File> {
    fs::create_dir_all(folder())?;
    File::create(folder().join("lock"))
}

pub(super) fn read(recipe: &Recipe) -> Option<Record> {
    serde_json::from_str(&fs::read_to_string(path(recipe)).ok()?).ok()
}

/// Renamed into place, so that nobody ever reads half a record, and nobody else a whole one.
pub(super) fn write(recipe: &Recipe, record: &Record) -> io::Result<()> {
    let fresh = path(recipe).with_extension("new");
    let _ = fs::remove_file(&fresh);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(serde_json::to_string_pretty(record)?.as_bytes())?;
    fs::rename(fresh, path(recipe))
}

/// Removes the record, and the room of the server, which is dead.
pub(super) fn remove(recipe: &Recipe) -> io::Result<()> {
    let room = read(recipe).and_then(|record| record.room);
    // A record that was tampered with must not cost anybody a folder.
    let ours = |room: &PathBuf| {
        room.file_name().is_some_and(|name| name.to_string_lossy().starts_with(ROOM))
    };
    if let Some(room) = room.filter(ours) {
        let _ = fs::remove_dir_all(room);
    }
    match fs::remove_file(path(recipe)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A fresh folder in which the server works: beside the records, or where temporary files
/// are, for an account that cannot come there; in memory, if one of many files lingers. Call it
/// where no server is on record.
pub(super) fn room(
    recipe: &Recipe,
    account: Option<&Account>,
    lingers: bool,
) -> io::Result<PathBuf> {
    let name = format!("{ROOM}{}.", recipe.id);
    // Left behind by one that was killed before its room was on record.
    for entry in fs::read_dir(folder())?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&name) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    let fast = (lingers && recipe.many_files).then(memory).flatten();
    let usual = [folder(), std::env::temp_dir(), "/tmp".into()];
    let mut places = fast.into_iter().chain(usual);
    let base = places.find(|place| account.is_none() || account::open_to_all(place));
    let base = base.unwrap_or_else(|| "/tmp".into());
    let room = tempfile::Builder::new().prefix(&name).tempdir_in(base)?;
    if let Some(account) = account {
        chown(room.path(), Some(account.uid), Some(account.gid))?;
    }
    Ok(room.keep())
}
