//! `cargo lab shop`: the reference shop, also with the learner's own code in it.

use anyhow::Result;

use crate::{
    cargo,
    failure::{FAILED, PASSED, USAGE, usage},
    lookup,
    progress::{self, Change, file},
    screen::{BOLD, DIM, paint, say},
    workspace::{Located, Workspace},
};

pub(crate) fn run(workspace: &Workspace, mine: Option<&str>, words: &[String]) -> Result<u8> {
    let mut cargo = cargo::command(workspace, &["run", "-q", "-p"]);
    match mine {
        None => {
            cargo.args(["shop", "--"]).args(words);
        }
        Some(word) => {
            let found = solved(workspace, word)?;
            let name = &found.lesson.name;
            let words = if words.is_empty() { &found.lesson.mine } else { words };
            say!(
                "{} {}\n",
                paint(BOLD, &format!("shop {}", words.join(" "))),
                paint(DIM, &format!("with {}", workspace.shown(&found.desk_file(workspace))))
            );
            cargo.args(["shop-mine", "--features", "desk", "--bin", name, "--"]).args(words);
        }
    }
    // The shop says what to type next; it knows how it went.
    let status = cargo::run(&mut cargo)?;
    Ok(match status.code() {
        Some(0) => PASSED,
        Some(2) => USAGE,
        _ => FAILED,
    })
}

/// A lesson that has a place in the shop, and whose file has passed as it is now: customers should
/// not meet a `todo!()`, and its author should meet it where it is explained.
fn solved<'w>(workspace: &'w Workspace, word: &str) -> Result<Located<'w>> {
    let found = lookup::lesson(workspace, word)?;
    let name = &found.lesson.name;
    if found.lesson.mine.is_empty() {
        let fitting = workspace.ready().filter(|found| !found.lesson.mine.is_empty());
        let fitting: Vec<_> = fitting.map(|found| found.lesson.name.as_str()).collect();
        let next = fitting.first().map_or("list".to_owned(), |name| format!("shop --mine {name}"));
        return Err(usage(format!(
            "your {name} has no place in the shop yet; these have one: {}\nNext: cargo lab {next}",
            fitting.join(", ")
        )));
    }
    let progress = file::load(workspace)?;
    let changed = progress::changes(workspace, found, &progress).contains(&Change::File);
    if !progress.is_done(found) || changed {
        let why = if changed { "changed since it passed" } else { "has not passed yet" };
        return Err(usage(format!("your {name} {why}\nNext: cargo lab check {name}")));
    }
    Ok(found)
}
