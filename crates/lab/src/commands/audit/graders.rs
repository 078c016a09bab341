//! Grades the graders: starters fail, references pass, wrong answers die where they must, every
//! time.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{Lapse, MIN_DECOYS};
use crate::{
    cargo::{self, Built, TestProgram},
    cli,
    commands::why,
    grader::{self, Graded, Outcome, Verdict},
    screen::{self, BAD, BOLD, DIM, GOOD, count, duration, pad, paint, say},
    workspace::{Located, Workspace},
};

/// How often one check of one subject came out as it must.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    right: u32,
    rounds: u32,
    /// The longest run of the check that was reported.
    millis: u64,
    /// Where it went wrong first.
    wrong: Option<String>,
}

/// Lesson, subject, check.
type Tallies = BTreeMap<(String, String, String), Tally>;

pub(super) fn audit(
    workspace: &Workspace,
    scope: &[Located<'_>],
    asked: &cli::Audit,
) -> Result<Vec<Lapse>> {
    let mut lapses = Vec::new();
    let mut topics: Vec<&str> = scope.iter().map(|found| found.topic.id.as_str()).collect();
    topics.dedup();
    // Time that is asked for is shared fairly among the lessons.
    let share = asked.during.map(|all| all / u32::try_from(scope.len().max(1)).unwrap_or(1));
    for topic in topics {
        let lessons: Vec<Located<'_>> =
            scope.iter().copied().filter(|found| found.topic.id == topic).collect();
        let again = format!("cargo lab audit {topic}");
        let package = match lessons[0].exercises_package(workspace) {
            Ok(package) => package,
            Err(error) => {
                lapses.push(Lapse::new(format!("{error:#}").replace('\n', ": "), again));
                continue;
            }
        };
        match cargo::build_test(workspace, Some(&package), "audit")? {
            Built::Program(program) => {
                let tests = why::tests(&program)?;
                for found in lessons {
                    lapses.extend(listed(workspace, found, &tests));
                    lapses.extend(lesson_audit(workspace, &program, found, asked, share)?);
                }
            }
            Built::Broken(words) => {
                say!("{}", words.trim_end());
                lapses.push(Lapse::new(format!("the graders of {package} do not compile"), again));
            }
        }
    }
    Ok(lapses)
}

/// One lesson at a time: a test program takes one filter.
fn lesson_audit(
    workspace: &Workspace,
    program: &TestProgram,
    found: Located<'_>,
    asked: &cli::Audit,
    share: Option<Duration>,
) -> Result<Vec<Lapse>> {
    let mut lapses = Vec::new();
    let filter = format!("{}::", found.lesson.name);
    let repeat = if share.is_some() { 1 } else { asked.repeat };
    let mut tallies = Tallies::new();
    let began = Instant::now();
    let (mut rounds, mut finished) = (0, 0);
    loop {
        let round = Instant::now();
        let graded = grader::run(workspace, program, &[&filter], repeat, |outcome| {
            add(&mut tallies, outcome, repeat);
            finished += 1;
            let time = duration(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
            screen::passing(&format!("{}: {finished} gradings, {time}", found.lesson.name));
        })?;
        screen::passing("");
        rounds += repeat;
        if let Some(lapse) = ended_early(&graded) {
            say!("{}", graded.output.trim_end());
            lapses.push(lapse);
            break;
        }
        // Another round is begun only if it fits.
        if share.is_none_or(|share| began.elapsed() + round.elapsed() > share) {
            break;
        }
    }
    lapses.extend(table(found, &tallies));
    let took = duration(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
    say!("{}\n", paint(DIM, &format!("    {} in {took}", count(rounds as usize, "round"))));
    Ok(lapses)
}

/// Whether the audit lists what each lesson must have, and `cargo lab why` can say what is wrong
/// with each decoy.
fn listed(workspace: &Workspace, found: Located<'_>, tests: &[String]) -> Vec<Lapse> {
    let name = &found.lesson.name;
    let of = |kind: &str| {
        tests.iter().filter(|test| test.starts_with(&format!("{name}::{kind}"))).count()
    };
    let add = format!("add it to exercises/{}/tests/audit.rs", found.topic.folder);
    let mut lapses = Vec::new();
    if of("starter") == 0 {
        lapses.push(Lapse::new(format!("the starter of {name} is not audited"), add.clone()));
    }
    if of("reference::") == 0 {
        lapses.push(Lapse::new(format!("the reference of {name} is not audited"), add));
    }
    let decoys = of("decoy::");
    if decoys < MIN_DECOYS {
        lapses.push(Lapse::new(
            format!("{name} has {}, and needs {MIN_DECOYS}", count(decoys, "decoy")),
            format!("write more of them in exercises/{}/decoys", found.topic.folder),
        ));
    }
    let prefix = format!("{name}::decoy::");
    for decoy in tests.iter().filter_map(|test| test.strip_prefix(&prefix)) {
        if why::explanation(workspace, found, decoy).is_none() {
            lapses.push(Lapse::new(
                format!("nothing says what is wrong with the decoy {decoy} of {name}"),
                format!("write it above its type in exercises/{}/decoys", found.topic.folder),
            ));
        }
    }
    lapses
}

/// A grader that fails although all of its outcomes are right did not come to its end.
fn ended_early(graded: &Graded) -> Option<Lapse> {
    let all_right = graded.outcomes.iter().all(is_right);
    (graded.outcomes.is_empty() || (all_right && !graded.status.success()))
        .then(|| Lapse::new("the audit ended before its report did", "read its output above"))
}

fn is_right(outcome: &Outcome) -> bool {
    match outcome.subject.as_str() {
        "reference" => outcome.verdict == Verdict::Valid,
        "starter" => outcome.verdict == Verdict::Invalid,
        _ => {
            outcome.verdict == Verdict::Invalid
                && outcome.expected_check.as_ref().is_none_or(|expected| *expected == outcome.check)
        }
    }
}

/// The grader stops a check at its first wrong round, and reports which one that was.
fn add(tallies: &mut Tallies, outcome: &Outcome, asked: u32) {
    let key = (outcome.lesson.clone(), outcome.subject.clone(), outcome.check.clone());
    let tally = tallies.entry(key).or_default();
    let ran = outcome.rounds.clamp(1, asked);
    tally.rounds += ran;
    tally.millis = tally.millis.max(outcome.millis);
    if is_right(outcome) {
        tally.right += ran;
    } else {
        tally.right += ran - 1;
        let verdict = format!("{:?}", outcome.verdict).to_lowercase();
        tally.wrong.get_or_insert(format!("{verdict}, SEED={}\n{}", outcome.seed, outcome.message));
    }
}

/// A row for the starter, the reference and each decoy.
fn table(found: Located<'_>, tallies: &Tallies) -> Vec<Lapse> {
    let name = &found.lesson.name;
    let mut lapses = Vec::new();
    let of_lesson: Vec<_> = tallies.iter().filter(|((lesson, _, _), _)| lesson == name).collect();
    say!("{}", paint(BOLD, name));
    row(" ", ["", "as it must", "", "slowest"]);
    let mut subjects: Vec<&str> =
        of_lesson.iter().map(|((_, subject, _), _)| subject.as_str()).collect();
    subjects.dedup();
    // The starter and the reference before the wrong answers.
    subjects.sort_by_key(|subject| (subject.starts_with("decoy:"), *subject == "reference"));
    for subject in subjects {
        let checks: Vec<_> = of_lesson.iter().filter(|((_, of, _), _)| of == subject).collect();
        let fewest =
            checks.iter().min_by_key(|(_, tally)| (tally.right == tally.rounds, tally.right));
        let Some(((_, _, check), worst)) = fewest else {
            continue;
        };
        let right = checks.iter().all(|(_, tally)| tally.right == tally.rounds);
        let millis = checks.iter().map(|(_, tally)| tally.millis).max().unwrap_or_default();
        let label = subject.strip_prefix("decoy:").unwrap_or(subject);
        let place = if subject.starts_with("decoy:") {
            format!("at {check}")
        } else {
            format!("{}, each", count(checks.len(), "check"))
        };
        let mark = if right { paint(GOOD, "✓") } else { paint(BAD, "✗") };
        let figures = format!("{} of {}", worst.right, worst.rounds);
        row(&mark, [label, &figures, &place, &duration(millis)]);
        for ((_, _, check), tally) in checks.iter().filter(|(_, tally)| tally.right != tally.rounds)
        {
            let wrong = tally.wrong.as_deref().unwrap_or_default();
            let (first, message) = wrong.split_once('\n').unwrap_or((wrong, ""));
            lapses.push(Lapse::new(
                format!(
                    "{name}: {label} came out right {} of {} at {check}; then {first}",
                    tally.right, tally.rounds
                ),
                if message.is_empty() {
                    "see exercises/ for the check".to_owned()
                } else {
                    message.trim_end().replace('\n', "\n    ")
                },
            ));
        }
    }
    lapses
}

/// What was graded, how often it came out right, by which check, and the longest time.
fn row(mark: &str, [subject, figures, place, time]: [&str; 4]) {
    say!("  {mark} {} {} {} {time:>8}", pad(subject, 27), pad(figures, 11), pad(place, 25));
}
