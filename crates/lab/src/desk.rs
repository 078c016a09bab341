//! The learner's files. Nothing here ever overwrites one without keeping a copy.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    fingerprint,
    progress::{Progress, Status},
    store,
    workspace::{Located, Workspace},
};

/// Makes the learner's file from the starter where there is none, or where it is empty: a disk that
/// ran full leaves such files behind. Says whether it did.
pub(crate) fn ensure(workspace: &Workspace, found: Located<'_>) -> Result<bool> {
    let starter = found.starter(workspace);
    let text = fs::read(&starter).with_context(|| {
        format!("cannot read the starter {}\nNext: git status", starter.display())
    })?;
    let file = found.desk_file(workspace);
    if let Some(folder) = file.parent() {
        store::make_folder(folder)?;
    }
    // `create_new` decides and makes in one step: a file that is there is never touched.
    match File::create_new(&file) {
        Ok(mut made) => {
            made.write_all(&text).and_then(|()| made.sync_all()).or_else(|error| {
                // Half a starter would be taken for the learner's own.
                let _ = fs::remove_file(&file);
                let way_out = store::way_out(&error);
                Err(error).with_context(|| format!("cannot write {}\n{way_out}", file.display()))
            })?;
            Ok(true)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let empty = is_empty(&file);
            if empty {
                store::write(&file, &text)?;
            }
            Ok(empty)
        }
        Err(error) => {
            let way_out = store::way_out(&error);
            Err(error).with_context(|| format!("cannot make {}\n{way_out}", file.display()))
        }
    }
}

/// Whether there is a file and nothing is in it.
fn is_empty(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|data| data.is_file() && data.len() == 0)
}

/// Takes up a lesson: it becomes the current one, and in progress if it was new.
pub(crate) fn take_up(
    workspace: &Workspace,
    found: Located<'_>,
    progress: &mut Progress,
    day: &str,
) {
    progress.current = Some(crate::progress::Id(found.lesson.id.clone()));
    let starter = fingerprint::of_file(&found.starter(workspace)).unwrap_or_default();
    let record = progress.record_mut(found);
    if record.status == Status::Pending {
        record.status = Status::InProgress;
    }
    if record.date.is_empty() {
        day.clone_into(&mut record.date);
    }
    if record.starter.is_empty() {
        record.starter = starter;
    }
}

/// Puts the starter in place of the learner's file, which is kept. Returns the copy.
pub(crate) fn reset(workspace: &Workspace, found: Located<'_>) -> Result<Option<PathBuf>> {
    let starter = found.starter(workspace);
    let fresh = fs::read(&starter).with_context(|| {
        format!("cannot read the starter {}\nNext: git status", starter.display())
    })?;
    let file = found.desk_file(workspace);
    let copy = match fs::read(&file) {
        Ok(old) => {
            let folder = workspace.backups().join(&found.topic.folder);
            Some(store::back_up(&folder, &found.lesson.name, "rs", &old)?)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            return Err(error).with_context(|| {
                format!("cannot read {}\nNext: cargo lab doctor", file.display())
            });
        }
    };
    store::write(&file, &fresh)?;
    Ok(copy)
}
