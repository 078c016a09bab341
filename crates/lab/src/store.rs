//! Files that are written whole or not at all, and copies that are never overwritten.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::clock;

/// Replaces a file in one step: a reader, a crash or Ctrl-C sees the old text or the new one.
/// On an error (a full disk, no permission) the old file is untouched.
pub(crate) fn write(path: &Path, contents: &[u8]) -> Result<()> {
    // A learner may keep the file elsewhere and link to it: replace what the link points to.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let folder = target.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(contents)?;
        // Without this a crash of the machine may leave the new name on an empty file.
        file.sync_all()?;
        fs::rename(&temporary, &target)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(|error| {
        let way_out = way_out(&error);
        anyhow::Error::from(error)
            .context(format!("cannot write {}; it is as it was before\n{way_out}", path.display()))
    })
}

/// What to do about a file that could not be written.
pub(crate) fn way_out(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded => {
            "There is no space left on its disk: free some, and try again.\nNext: df -h desk .lab"
        }
        _ => "Next: cargo lab doctor",
    }
}

pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| {
        format!("cannot make the folder {}\nNext: cargo lab doctor", folder.display())
    })
}

/// Keeps a copy as `STEM.<timestamp>.EXT`, with `-2`, `-3` … where that name is taken.
pub(crate) fn back_up(
    folder: &Path,
    stem: &str,
    extension: &str,
    contents: &[u8],
) -> Result<PathBuf> {
    make_folder(folder)?;
    let stamp = clock::stamp();
    for turn in 1_u32.. {
        let suffix = if turn == 1 { String::new() } else { format!("-{turn}") };
        let path = folder.join(format!("{stem}.{stamp}{suffix}.{extension}"));
        match File::create_new(&path) {
            Ok(mut file) => {
                file.write_all(contents).and_then(|()| file.sync_all()).map_err(|error| {
                    let _ = fs::remove_file(&path);
                    unkept(error, &path)
                })?;
                return Ok(path);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unkept(error, &path)),
        }
    }
    unreachable!("fewer than 2^32 backups fit into a second")
}

/// Without its backup a file is not replaced.
fn unkept(error: std::io::Error, copy: &Path) -> anyhow::Error {
    let way_out = way_out(&error);
    anyhow::Error::from(error).context(format!(
        "cannot write the backup {}; nothing was changed\n{way_out}",
        copy.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind, Write as _};

    use super::way_out;

    #[test]
    fn a_full_disk_is_named() {
        // Linux has a device that is always full; elsewhere its error will do.
        let full = match std::fs::File::options().write(true).open("/dev/full") {
            Ok(mut full) => full.write_all(b"x").unwrap_err(),
            Err(_) => Error::from(ErrorKind::StorageFull),
        };
        assert!(way_out(&full).contains("no space left"), "{full}");
        assert!(!way_out(&Error::from(ErrorKind::PermissionDenied)).contains("space"));
    }
}
