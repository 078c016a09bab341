//! What a grading leaves behind: text for people, a line of JSON for `cargo lab`.

use crate::check::Check;
use crate::history::History;
use crate::timeline;
use crate::verdict::Verdict;
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

const BAD: Style = AnsiColor::Red.on_default().bold();
const UNSURE: Style = AnsiColor::Yellow.on_default().bold();
const QUIET: Style = Style::new().dimmed();
const TITLE: Style = Style::new().bold();

/// Set by `cargo lab`: the file that gets one line of JSON for each finished check.
const REPORT_FILE: &str = "GRADING_REPORT";

/// Who is graded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The learner's file.
    Desk,
    /// The untouched starter.
    Starter,
    /// The reference of the sandbox crate.
    Reference,
    /// A wrong answer, and the check that must reject it.
    Decoy {
        /// The decoy's name.
        name: &'static str,
        /// The check's name.
        check: &'static str,
    },
}

/// One run of one check.
pub(crate) struct Ran {
    pub(crate) seed: u64,
    pub(crate) took: Duration,
    pub(crate) verdict: Verdict,
    pub(crate) history: History,
    pub(crate) panics: Vec<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    lesson: &'a str,
    subject: String,
    check: &'a str,
    title: &'a str,
    verdict: &'a str,
    seed: u64,
    millis: u64,
    rounds: usize,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_check: Option<&'a str>,
}

/// The text of a failure, with ANSI styles: what was promised, the timeline, expected and saw,
/// what to read, how to see it again. Empty when the check passed.
pub(crate) fn message(lesson: &str, subject: &Subject, check: &Check, ran: &Ran) -> String {
    let mut out = String::new();
    match &ran.verdict {
        Verdict::Valid => return out,
        Verdict::Invalid(evidence) => {
            let _ = writeln!(out, "{BAD}broken:{BAD:#} {TITLE}{}{TITLE:#}", check.title);
            let drawn = timeline::draw(&ran.history.events(), &evidence.clash);
            if !drawn.is_empty() {
                let _ = write!(out, "\n{drawn}");
            }
            let _ = writeln!(out);
            paragraph(&mut out, "expected", &evidence.expected);
            paragraph(&mut out, "saw", &evidence.saw);
        }
        Verdict::Inconclusive(why) => {
            let _ =
                writeln!(out, "{UNSURE}inconclusive:{UNSURE:#} {TITLE}{}{TITLE:#}\n", check.title);
            paragraph(&mut out, "because", why);
            paragraph(&mut out, "so", "nothing was proved, and nothing was counted as passed");
        }
    }
    for panic in &ran.panics {
        paragraph(&mut out, "panic", panic);
    }
    if !check.read.is_empty() {
        paragraph(&mut out, "read", check.read);
    }
    paragraph(&mut out, "again", &replay(lesson, subject, check, ran.seed));
    out
}

fn replay(lesson: &str, subject: &Subject, check: &Check, seed: u64) -> String {
    let name = check.name;
    match subject {
        Subject::Desk => format!("SEED={seed} cargo test --test {lesson} {name}"),
        Subject::Starter => format!("SEED={seed} cargo test --test audit {lesson}::starter"),
        Subject::Reference => {
            format!("SEED={seed} cargo test --test audit {lesson}::reference::{name}")
        }
        Subject::Decoy { name, .. } => {
            format!("SEED={seed} cargo test --test audit {lesson}::decoy::{name}")
        }
    }
}

/// A labelled paragraph, its lines broken at 80 columns.
fn paragraph(out: &mut String, label: &str, text: &str) {
    const INDENT: usize = 12;
    const WIDTH: usize = 80;
    let mut lines: Vec<String> = Vec::new();
    for source in text.lines() {
        let mut line = String::new();
        for word in source.split(' ') {
            if !line.is_empty() && INDENT + line.chars().count() + 1 + word.chars().count() > WIDTH
            {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    for (index, line) in lines.iter().enumerate() {
        let label = if index == 0 { label } else { "" };
        let _ = writeln!(out, "  {QUIET}{label:<10}{QUIET:#}{line}");
    }
}

/// Appends the line for `cargo lab`, if it listens.
pub(crate) fn record(lesson: &str, subject: &Subject, check: &Check, ran: &Ran, rounds: usize) {
    let Some(file) = std::env::var_os(REPORT_FILE) else {
        return;
    };
    let (subject_text, expected_check) = match subject {
        Subject::Desk => ("desk".to_owned(), None),
        Subject::Starter => ("starter".to_owned(), None),
        Subject::Reference => ("reference".to_owned(), None),
        Subject::Decoy { name, check } => (format!("decoy:{name}"), Some(*check)),
    };
    let verdict = match ran.verdict {
        Verdict::Valid => "valid",
        Verdict::Invalid(_) => "invalid",
        Verdict::Inconclusive(_) => "inconclusive",
    };
    let line = Line {
        lesson,
        subject: subject_text,
        check: check.name,
        title: check.title,
        verdict,
        seed: ran.seed,
        millis: u64::try_from(ran.took.as_millis()).unwrap_or(u64::MAX),
        rounds,
        // With its styles: whoever prints it knows whether to a terminal.
        message: message(lesson, subject, check, ran),
        expected_check,
    };
    let written = serde_json::to_string(&line).map_err(std::io::Error::other).and_then(|line| {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&file)?;
        // One write, so that lines of parallel checks do not mix.
        file.write_all(format!("{line}\n").as_bytes())
    });
    if let Err(error) = written {
        eprintln!("cannot write {}: {error}", file.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Evidence;

    fn plain(subject: &Subject, verdict: Verdict, panics: &[&str]) -> String {
        let title = "a reader whose load is slow does not put the old value back";
        let check = Check::new("slow_reader", title, async |_| Ok(()));
        let check = check.read("docs/lessons/cache_aside.md");
        let history = History::begin();
        let panics = panics.iter().map(|text| (*text).to_owned()).collect();
        let ran = Ran { seed: 7, took: Duration::ZERO, verdict, history, panics };
        let text = message("cache_aside", subject, &check, &ran);
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn a_broken_promise_says_what_was_expected_and_seen_and_how_to_see_it_again() {
        let evidence = Evidence::new(
            "20.00: the write was acknowledged before this read began, and nobody has changed it",
            "10.00: the reader's copy outlived the write",
        );
        insta::assert_snapshot!(plain(&Subject::Desk, Verdict::Invalid(evidence), &[]));
    }

    #[test]
    fn a_todo_is_told_as_one() {
        let evidence = Evidence::new("your answer", "a todo!() that still waits for it");
        let panic = "not yet implemented: ask Redis (desk/01-caching/cache_aside.rs:45)";
        insta::assert_snapshot!(plain(&Subject::Starter, Verdict::Invalid(evidence), &[panic]));
    }

    #[test]
    fn what_proved_nothing_says_so() {
        let why = "the fault did not land: 0 of 1 came to the gate within 3s";
        let verdict = Verdict::Inconclusive(why.to_owned());
        insta::assert_snapshot!(plain(&Subject::Reference, verdict, &[]));
    }

    #[test]
    fn what_passed_says_nothing() {
        assert_eq!(plain(&Subject::Desk, Verdict::Valid, &[]), "");
    }
}
