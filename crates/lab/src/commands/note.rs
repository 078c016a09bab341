//! `cargo lab note "…"`: a dated line among the learner's own notes.

use anyhow::Result;

use crate::{
    clock,
    failure::{PASSED, usage},
    progress::{file, form},
    screen::{next, say},
    workspace::Workspace,
};

pub(crate) fn run(workspace: &Workspace, text: &str) -> Result<u8> {
    let text = text.trim();
    if text.is_empty() {
        return Err(usage("a note needs words\nNext: cargo lab note \"what I learned today\""));
    }
    // Further lines are indented: they stay in the list item, and can never be one of the lab's marks.
    let item = format!("- {} · {}", clock::minute(), text.lines().collect::<Vec<_>>().join("\n  "));
    file::rewrite(workspace, |_, document| document.append(form::NOTES, &item))?;
    let file = file::location(workspace);
    say!("Noted in {}, under {}.", workspace.shown(&file), form::NOTES);
    next("cargo lab");
    Ok(PASSED)
}
