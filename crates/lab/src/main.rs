//! `cargo lab`, the learner's command: where you are, what is next, and how your code was graded.
//!
//! It reads `sandbox/*/topic.toml` and Markdown, runs cargo, and links no lesson, so that it builds
//! in seconds and answers at once. A tour:
//!
//! - [`cli`] what can be typed; [`commands`] one file for each of them;
//! - [`workspace`] the topics and lessons; [`lookup`] finds one by what was typed;
//! - [`desk`] the learner's files; [`progress`] what they have done, kept in Markdown;
//! - [`cargo`], [`child`] and [`grader`] run things, and end with the lab;
//! - [`path`] renders LEARNING_PATH.md; [`screen`] and [`prose`] what is seen.

mod cargo;
mod child;
mod cli;
mod clock;
mod commands;
mod desk;
mod failure;
mod fingerprint;
mod grader;
mod lookup;
mod path;
mod progress;
mod prose;
mod screen;
mod store;
mod workspace;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let line = match cli::Line::try_parse() {
        Ok(line) => line,
        Err(refusal) if refusal.use_stderr() => return refuse(&refusal),
        // Help was asked for.
        Err(help) => help.exit(),
    };
    match commands::run(line.command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            report(&error);
            ExitCode::from(failure::exit_code(&error))
        }
    }
}

/// Clap's own words for a line that it cannot read, with the last line of this house.
fn refuse(refusal: &clap::Error) -> ExitCode {
    let words = refusal.render().ansi().to_string();
    let words = words.split("\n\nFor more information").next().unwrap_or_default();
    anstream::eprintln!("{}", words.trim_end());
    next("cargo lab --help");
    ExitCode::from(failure::USAGE)
}

/// The error and its causes, and last the line that says what to do.
fn report(error: &anyhow::Error) {
    let mut next = None;
    let mut lines = Vec::new();
    for cause in error.chain() {
        for line in cause.to_string().lines() {
            match line.strip_prefix("Next: ") {
                Some(command) => next = next.or(Some(command.to_owned())),
                None => lines.push(line.trim_end().to_owned()),
            }
        }
    }
    let style = screen::BAD.bold();
    for (number, line) in lines.iter().enumerate() {
        let lead = if number == 0 { screen::paint(style, "error") + ": " } else { "  ".to_owned() };
        let width = screen::WIDTH - if number == 0 { 7 } else { 2 };
        for (part, text) in prose::wrap(line, width).iter().enumerate() {
            anstream::eprintln!("{}{text}", if part == 0 { &lead } else { "  " });
        }
    }
    let next = next.unwrap_or_else(|| "cargo lab --help".to_owned());
    self::next(&next);
}

fn next(command: &str) {
    anstream::eprintln!("\n{}  {}", screen::paint(screen::BOLD, "Next"), screen::command(command));
}
