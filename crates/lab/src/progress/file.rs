//! `desk/PROGRESS.md` on disk: one lab at a time, written whole, copied before anything is lost.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{Progress, document::Document, form, read};
use crate::{
    clock, path, prose,
    screen::{WARN, WIDTH, paint},
    store,
    workspace::Workspace,
};

/// Reads progress; a missing file is a fresh start. Nothing is written unless the file is damaged:
/// then it is repaired at once, and where even that is impossible the learner is told.
pub(crate) fn load(workspace: &Workspace) -> Result<Progress> {
    let reading = read::read(&match current(workspace)? {
        Some(bytes) => bytes,
        None => return Ok(Progress::default()),
    });
    let mut progress = reading.progress;
    if !reading.damage.is_empty()
        && let Err(error) = update(workspace, |_| {})
    {
        anstream::eprintln!("{}: {error:#}", paint(WARN, "warning"));
    }
    progress.refresh(workspace);
    Ok(progress)
}

/// Changes progress under the lock, and writes the file and the learner's map.
pub(crate) fn update<T>(
    workspace: &Workspace,
    change: impl FnOnce(&mut Progress) -> T,
) -> Result<T> {
    rewrite(workspace, |progress, _| change(progress))
}

/// Like [`update`], with the learner's text at hand.
pub(crate) fn rewrite<T>(
    workspace: &Workspace,
    change: impl FnOnce(&mut Progress, &mut Document) -> T,
) -> Result<T> {
    let _lock = lock(workspace)?;
    let file = location(workspace);
    let (mut progress, mut document) = match current(workspace)? {
        Some(bytes) if bytes.trim_ascii().is_empty() => {
            anstream::eprintln!(
                "{}: {} was empty and begins anew.\n  Older copies, if any: {}\n",
                paint(WARN, "warning"),
                workspace.shown(&file),
                workspace.shown(&workspace.backups())
            );
            (Progress { started: clock::day(), ..Progress::default() }, form::fresh())
        }
        Some(bytes) => {
            let reading = read::read(&bytes);
            if reading.edited || !reading.damage.is_empty() {
                let copy = store::back_up(&workspace.backups(), "PROGRESS", "md", &bytes)?;
                report(workspace, &reading, &copy);
            }
            (reading.progress, reading.document)
        }
        None => (Progress { started: clock::day(), ..Progress::default() }, form::fresh()),
    };
    let answer = change(&mut progress, &mut document);
    progress.refresh(workspace);
    form::fill(&mut document, workspace, &progress);
    store::write(&file, &document.bytes())?;
    // The map is made from the above and can be made again: failing here must not look as if the
    // progress had not been recorded.
    let map = path::render(workspace, Some(&progress));
    if let Err(error) = store::write(&workspace.desk().join("LEARNING_PATH.md"), map.as_bytes()) {
        anstream::eprintln!("{}: {error:#}", paint(WARN, "warning"));
    }
    Ok(answer)
}

pub(crate) fn location(workspace: &Workspace) -> PathBuf {
    workspace.desk().join("PROGRESS.md")
}

fn current(workspace: &Workspace) -> Result<Option<Vec<u8>>> {
    let file = location(workspace);
    match fs::read(&file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error)
            .with_context(|| format!("cannot read {}\nNext: cargo lab doctor", file.display())),
    }
}

/// Held until dropped; the system lets go of it when the process dies.
fn lock(workspace: &Workspace) -> Result<File> {
    let folder = workspace.state();
    store::make_folder(&folder)?;
    let path = folder.join("progress.lock");
    let open = || -> std::io::Result<File> {
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        file.lock()?;
        Ok(file)
    };
    open().with_context(|| format!("cannot lock {}\nNext: cargo lab doctor", path.display()))
}

fn report(workspace: &Workspace, reading: &read::Reading, copy: &Path) {
    let file = location(workspace);
    let file = workspace.shown(&file);
    if reading.damage.is_empty() {
        anstream::eprintln!(
            "{}: {file} was edited by hand in the lab's parts.\n  What could be read counts.",
            paint(WARN, "note")
        );
    } else {
        anstream::eprintln!(
            "{}: {file} could not be understood everywhere:",
            paint(WARN, "warning")
        );
        for damage in &reading.damage {
            let text = format!("line {}: {}", damage.line, damage.what);
            for (number, line) in prose::wrap(&text, WIDTH - 4).iter().enumerate() {
                anstream::eprintln!("  {}{line}", if number == 0 { "" } else { "  " });
            }
        }
    }
    anstream::eprintln!("  The file as it was: {}\n", workspace.shown(copy));
}
