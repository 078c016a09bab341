//! Who holds messages, and whether they live.
//!
//! A holder has a file, and a lock on it as long as it lives. The lock is the operating system's:
//! it is gone when the process is, and only then. See `flock(2)`; it belongs to the open file and
//! not to the process, so that two holders in one process exclude each other as well.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use uuid::Uuid;

/// Alive until it is dropped, or its process ends.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) id: String,
    path: PathBuf,
    _lock: File,
}

impl Holder {
    /// A new one, that nobody else can be.
    pub(super) fn new(folder: &Path) -> io::Result<Holder> {
        let id = Uuid::now_v7().to_string();
        let path = folder.join(&id);
        let file = File::create_new(&path)?;
        // Nobody else knows the id before this holder takes its first message.
        file.lock()?;
        Ok(Holder { id, path, _lock: file })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // A file that stays is swept away later.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether the holder of this id is no more.
pub(super) fn is_gone(folder: &Path, id: &str) -> io::Result<bool> {
    let path = folder.join(id);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Removes the files of holders that are no more, and makes the folder if there is none.
pub(super) fn sweep(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(id) = name.to_str() else { continue };
        // A file that was only just made may not be locked yet.
        if is_old(&entry) && is_gone(folder, id).unwrap_or(false) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

fn is_old(entry: &fs::DirEntry) -> bool {
    let made = entry.metadata().and_then(|metadata| metadata.modified());
    let age = made.ok().and_then(|made| SystemTime::now().duration_since(made).ok());
    age.is_some_and(|age| age > Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_lives_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (Holder::new(folder.path()).unwrap(), Holder::new(folder.path()).unwrap());
        let gone = |id: &str| is_gone(folder.path(), id).unwrap();
        assert_eq!((gone(&one.id), gone(&two.id)), (false, false));
        let id = one.id.clone();
        drop(one);
        assert_eq!((gone(&id), gone(&two.id)), (true, false));
    }

    #[test]
    fn a_file_without_a_lock_is_nobody() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("killed"), "").unwrap();
        assert!(is_gone(folder.path(), "killed").unwrap());
    }

    #[test]
    fn a_sweep_removes_what_is_old_and_dead_alone() {
        let folder = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - Duration::from_secs(3600);
        let alive = Holder::new(folder.path()).unwrap();
        File::open(&alive.path).unwrap().set_modified(old).unwrap();
        let dead = File::create(folder.path().join("dead")).unwrap();
        dead.set_modified(old).unwrap();
        drop(dead);
        fs::write(folder.path().join("new"), "").unwrap();
        sweep(folder.path()).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [alive.id.clone(), "new".to_owned()]);
    }
}
