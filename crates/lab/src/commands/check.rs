//! `cargo lab check [L]`: grades the learner's file, shows each check as it ends, records the result.

use anyhow::{Context as _, Result};

use super::chosen;
use crate::{
    cargo::{self, Built},
    clock, desk,
    failure::{FAILED, PASSED},
    fingerprint,
    grader::{self, Graded, Outcome, Verdict},
    progress::{self, Change, Status, file, form},
    prose,
    screen::{BAD, BOLD, DIM, GOOD, WARN, command, count, duration, next, pad, paint, say},
    workspace::{HINTS, Located, Workspace},
};

/// The width of a check's sentence; behind it stands the time that it took.
const TITLE: usize = 66;

/// How a grading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grade {
    Passed,
    Failed,
    /// Something was not proved, and nothing was refuted.
    Inconclusive,
    /// Cargo refused the file, or the grader ended before its report.
    Broken,
}

pub(crate) fn run(workspace: &Workspace, word: Option<&str>) -> Result<u8> {
    let progress = file::load(workspace)?;
    let found = chosen(workspace, &progress, word)?;
    let Ending { grade, way_out } = grade(workspace, found)?;
    let progress = file::load(workspace)?;
    let name = &found.lesson.name;
    match grade {
        Grade::Passed => {
            say!(
                "{}",
                paint(DIM, &format!("\nCompare with the reference: cargo lab solution {name}"))
            );
            say!("{}", paint(DIM, &format!("How wrong answers die:      cargo lab why {name}")));
            next(&form::next_command(workspace, &progress));
        }
        Grade::Failed => {
            let taken = progress.record(found).map_or(0, |record| record.hints as usize);
            let stuck = if taken < HINTS { "hint" } else { "why" };
            say!("\n{}  cargo lab {stuck} {name}", paint(DIM, "Stuck?"));
            let file = found.desk_file(workspace);
            if fingerprint::of_file(&file) == fingerprint::of_file(&found.starter(workspace)) {
                say!("Write your answer in {}.", workspace.shown(&file));
                next("cargo lab watch");
            } else {
                next(&format!("cargo lab check {name}"));
            }
        }
        Grade::Inconclusive => next(&way_out),
        Grade::Broken => next(&format!("cargo lab check {name}")),
    }
    Ok(if grade == Grade::Passed { PASSED } else { FAILED })
}

/// A grading that came to its end.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    pub(crate) grade: Grade,
    /// The command that helps where nothing was proved.
    pub(crate) way_out: String,
}

/// Builds, grades, shows and records. What comes next is for the caller to say.
///
/// `SEED` and `GRADING_REPEAT` hold here as they do for `cargo test`. An error after the checks ran
/// is one of recording: the verdict has been shown then.
pub(crate) fn grade(workspace: &Workspace, found: Located<'_>) -> Result<Ending> {
    let repeat = grader::settings(&found.lesson.name)?;
    desk::ensure(workspace, found)?;
    let file = found.desk_file(workspace);
    let name = &found.lesson.name;
    say!("{} · {}\n", paint(BOLD, name), workspace.shown(&file));
    announce_changes(workspace, found)?;
    // The file may be saved again while it is graded: what is recorded is what was built.
    let graded_file = fingerprint::of_file(&file).unwrap_or_default();
    let program = match cargo::build_test(workspace, None, name)? {
        Built::Program(program) => program,
        Built::Broken(words) => {
            say!("{}", words.trim_end());
            say!("\n{} It does not compile yet, so nothing was graded.", paint(BAD, "✗"));
            record(workspace, found, "", &[], Grade::Broken)?;
            return Ok(Ending { grade: Grade::Broken, way_out: "cargo lab doctor".to_owned() });
        }
    };
    if repeat > 1 {
        say!("{}", paint(DIM, &format!("GRADING_REPEAT: each check runs {repeat} times.")));
    }
    // Checks end in any order. They are shown in the suite's, so that the first failure to look at
    // is the same one in each run.
    let suite = grader::checks(&program)?;
    let mut queue = Queue::new(&suite);
    let mut graded = grader::run(workspace, &program, &[], repeat, |outcome| {
        queue.ended(outcome).iter().for_each(show);
    })?;
    queue.rest().iter().for_each(show);
    graded.outcomes.sort_by_key(|outcome| place(&suite, &outcome.check));
    let grade = judge(&graded);
    // Recorded before it is shown, for the reader may stop us at any word. A desk that cannot be
    // written takes no verdict away: that is said last.
    let recorded = record(workspace, found, &graded_file, &graded.outcomes, grade);
    summary(found, &graded, grade);
    recorded.context("the verdict above could not be recorded")?;
    Ok(Ending { grade, way_out: way_out(&graded) })
}

/// A missing server can be installed, by the order that the message names; of all else the
/// doctor knows more.
fn way_out(graded: &Graded) -> String {
    let unproved = |outcome: &&Outcome| outcome.verdict == Verdict::Inconclusive;
    let mut messages = graded.outcomes.iter().filter(unproved).map(|outcome| &outcome.message);
    messages.find_map(|message| setup(message)).unwrap_or("cargo lab doctor").to_owned()
}

/// `cargo lab setup`, with the server's name where the message has one: it ends with its line,
/// or with the mark that closes a quotation.
fn setup(message: &str) -> Option<&str> {
    let order = &message[message.find("cargo lab setup")?..];
    order.split(['\n', '`']).next().map(str::trim_end)
}

/// Where a check stands in its suite; one that the suite does not list stands last.
fn place(suite: &[String], check: &str) -> usize {
    suite.iter().position(|name| name == check).unwrap_or(suite.len())
}

/// Outcomes that wait for the checks before them in the suite.
struct Queue<'s> {
    suite: &'s [String],
    waiting: Vec<Outcome>,
    /// How many checks of the suite were handed out.
    next: usize,
}

impl<'s> Queue<'s> {
    fn new(suite: &'s [String]) -> Self {
        Self { suite, waiting: Vec::new(), next: 0 }
    }

    /// Takes an outcome, and hands out those whose turn it is now.
    fn ended(&mut self, outcome: &Outcome) -> Vec<Outcome> {
        self.waiting.push(outcome.clone());
        let mut due = Vec::new();
        while let Some(check) = self.suite.get(self.next)
            && let Some(at) = self.waiting.iter().position(|outcome| outcome.check == *check)
        {
            due.push(self.waiting.remove(at));
            self.next += 1;
        }
        due
    }

    /// What is left at the end: a check before them never reported.
    fn rest(&mut self) -> Vec<Outcome> {
        let mut rest = std::mem::take(&mut self.waiting);
        rest.sort_by_key(|outcome| place(self.suite, &outcome.check));
        rest
    }
}

fn announce_changes(workspace: &Workspace, found: Located<'_>) -> Result<()> {
    let progress = file::load(workspace)?;
    if progress::changes(workspace, found, &progress).contains(&Change::Task) {
        say!(
            "{} {}: compare with {}\n",
            paint(WARN, "~"),
            Change::Task.words(),
            command(&format!("cargo lab diff {}", found.lesson.name))
        );
    }
    Ok(())
}

/// A grader that reports success and fails, or the other way round, is broken, and so is one that
/// graded nothing.
fn judge(graded: &Graded) -> Grade {
    let any = |verdict| graded.outcomes.iter().any(|outcome| outcome.verdict == verdict);
    if graded.outcomes.is_empty() {
        Grade::Broken
    } else if any(Verdict::Invalid) {
        Grade::Failed
    } else if any(Verdict::Inconclusive) {
        Grade::Inconclusive
    } else if graded.status.success() {
        Grade::Passed
    } else {
        Grade::Broken
    }
}

/// One line for a finished check.
fn show(outcome: &Outcome) {
    let mark = match outcome.verdict {
        Verdict::Valid => paint(GOOD, "✓"),
        Verdict::Invalid => paint(BAD, "✗"),
        Verdict::Inconclusive => paint(WARN, "?"),
    };
    // A long sentence goes on below, where the times are not.
    let lines = prose::wrap(&outcome.title, TITLE);
    let (first, rest) =
        lines.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let time = format!("{:>8}", duration(outcome.millis));
    say!("  {mark} {} {}", pad(first, TITLE), paint(DIM, &time));
    for line in rest {
        say!("    {line}");
    }
}

fn summary(found: Located<'_>, graded: &Graded, grade: Grade) {
    let passed = graded.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Valid).count();
    let all = graded.outcomes.len();
    let unproved =
        graded.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Inconclusive).count();
    say!();
    match grade {
        Grade::Passed => {
            let text = format!("{} passes: {}.", found.lesson.name, count(all, "check"));
            say!("{}", paint(GOOD.bold(), &text));
        }
        Grade::Failed => {
            let unproved =
                if unproved > 0 { format!(", {unproved} inconclusive") } else { String::new() };
            say!(
                "{}",
                paint(
                    BOLD,
                    &format!(
                        "{passed} of {} passed{unproved}. The first to look at:",
                        count(all, "check")
                    )
                )
            );
        }
        Grade::Inconclusive => {
            say!(
                "{}",
                paint(
                    BOLD,
                    &format!(
                        "{passed} of {} passed, {unproved} proved nothing.",
                        count(all, "check")
                    )
                )
            );
        }
        Grade::Broken => {
            if !graded.output.trim().is_empty() {
                say!("{}\n", graded.output.trim());
            }
            say!("{} The grader ended before its report did; nothing is counted.", paint(BAD, "✗"));
        }
    }
    // A refuted check teaches; one that proved nothing is shown only where there is no other.
    let wanted = if grade == Grade::Failed { Verdict::Invalid } else { Verdict::Inconclusive };
    let mut failures = graded.outcomes.iter().filter(|outcome| outcome.verdict == wanted);
    if let Some(first) = failures.next() {
        say!("\n{}\n{}", paint(BOLD, &first.check), first.message.trim_end());
    }
    for (number, outcome) in failures.enumerate() {
        if number == 0 {
            say!("\n{}", paint(BOLD, "Also:"));
        }
        for (number, line) in prose::wrap(&outcome.title, 74).iter().enumerate() {
            say!("{}{line}", if number == 0 { "  - " } else { "    " });
        }
    }
}

fn record(
    workspace: &Workspace,
    found: Located<'_>,
    graded_file: &str,
    outcomes: &[Outcome],
    grade: Grade,
) -> Result<()> {
    let size = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let passed = outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Valid).count();
    let millis: u64 = outcomes.iter().map(|outcome| outcome.millis).sum();
    let all = outcomes.len();
    file::update(workspace, |progress| {
        desk::take_up(workspace, found, progress, &clock::day());
        let record = progress.record_mut(found);
        let what = match grade {
            Grade::Broken => "nothing graded".to_owned(),
            Grade::Inconclusive => "inconclusive".to_owned(),
            Grade::Passed | Grade::Failed => format!("{passed} of {}", count(all, "check")),
        };
        // Where nothing was proved, nothing was tried: a missing server or a slip of the pen is no
        // attempt, and takes away no result that was there.
        if matches!(grade, Grade::Passed | Grade::Failed) {
            record.attempts += 1;
            record.date = clock::day();
            record.passed = Some((size(passed), size(all)));
        }
        if grade == Grade::Passed {
            record.status = Status::Completed;
            record.figures = format!("{} in {}", count(all, "check"), duration(millis));
            graded_file.clone_into(&mut record.file);
            record.checks = fingerprint::of_checks(workspace, found).unwrap_or_default();
            record.starter = fingerprint::of_file(&found.starter(workspace)).unwrap_or_default();
        } else if grade == Grade::Failed {
            // It may have passed once; what is there now does not.
            record.status = Status::InProgress;
        }
        progress.did(clock::minute(), format!("checked {}, {what}", found.lesson.name));
    })
}
