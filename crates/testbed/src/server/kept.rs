//! Servers that `cargo lab up` keeps running, and the record of them.
//!
//! The record may be deleted at any time and may be stale: it is believed only when the
//! server answers.

use std::path::PathBuf;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::Recipe;

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

impl Record {
    /// The record of a server that answers, and what it says that it is. A stale or broken
    /// record is removed.
    pub fn alive(recipe: &Recipe) -> Option<(Self, String)> {
        let text = fs::read_to_string(Self::path(recipe)).ok()?;
        let alive = serde_json::from_str::<Self>(&text)
            .ok()
            .and_then(|record| (recipe.greet)(&record.url).ok().map(|version| (record, version)));
        if alive.is_none() {
            let _ = Self::remove(recipe);
        }
        alive
    }

    /// Writes the record for others to find.
    ///
    /// # Errors
    /// Where `.lab` cannot be written.
    pub fn write(&self, recipe: &Recipe) -> io::Result<()> {
        let path = Self::path(recipe);
        // Renamed into place, so that nobody ever reads half a record.
        let fresh = path.with_extension("new");
        fs::create_dir_all(Self::directory())?;
        fs::write(&fresh, serde_json::to_string_pretty(self)?)?;
        fs::rename(fresh, path)
    }

    /// Removes the record; it is fine where there is none.
    ///
    /// # Errors
    /// Where `.lab` cannot be written.
    pub fn remove(recipe: &Recipe) -> io::Result<()> {
        match fs::remove_file(Self::path(recipe)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Where records, logs and data of kept servers lie.
    pub fn directory() -> PathBuf {
        super::workspace().join(".lab/servers")
    }

    fn path(recipe: &Recipe) -> PathBuf {
        Self::directory().join(format!("{}.json", recipe.id))
    }
}
