//! From what a learner types to a lesson: its name, its id, or a beginning that only it has.

use std::fmt::Write as _;

use anyhow::Result;

use crate::{
    failure::usage,
    workspace::{Located, Stage, Workspace},
};

/// Below this likeness (Damerau-Levenshtein, 0 to 1) a name is not offered: it would only puzzle.
/// Seven letters of ten have to be right.
const LIKENESS: f64 = 0.7;

/// Finds a lesson that can be worked on. A planned one is an error that says so.
pub(crate) fn lesson<'w>(workspace: &'w Workspace, word: &str) -> Result<Located<'w>> {
    let found = any_lesson(workspace, word)?;
    if found.lesson.status == Stage::Planned {
        let mut ready = String::new();
        for other in workspace.ready() {
            let _ =
                write!(ready, "{}{}", if ready.is_empty() { "" } else { ", " }, other.lesson.name);
        }
        return Err(usage(format!(
            "{} {} is planned and not built yet. Ready now: {ready}\nNext: cargo lab list",
            found.lesson.id, found.lesson.name
        )));
    }
    Ok(found)
}

fn any_lesson<'w>(workspace: &'w Workspace, word: &str) -> Result<Located<'w>> {
    let wanted = word.trim().to_lowercase().replace('-', "_");
    if let Some(exact) = workspace
        .lessons()
        .find(|found| found.lesson.name == wanted || found.lesson.id.to_lowercase() == wanted)
    {
        return Ok(exact);
    }
    let starting: Vec<_> = workspace
        .lessons()
        .filter(|found| !wanted.is_empty() && found.lesson.name.starts_with(&wanted))
        .collect();
    // Of several that begin so, the only one that is built is what the learner means.
    let ready: Vec<_> =
        starting.iter().filter(|found| found.lesson.status == Stage::Ready).collect();
    match (starting.as_slice(), ready.as_slice()) {
        ([only], _) => return Ok(*only),
        (_, [only]) => return Ok(**only),
        ([], _) => {}
        (several, _) => {
            let names: Vec<_> = several.iter().map(|found| found.lesson.name.as_str()).collect();
            return Err(usage(format!(
                "{word} is the beginning of {} lessons: {}\nNext: name one of them",
                names.len(),
                names.join(", ")
            )));
        }
    }
    if let Some(topic) = workspace
        .topics
        .iter()
        .find(|topic| topic.id.to_lowercase() == wanted || topic.name == wanted)
    {
        return Err(usage(format!(
            "{word} is a topic and not a lesson\nNext: cargo lab list {}",
            topic.id
        )));
    }
    let nearest = workspace
        .lessons()
        .map(|found| {
            (
                strsim::normalized_damerau_levenshtein(&wanted, &found.lesson.name),
                found.lesson.name.as_str(),
            )
        })
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    Err(usage(match nearest {
        Some((_, name)) => {
            format!("there is no lesson {word}. Did you mean {name}?\nNext: cargo lab list")
        }
        None => format!("there is no lesson {word}\nNext: cargo lab list"),
    }))
}
