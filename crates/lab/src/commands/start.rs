//! `cargo lab start L`: the task, and the learner's file for it.

use std::{env, fs, path::Path, process::Command};

use anyhow::{Context, Result};

use super::chosen;
use crate::{
    cargo, clock, desk,
    failure::{FAILED, PASSED, usage},
    fingerprint,
    progress::file,
    prose,
    screen::{BOLD, DIM, command, paint, say},
    workspace::Workspace,
};

pub(crate) fn run(workspace: &Workspace, word: Option<&str>, edit: bool) -> Result<u8> {
    let progress = file::load(workspace)?;
    let found = chosen(workspace, &progress, word)?;
    let made = desk::ensure(workspace, found)?;
    file::update(workspace, |progress| {
        desk::take_up(workspace, found, progress, &clock::day());
        progress.did(clock::minute(), format!("started {}", found.lesson.name));
    })?;
    let starter = found.starter(workspace);
    let source = fs::read_to_string(&starter)
        .with_context(|| format!("cannot read {}", starter.display()))?;
    let lesson = found.lesson;
    let time =
        lesson.minutes.map_or(String::new(), |minutes| format!(" · about {minutes} minutes"));
    say!(
        "{} {}\n",
        paint(BOLD, &format!("{} {}", lesson.id, lesson.name)),
        paint(DIM, &format!("· {}{time}", found.topic.title))
    );
    let head = prose::head_comment(&source);
    // The title is printed above already.
    let task = match head.split_once('\n') {
        Some((title, rest)) if title.trim_start_matches('#').trim().starts_with(&lesson.id) => rest,
        _ => &head,
    };
    say!("{}", prose::render(task, 80, "  "));
    let file = found.desk_file(workspace);
    let label = |text: &str| paint(DIM, &format!("{text:<13}"));
    let untouched = fingerprint::of_file(&file) == fingerprint::of_file(&starter);
    let state = match (made, untouched) {
        (true, _) => "new, from the starter",
        (false, true) => "the starter, untouched",
        (false, false) => "as you left it",
    };
    say!("{}{}  {}", label("Your file"), workspace.shown(&file), paint(DIM, state));
    say!("{}{}", label("See it run"), command(&format!("cargo lab run {}", lesson.name)));
    say!("{}{}", label("Stuck"), command(&format!("cargo lab hint {}", lesson.name)));
    say!(
        "{}{} or {}",
        label("Next"),
        command(&format!("cargo lab check {}", lesson.name)),
        command("cargo lab watch")
    );
    if edit { open(&file) } else { Ok(PASSED) }
}

/// Opens the learner's editor; `$EDITOR` may hold arguments, as in `code --wait`.
fn open(file: &Path) -> Result<u8> {
    // As git and others have it, an empty variable is as good as none.
    let set = |name: &'static str| {
        let editor = env::var(name).ok().filter(|editor| !editor.trim().is_empty());
        editor.map(|editor| (name, editor))
    };
    let (variable, editor) = set("VISUAL").or_else(|| set("EDITOR")).ok_or_else(|| {
        usage("neither $VISUAL nor $EDITOR is set\nNext: EDITOR=nano cargo lab start --edit")
    })?;
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or_default();
    let status = cargo::run(Command::new(program).args(words).arg(file)).with_context(|| {
        format!(
            "the editor {program} of ${variable} does not start\n\
             Next: {variable}=nano cargo lab start --edit"
        )
    })?;
    Ok(if status.success() { PASSED } else { FAILED })
}
