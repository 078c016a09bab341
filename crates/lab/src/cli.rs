//! What can be typed.

use std::time::Duration;

use clap::{Args, Parser, Subcommand, builder::styling::Styles};

use crate::screen;

const STYLES: Styles = Styles::plain()
    .header(screen::BOLD)
    .usage(screen::BOLD)
    .literal(screen::COMMAND)
    .error(screen::BAD)
    .valid(screen::COMMAND);

const AFTER: &str = "A lesson is named by its name (cache_aside), its id (01.2), or a beginning that \
                     only it has.\nExit codes: 0 passed, 1 failed or inconclusive, 2 the command was wrong.";

/// Where you are, what is next, and how your code was graded.
#[derive(Debug, Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab", styles = STYLES, after_help = AFTER, max_term_width = 80)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Line {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Every lesson and its status
    List {
        /// Only this topic, with all of its lessons: 02, locks
        topic: Option<String>,
        /// The lessons of planned topics too
        #[arg(long)]
        all: bool,
    },
    /// The lesson's example: the problem, then the pattern, with figures
    Run(Which),
    /// Open a lesson's task; makes your file for it
    Start {
        #[command(flatten)]
        which: Which,
        /// Open your file in $VISUAL or $EDITOR
        #[arg(long)]
        edit: bool,
    },
    /// Grade your file
    Check(Which),
    /// Grade whenever you save
    Watch(Which),
    /// The next of three hints
    Hint {
        #[command(flatten)]
        which: Which,
        /// Only those that you have had
        #[arg(long)]
        again: bool,
    },
    /// A wrong answer, and how it dies
    Why {
        #[command(flatten)]
        which: Which,
        /// Which one; without it the next that you have not seen
        decoy: Option<String>,
    },
    /// Your file beside the reference
    Solution {
        #[command(flatten)]
        which: Which,
        /// Do not ask, even where the lesson has not passed
        #[arg(long)]
        yes: bool,
    },
    /// Your file against the task as it is now
    Diff(Which),
    /// Begin a lesson's file again; the old one is kept
    Reset { lesson: String },
    /// Make a lesson the current one
    Goto { lesson: String },
    /// Write a line into your session notes
    Note {
        /// What you want to remember
        #[arg(required = true)]
        text: Vec<String>,
    },
    /// How far you are, by phase and topic
    Progress,
    /// The lesson's benchmark
    Bench(Which),
    /// The reference shop: up, load, compare …
    Shop {
        /// Your file of this lesson in place of the reference
        #[arg(long, value_name = "LESSON")]
        mine: Option<String>,
        /// What the shop is to do, and its options: compare cache --real
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Install a server: Redis, or the one that you name
    Setup(PassedOn),
    /// Keep a server running: Redis, or the one that you name
    Up(PassedOn),
    /// Stop the servers that are kept running
    Down(PassedOn),
    /// What this machine has, and what is missing
    Doctor(PassedOn),
    /// For maintainers: is every part of every lesson there, and do the graders grade?
    Audit(Audit),
}

/// A lesson, or the current one.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Its name, its id, or a beginning of the name; left out: the lesson that you are at
    pub(crate) lesson: Option<String>,
}

/// Words that go to the test bed as they are.
#[derive(Debug, Args)]
pub(crate) struct PassedOn {
    /// Which server (redis, postgres, rabbitmq), and its options: redis --port 6380
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) words: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Only this topic or lesson
    pub(crate) scope: Option<String>,
    /// How often each grading must come out the same
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeat: u32,
    /// As many rounds as fit: 90s, 5m, 1h
    #[arg(long = "for", value_name = "TIME", value_parser = duration, conflicts_with = "repeat")]
    pub(crate) during: Option<Duration>,
    /// Only whether every part is there: grade nothing
    #[arg(long, conflicts_with_all = ["repeat", "during"])]
    pub(crate) parts: bool,
    /// Write LEARNING_PATH.md and PROGRESS.md at the root anew
    #[arg(long)]
    pub(crate) fix: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 =
        text[..digits].parse().map_err(|_| "a number and s, m or h: 5m".to_owned())?;
    match &text[digits..] {
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number * 60)),
        "h" => Ok(Duration::from_secs(number * 3_600)),
        _ => Err("a number and s, m or h: 5m".to_owned()),
    }
}
