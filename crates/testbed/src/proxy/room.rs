//! The folder in which a proxy's socket lies.
//!
//! It goes with the proxy. But a process that is killed, or ended by Ctrl-C, drops nothing, so the
//! first proxy of a process takes away what the dead have left. Alive is whoever holds the lock on
//! a file in the folder: the kernel opens it however a process ends, and a number that another
//! process got afterwards deceives nobody.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use tempfile::TempDir;

const PREFIX: &str = "testbed-proxy-";

/// Locked for as long as the folder is in use.
const HELD: &str = "held";

/// The owner of a younger folder may be about to lock it.
const YOUNG: Duration = Duration::from_secs(60);

/// A private folder. It is removed when this is dropped.
pub(super) struct Room {
    folder: TempDir,
    _held: File,
}

impl Room {
    /// A new one, in the temporary folder.
    pub(super) fn new() -> io::Result<Room> {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(|| sweep(&std::env::temp_dir()));
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        let held = File::create(folder.path().join(HELD))?;
        held.lock()?;
        Ok(Room { folder, _held: held })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Whatever cannot be read or removed stays: it belongs to somebody else.
fn sweep(all: &Path) {
    let rooms = fs::read_dir(all).into_iter().flatten().flatten();
    let ours = rooms.filter(|room| room.file_name().to_string_lossy().starts_with(PREFIX));
    for room in ours.map(|room| room.path()).filter(is_left) {
        let _ = fs::remove_dir_all(room);
    }
}

fn is_left(room: &PathBuf) -> bool {
    let made = fs::metadata(room).and_then(|room| room.modified()).ok();
    let old = made.and_then(|made| made.elapsed().ok()).is_some_and(|age| age > YOUNG);
    old && match File::open(room.join(HELD)) {
        Ok(held) => held.try_lock().is_ok(),
        Err(why) => why.kind() == io::ErrorKind::NotFound,
    }
}
