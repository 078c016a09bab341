//! One file for each thing that can be asked of the lab.

mod audit;
mod bench;
mod check;
mod diff;
mod doctor;
mod goto;
mod hint;
mod home;
mod list;
mod note;
mod overview;
mod reset;
mod run;
mod servers;
mod shop;
mod solution;
mod start;
mod watch;
mod why;

use anyhow::Result;

use crate::{
    child,
    cli::Command,
    failure::usage,
    grader, lookup,
    progress::Progress,
    workspace::{Located, Workspace},
};

/// Runs a command; the exit code says how it went.
pub(crate) fn run(command: Option<Command>) -> Result<u8> {
    child::end_on_signals()?;
    let workspace = &Workspace::open()?;
    grader::sweep(workspace);
    match command {
        None => home::run(workspace),
        Some(Command::List { topic, all }) => list::run(workspace, topic.as_deref(), all),
        Some(Command::Run(which)) => run::run(workspace, which.lesson.as_deref()),
        Some(Command::Start { which, edit }) => {
            start::run(workspace, which.lesson.as_deref(), edit)
        }
        Some(Command::Check(which)) => check::run(workspace, which.lesson.as_deref()),
        Some(Command::Watch(which)) => watch::run(workspace, which.lesson.as_deref()),
        Some(Command::Hint { which, again }) => {
            hint::run(workspace, which.lesson.as_deref(), again)
        }
        Some(Command::Why { which, decoy }) => {
            why::run(workspace, which.lesson.as_deref(), decoy.as_deref())
        }
        Some(Command::Solution { which, yes }) => {
            solution::run(workspace, which.lesson.as_deref(), yes)
        }
        Some(Command::Diff(which)) => diff::run(workspace, which.lesson.as_deref()),
        Some(Command::Reset { lesson }) => reset::run(workspace, &lesson),
        Some(Command::Goto { lesson }) => goto::run(workspace, &lesson),
        Some(Command::Note { text }) => note::run(workspace, &text.join(" ")),
        Some(Command::Progress) => overview::run(workspace),
        Some(Command::Bench(which)) => bench::run(workspace, which.lesson.as_deref()),
        Some(Command::Shop { mine, words }) => shop::run(workspace, mine.as_deref(), &words),
        Some(Command::Setup(words)) => servers::run(workspace, "setup", &words.words),
        Some(Command::Up(words)) => servers::run(workspace, "up", &words.words),
        Some(Command::Down(words)) => servers::run(workspace, "down", &words.words),
        Some(Command::Doctor(words)) => doctor::run(workspace, &words.words),
        Some(Command::Audit(audit)) => audit::run(workspace, &audit),
    }
}

/// The lesson that was named, else the one that the learner is at.
fn chosen<'w>(
    workspace: &'w Workspace,
    progress: &Progress,
    word: Option<&str>,
) -> Result<Located<'w>> {
    match word {
        Some(word) => lookup::lesson(workspace, word),
        None => progress
            .current(workspace)
            .ok_or_else(|| usage("no lesson is ready yet\nNext: cargo lab list")),
    }
}
