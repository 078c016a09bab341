//! `cargo lab audit`, for maintainers: is every part of every lesson there, and do the graders
//! grade? It ends with a list of lapses, each with what to do, and fails if there is one.

mod graders;
mod parts;

use std::fs;

use anyhow::Result;

use crate::{
    cli,
    failure::{FAILED, PASSED, usage},
    path,
    progress::form,
    screen::{BAD, GOOD, count, next, paint, say},
    store,
    workspace::{Located, Workspace},
};

/// The fewest wrong answers that a lesson may have: with fewer, its checks are hardly tried.
const MIN_DECOYS: usize = 4;

/// Something that is not as it should be.
pub(crate) struct Lapse {
    what: String,
    then: String,
}

impl Lapse {
    fn new(what: impl Into<String>, then: impl Into<String>) -> Self {
        Self { what: what.into(), then: then.into() }
    }
}

pub(crate) fn run(workspace: &Workspace, asked: &cli::Audit) -> Result<u8> {
    if asked.fix {
        return fix(workspace);
    }
    let scope = scope(workspace, asked.scope.as_deref())?;
    let mut lapses = parts::metadata(workspace);
    for (file, rendered) in rendered(workspace) {
        if fs::read_to_string(workspace.root.join(file)).ok().as_deref() != Some(rendered.as_str())
        {
            lapses.push(Lapse::new(
                format!("{file} is not what topic.toml says"),
                "cargo lab audit --fix",
            ));
        }
    }
    for found in &scope {
        lapses.extend(parts::missing(workspace, *found));
    }
    say!(
        "{} {}\n",
        count(scope.len(), "lesson"),
        "with parts: module, example, task, checks, benchmark, page, hints"
    );
    if !asked.parts {
        lapses.extend(graders::audit(workspace, &scope, asked)?);
    }
    if lapses.is_empty() {
        let graded = ", and every grading came out as it must";
        let graded = if asked.parts { "" } else { graded };
        say!("{} Nothing is missing{graded}.", paint(GOOD, "✓"));
        return Ok(PASSED);
    }
    say!("{} {}:\n", paint(BAD, "✗"), count(lapses.len(), "lapse"));
    for lapse in &lapses {
        say!("  {}\n    {}", lapse.what, lapse.then);
    }
    Ok(FAILED)
}

/// The files at the root that are rendered whole.
fn rendered(workspace: &Workspace) -> [(&'static str, String); 2] {
    [("LEARNING_PATH.md", path::render(workspace, None)), ("PROGRESS.md", form::blank(workspace))]
}

fn fix(workspace: &Workspace) -> Result<u8> {
    for (file, rendered) in rendered(workspace) {
        let path = workspace.root.join(file);
        if fs::read_to_string(&path).ok().as_deref() == Some(rendered.as_str()) {
            say!("{file} was in step.");
        } else {
            store::write(&path, rendered.as_bytes())?;
            say!("{file} written.");
        }
    }
    next("cargo lab audit");
    Ok(PASSED)
}

/// The ready lessons of a topic, of a lesson's name, or all.
fn scope<'w>(workspace: &'w Workspace, word: Option<&str>) -> Result<Vec<Located<'w>>> {
    let Some(word) = word else {
        return Ok(workspace.ready().collect());
    };
    let of_topic: Vec<_> = workspace
        .ready()
        .filter(|found| {
            [&found.topic.id, &found.topic.name, &found.topic.folder]
                .iter()
                .any(|name| *name == word)
        })
        .collect();
    if !of_topic.is_empty() {
        return Ok(of_topic);
    }
    if workspace.topics.iter().any(|topic| topic.id == word || topic.name == word) {
        return Err(usage(format!(
            "the topic {word} has no ready lesson\nNext: cargo lab list {word}"
        )));
    }
    Ok(vec![crate::lookup::lesson(workspace, word)?])
}
