//! `cargo lab why L [DECOY]`: a wrong answer that people really give, and how the checks kill it.

use std::fs;

use anyhow::{Result, bail};

use super::chosen;
use crate::{
    cargo::{self, Built, TestProgram},
    clock,
    failure::{FAILED, PASSED, usage},
    grader::{self, Verdict},
    progress::file,
    prose,
    screen::{BOLD, DIM, GOOD, WARN, count, next, paint, say},
    workspace::{Located, Workspace},
};

pub(crate) fn run(workspace: &Workspace, word: Option<&str>, decoy: Option<&str>) -> Result<u8> {
    let progress = file::load(workspace)?;
    let found = chosen(workspace, &progress, word)?;
    let name = &found.lesson.name;
    let program =
        match cargo::build_test(workspace, Some(&found.exercises_package(workspace)?), "audit")? {
            Built::Program(program) => program,
            Built::Broken(words) => {
                bail!("the graders do not compile:\n{}\nNext: git status", words.trim_end())
            }
        };
    let decoys = decoys(&program, name)?;
    if decoys.is_empty() {
        bail!("{name} has no wrong answers to show\nNext: cargo lab audit {name}");
    }
    let seen = progress.record(found).map(|record| record.seen.clone()).unwrap_or_default();
    let shown = match decoy {
        Some(word) => decoys.iter().find(|decoy| *decoy == word).ok_or_else(|| {
            usage(format!(
                "{name} has no decoy {word}. It has: {}\nNext: cargo lab why {name}",
                decoys.join(", ")
            ))
        })?,
        None => {
            list(name, &decoys, &seen);
            // All seen: begin again.
            decoys.iter().find(|decoy| !seen.contains(decoy)).unwrap_or(&decoys[0])
        }
    };
    show(workspace, found, &program, shown)
}

/// The wrong answers of a lesson, from the audit's own list of tests.
pub(crate) fn decoys(program: &TestProgram, lesson: &str) -> Result<Vec<String>> {
    let lead = format!("{lesson}::decoy::");
    let tests = tests(program)?;
    Ok(tests.iter().filter_map(|test| test.strip_prefix(&lead)).map(str::to_owned).collect())
}

/// Every test of a test program.
pub(crate) fn tests(program: &TestProgram) -> Result<Vec<String>> {
    let (status, out, err) = cargo::captured(&mut program.command(&["--list"]), || {})?;
    if !status.success() {
        bail!("the graders cannot be listed:\n{}\nNext: git status", err.trim_end());
    }
    Ok(out.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

fn list(lesson: &str, decoys: &[String], seen: &[String]) {
    say!("{} has {}:\n", paint(BOLD, lesson), count(decoys.len(), "wrong answer"));
    for decoy in decoys {
        let mark = if seen.contains(decoy) { paint(GOOD, "✓") } else { " ".to_owned() };
        say!("  {mark} {decoy}");
    }
    say!();
}

fn show(
    workspace: &Workspace,
    found: Located<'_>,
    program: &TestProgram,
    decoy: &str,
) -> Result<u8> {
    let name = &found.lesson.name;
    say!("{}\n", paint(BOLD, decoy));
    if let Some((comment, place)) = explanation(workspace, found, decoy) {
        say!("{}\n  {}\n", prose::render(&comment, 80, "  ").trim_end(), paint(DIM, &place));
    }
    let test = format!("{name}::decoy::{decoy}");
    let graded = grader::run(workspace, program, &["--exact", &test], 1, |_| {})?;
    let Some(outcome) = graded.outcomes.first() else {
        bail!(
            "the grader ended before its report:\n{}\nNext: cargo lab doctor",
            graded.output.trim_end()
        );
    };
    say!("{} {}", paint(BOLD, "Rejected by"), outcome.check);
    say!("{}", outcome.message.trim_end());
    match outcome.verdict {
        Verdict::Invalid => {
            file::update(workspace, |progress| {
                let record = progress.record_mut(found);
                if !record.seen.iter().any(|seen| seen == decoy) {
                    record.seen.push(decoy.to_owned());
                }
                progress.did(clock::minute(), format!("read the wrong answer {decoy} of {name}"));
            })?;
            next(&format!("cargo lab why {name}"));
            Ok(PASSED)
        }
        Verdict::Inconclusive => {
            say!("\n{} This run proved nothing.", paint(WARN, "?"));
            next("cargo lab doctor");
            Ok(FAILED)
        }
        Verdict::Valid => {
            bail!(
                "{} passed {decoy}, which it must reject: a fault of the grader\nNext: cargo lab audit {name}",
                outcome.check
            )
        }
    }
}

/// What the author says about a decoy, and where it stands: the head of its own file, or the doc
/// comment of its type where decoys of a lesson share a file.
pub(crate) fn explanation(
    workspace: &Workspace,
    found: Located<'_>,
    decoy: &str,
) -> Option<(String, String)> {
    let decoys = found.exercises(workspace).join("decoys");
    let folder = decoys.join(&found.lesson.name);
    let own = folder.join(format!("{decoy}.rs"));
    if let Ok(source) = fs::read_to_string(&own) {
        return Some((prose::head_comment(&source), workspace.shown(&own).to_string()));
    }
    let mut shared = vec![decoys.join(format!("{}.rs", found.lesson.name))];
    let more = fs::read_dir(folder).into_iter().flatten().flatten();
    shared.extend(
        more.map(|file| file.path()).filter(|path| path.extension() == Some("rs".as_ref())),
    );
    shared.iter().find_map(|file| {
        let source = fs::read_to_string(file).ok()?;
        let (comment, line) = prose::type_comment(&source, &camel_case(decoy))?;
        Some((comment, format!("{}:{line}", workspace.shown(file))))
    })
}

/// `never_caches` is the type `NeverCaches`.
fn camel_case(name: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    };
    name.split('_').map(capital).collect()
}
