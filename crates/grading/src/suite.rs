//! Checks as single tests: for the learner, and for the graders themselves.

use crate::check::Check;
use crate::report::{self, Ran, Subject};
use crate::{process, runner};
use anstream::ColorChoice;
use libtest_mimic::{Arguments, Failed, Trial};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Replays one schedule: the seed that a failure printed.
const SEED: &str = "SEED";
/// How often each test runs; it passes if every round does.
const REPEAT: &str = "GRADING_REPEAT";

/// A lesson with everything that grades its graders.
pub struct Lesson {
    /// The lesson's one name.
    pub name: &'static str,
    /// The checks on the untouched starter: it must fail.
    pub starter: Vec<Check>,
    /// The checks on the reference: it must pass.
    pub reference: Vec<Check>,
    /// The classic wrong answers.
    pub decoys: Vec<Decoy>,
}

/// A wrong answer that people really give, and the check that must reject it.
pub struct Decoy {
    /// The name of the decoy's module.
    pub name: &'static str,
    /// The check that explains what is wrong with it, on the decoy.
    pub rejected_by: Check,
}

/// The `main` of a lesson's test: grades the learner's file, each check a test of its own.
pub fn grade(lesson: &'static str, checks: Vec<Check>) -> ExitCode {
    if process::is_child() {
        return process::run_child(lesson, &Subject::Desk, &checks).unwrap_or(ExitCode::FAILURE);
    }
    let trials = leak(checks).iter().map(|check| {
        Trial::test(check.name, move || every_round(lesson, &Subject::Desk, check, Ran::is_valid))
    });
    conclude(trials.collect())
}

/// The `main` of a topic's audit: the starter fails, the reference passes, each decoy dies at the
/// check that it names.
pub fn audit(lessons: Vec<Lesson>) -> ExitCode {
    if process::is_child() {
        return lessons.iter().find_map(Lesson::run_child).unwrap_or(ExitCode::FAILURE);
    }
    let mut trials = Vec::new();
    for lesson in lessons {
        let name = lesson.name;
        let starter = leak(lesson.starter);
        trials.push(Trial::test(format!("{name}::starter"), move || starter_fails(name, starter)));
        for check in leak(lesson.reference) {
            trials.push(Trial::test(format!("{name}::reference::{}", check.name), move || {
                every_round(name, &Subject::Reference, check, Ran::is_valid)
            }));
        }
        for decoy in leak(lesson.decoys) {
            let subject = decoy.subject();
            trials.push(Trial::test(format!("{name}::decoy::{}", decoy.name), move || {
                every_round(name, &subject, &decoy.rejected_by, Ran::is_invalid)
            }));
        }
    }
    conclude(trials)
}

impl Lesson {
    fn run_child(&self) -> Option<ExitCode> {
        let run = |subject, checks: &[Check]| process::run_child(self.name, &subject, checks);
        run(Subject::Starter, &self.starter)
            .or_else(|| run(Subject::Reference, &self.reference))
            .or_else(|| self.decoys.iter().find_map(|decoy| run(decoy.subject(), decoy.check())))
    }
}

impl Decoy {
    fn check(&self) -> &[Check] {
        std::slice::from_ref(&self.rejected_by)
    }

    fn subject(&self) -> Subject {
        Subject::Decoy { name: self.name, check: self.rejected_by.name }
    }
}

/// The text with which the one of `decoys` that is called `name` is rejected, for tests of the words
/// themselves: always on the same schedule, without colours, and without what differs from run to
/// run.
///
/// # Panics
/// If there is no such decoy, or if it passes its check.
pub fn explain(lesson: &'static str, decoys: Vec<Decoy>, name: &str) -> String {
    const SEED: u64 = 7;
    let decoy = leak(decoys).iter().find(|decoy| decoy.name == name).expect("a decoy of this name");
    let subject = decoy.subject();
    let check = &decoy.rejected_by;
    let ran = runner::run(check, process::role(lesson, &subject, check), SEED);
    assert!(ran.is_invalid(), "{name} is not rejected: {:?}", ran.verdict);
    let text = report::message(lesson, &subject, check, &ran);
    steady(&anstream::adapter::strip_str(&text).to_string())
}

/// Without the time at the edge, numbers of five digits and more, such as a jittered TTL, and what
/// is random, such as a lease's owner.
fn steady(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let edge: String = line.chars().take(7).collect();
        let timed = edge.ends_with(|c: char| c.is_ascii_digit())
            && edge.trim_start_matches(['✗', ' ']).chars().all(|c| c.is_ascii_digit());
        let mark = if line.starts_with('✗') { "✗     ·" } else { "      ·" };
        let rest: String = line.chars().skip(if timed { 7 } else { 0 }).collect();
        let line = if timed { format!("{mark}{rest}") } else { rest };
        let without_tokens = masked(&line, |c| c.is_ascii_hexdigit(), 8);
        out += &masked(&without_tokens, |c| c.is_ascii_digit(), 5);
        out.push('\n');
    }
    out
}

/// `#####` in the place of each run of such letters that is this long.
fn masked(text: &str, of: fn(char) -> bool, long: usize) -> String {
    let mut out = String::new();
    for part in text.split_inclusive(|letter| !of(letter)) {
        let run = part.trim_end_matches(|letter| !of(letter));
        match run.len() >= long {
            true => out.extend(["#####", &part[run.len()..]]),
            false => out.push_str(part),
        }
    }
    out
}

/// Every check must reject the starter: a check that an empty answer passes proves nothing.
fn starter_fails(lesson: &str, checks: &'static [Check]) -> Result<(), Failed> {
    for check in checks {
        every_round(lesson, &Subject::Starter, check, Ran::is_invalid)?;
    }
    Ok(())
}

fn every_round(
    lesson: &str,
    subject: &Subject,
    check: &'static Check,
    wanted: fn(&Ran) -> bool,
) -> Result<(), Failed> {
    let rounds = number(REPEAT)?.unwrap_or(1).max(1);
    let fixed = number(SEED)?;
    let (begun, ended) = (AtomicU64::new(0), Mutex::new(None));
    // Some rounds at once: a wrong answer that hangs costs its patience in each of them.
    std::thread::scope(|scope| {
        for _ in 0..rounds.min(ROUNDS_AT_ONCE) {
            scope.spawn(|| {
                let failed = || matches!(&*hold(&ended), Some((_, _, false)));
                while !failed() {
                    let round = begun.fetch_add(1, Ordering::SeqCst) + 1;
                    if round > rounds {
                        return;
                    }
                    let seed = fixed.unwrap_or_else(|| u64::from(rand::random::<u16>()));
                    let turn = Turn::take();
                    let ran = runner::run(check, process::role(lesson, subject, check), seed);
                    drop(turn);
                    let as_wanted = wanted(&ran);
                    if !failed() {
                        *hold(&ended) = Some((ran, round, as_wanted));
                    }
                }
            });
        }
    });
    let ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Some((ran, round, as_wanted)) = ended else {
        return Err("no round was run".into());
    };
    let recorded = if as_wanted { rounds } else { round };
    report::record(lesson, subject, check, &ran, recorded as usize);
    match as_wanted {
        true => Ok(()),
        false => Err(failure(lesson, subject, check, &ran, round)),
    }
}

/// How many rounds of one test run at once.
const ROUNDS_AT_ONCE: u64 = 4;

/// A check waits most of its time: for a server to start, a lease to end, a decoy to hang. So more
/// of them run at once than there are processors, and no more than this.
const CHECKS_A_PROCESSOR: usize = 6;

/// The right to run a check; given back when it is dropped.
struct Turn;

static RUNNING: Mutex<usize> = Mutex::new(0);
static FREE: Condvar = Condvar::new();

impl Turn {
    fn take() -> Turn {
        let full = |running: &mut usize| *running >= checks_at_once();
        let waited = FREE.wait_while(hold(&RUNNING), full);
        *waited.unwrap_or_else(PoisonError::into_inner) += 1;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *hold(&RUNNING) -= 1;
        FREE.notify_one();
    }
}

fn checks_at_once() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from) * CHECKS_A_PROCESSOR
}

/// Nothing here panics while it holds one of these.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failure(lesson: &str, subject: &Subject, check: &Check, ran: &Ran, round: u64) -> Failed {
    let mut text = report::message(lesson, subject, check, ran);
    if text.is_empty() {
        text = format!(
            "{} passes {}, which must reject it (round {round}, seed {})\n",
            match subject {
                Subject::Decoy { name, .. } => name,
                _ => "the starter",
            },
            check.name,
            ran.seed
        );
    }
    // libtest prints the text as it is, so it is for us to leave the colours out.
    let plain = anstream::AutoStream::choice(&std::io::stdout()) == ColorChoice::Never
        || !std::io::stdout().is_terminal();
    if plain { anstream::adapter::strip_str(&text).to_string().into() } else { text.into() }
}

fn number(variable: &str) -> Result<Option<u64>, Failed> {
    let Ok(text) = std::env::var(variable) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(format!("{variable}={text} is not a whole number").into()),
    }
}

fn conclude(trials: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // `--test-threads` still says how many tests are under way.
    arguments.test_threads.get_or_insert_with(checks_at_once);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A process grades once; what it grades with may live as long as it does.
fn leak<T>(list: Vec<T>) -> &'static [T] {
    list.leak()
}
