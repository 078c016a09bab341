//! `cargo lab hint L`: one step at a time: a question, a direction, nearly the code.

use anyhow::Result;

use super::chosen;
use crate::{
    clock, desk,
    failure::{PASSED, usage},
    progress::file,
    prose,
    screen::{BOLD, DIM, next, paint, say},
    workspace::{Located, Workspace},
};

const STEPS: [&str; 3] = ["a question", "a direction", "nearly the code"];

pub(crate) fn run(workspace: &Workspace, word: Option<&str>, again: bool) -> Result<u8> {
    let progress = file::load(workspace)?;
    let found = chosen(workspace, &progress, word)?;
    let hints = &found.lesson.hints;
    let name = &found.lesson.name;
    if hints.is_empty() {
        return Err(usage(format!("{name} has no hints\nNext: cargo lab start {name}")));
    }
    let taken = progress.record(found).map_or(0, |record| record.hints as usize).min(hints.len());
    if again {
        if taken == 0 {
            say!("You have had no hint for {name} yet.");
        }
        for number in 0..taken {
            if number > 0 {
                say!();
            }
            show(found, number);
        }
    } else if taken == hints.len() {
        show(found, taken - 1);
        say!(
            "{}",
            paint(
                DIM,
                &format!(
                    "\nThat was the last of {taken}; all of them: cargo lab hint {name} --again"
                )
            )
        );
        next(&format!("cargo lab why {name}"));
        return Ok(PASSED);
    } else {
        show(found, taken);
        file::update(workspace, |progress| {
            desk::take_up(workspace, found, progress, &clock::day());
            let record = progress.record_mut(found);
            record.hints = u32::try_from(taken + 1).unwrap_or(u32::MAX);
            progress.did(clock::minute(), format!("took hint {} of {name}", taken + 1));
        })?;
    }
    next(&format!("cargo lab check {name}"));
    Ok(PASSED)
}

fn show(found: Located<'_>, number: usize) {
    let step = STEPS.get(number).copied().unwrap_or("one more");
    let title = format!("Hint {} of {}", number + 1, found.lesson.hints.len());
    say!("{} {}\n", paint(BOLD, &title), paint(DIM, &format!("· {step}")));
    say!("{}", prose::render(&found.lesson.hints[number], 80, "  ").trim_end());
}
