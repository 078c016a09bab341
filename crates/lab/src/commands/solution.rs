//! `cargo lab solution L`: the learner's file beside the reference. The look is recorded.

use std::{
    fs,
    io::{BufRead as _, stdin},
};

use anyhow::{Context, Result};
use similar::{DiffOp, TextDiff};

use super::{chosen, diff};
use crate::{
    clock, desk,
    failure::{PASSED, usage},
    progress::file,
    screen::{self, BOLD, DIM, GOOD, columns, cut, next, pad, paint, say},
    workspace::Workspace,
};

/// From this many columns on, both files stand side by side: no line of 100 columns is cut.
const WIDE: usize = 206;

pub(crate) fn run(workspace: &Workspace, word: Option<&str>, yes: bool) -> Result<u8> {
    let progress = file::load(workspace)?;
    let found = chosen(workspace, &progress, word)?;
    let name = &found.lesson.name;
    let passed = progress.is_done(found);
    if !passed && !yes && !confirmed(name)? {
        next(&format!("cargo lab hint {name}"));
        return Ok(PASSED);
    }
    desk::ensure(workspace, found)?;
    let (mine, reference) = (found.desk_file(workspace), found.reference(workspace));
    let read = |path: &std::path::Path| {
        fs::read_to_string(path)
            .with_context(|| format!("cannot read {}\nNext: git status", path.display()))
    };
    let (old, new) = (read(&mine)?, read(&reference)?);
    // Recorded before it is shown: what was seen was seen, also when the pipe is closed early.
    file::update(workspace, |progress| {
        let record = progress.record_mut(found);
        if record.peeked.is_empty() {
            record.peeked = clock::day();
        }
        progress.did(clock::minute(), format!("looked at the solution of {name}"));
    })?;
    let (old_name, new_name) =
        (workspace.shown(&mine).to_string(), workspace.shown(&reference).to_string());
    if screen::stdout_is_terminal() && columns() >= WIDE {
        side_by_side(&old, &new, &old_name, &new_name);
    } else {
        diff::show(&old, &new, &old_name, &new_name);
    }
    next(&format!("cargo lab {} {name}", if passed { "why" } else { "check" }));
    Ok(PASSED)
}

fn confirmed(name: &str) -> Result<bool> {
    if !screen::interactive() {
        return Err(usage(format!(
            "{name} has not passed yet, and the look would be recorded\nNext: cargo lab solution {name} --yes"
        )));
    }
    screen::print(&format!("{name} has not passed yet. Look anyway? It is recorded. [y/N] "));
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).context("cannot read your answer")?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Equal lines face each other; what differs stands on the side that has it.
fn side_by_side(old: &str, new: &str, old_name: &str, new_name: &str) {
    let half = columns() / 2 - 2;
    say!("{} {} {}", paint(BOLD, &pad(old_name, half)), paint(DIM, "│"), paint(BOLD, new_name));
    let (left, right): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let row = |mine: Option<&&str>, other: Option<&&str>, equal: bool| {
        let cell =
            |line: Option<&&str>| pad(&cut(&line.unwrap_or(&"").replace('\t', "    "), half), half);
        let (mine, other) = (cell(mine), cell(other));
        if equal {
            say!("{mine} {} {}", paint(DIM, "│"), other.trim_end());
        } else {
            say!(
                "{} {} {}",
                paint(screen::WARN, &mine),
                paint(DIM, "│"),
                paint(GOOD, other.trim_end())
            );
        }
    };
    for op in TextDiff::from_slices(&left, &right).ops() {
        let (mine, other) = (op.old_range(), op.new_range());
        let equal = matches!(op, DiffOp::Equal { .. });
        for step in 0..mine.len().max(other.len()) {
            let at = |range: &std::ops::Range<usize>| {
                Some(range.start + step).filter(|at| *at < range.end)
            };
            row(
                at(&mine).and_then(|at| left.get(at)),
                at(&other).and_then(|at| right.get(at)),
                equal,
            );
        }
    }
}
