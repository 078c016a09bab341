//! What the learner sees: few colours, plain when piped, 80 columns.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::atomic::{AtomicBool, Ordering},
};

use anstyle::{AnsiColor, Style};

/// Text is wrapped to this, however wide the terminal: long lines tire.
pub(crate) const WIDTH: usize = 80;

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
pub(crate) const COMMAND: Style = AnsiColor::Cyan.on_default();

/// Whether the reader of standard output went away.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Prints to standard output. When its reader closed the pipe (`cargo lab check | head`) the work
/// goes on in silence: a grading is still recorded, and the exit code still says how it went.
pub(crate) fn print(text: &str) {
    let mut out = anstream::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        CLOSED.store(true, Ordering::Relaxed);
    }
}

/// Whether nobody reads any more, so that there is no use in waiting for saves.
pub(crate) fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

/// Like `println!`, with the colours taken out where they do not belong.
macro_rules! say {
    () => {
        $crate::screen::print("\n")
    };
    ($($arguments:tt)*) => {
        $crate::screen::print(&format!("{}\n", format_args!($($arguments)*)))
    };
}
pub(crate) use say;

/// A command as it is typed.
pub(crate) fn command(text: &str) -> String {
    paint(COMMAND, text)
}

pub(crate) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// The last line of most commands.
pub(crate) fn next(text: &str) {
    say!("\n{}  {}", paint(BOLD, "Next"), command(text));
}

pub(crate) fn stdout_is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// A line that the next one overwrites: how far a long run is. Only terminals get it.
pub(crate) fn passing(text: &str) {
    if stdout_is_terminal() {
        print(&format!("\r\x1b[2K{}", paint(DIM, text)));
    }
}

/// Whether a question can be asked and answered.
pub(crate) fn interactive() -> bool {
    stdout_is_terminal() && std::io::stdin().is_terminal()
}

/// The terminal's width; 80 where there is none.
pub(crate) fn columns() -> usize {
    terminal_size::terminal_size().map_or(WIDTH, |(width, _)| usize::from(width.0))
}

/// A bar of `width` cells, `done` of `total` of them filled.
pub(crate) fn bar(done: usize, total: usize, width: usize) -> String {
    let filled = (done * width).checked_div(total).unwrap_or(0).min(width);
    format!("{}{}", paint(GOOD, &"━".repeat(filled)), paint(DIM, &"─".repeat(width - filled)))
}

/// Pads to a width in characters; `format!` would count the colour codes in.
pub(crate) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.chars().count())))
}

/// Cuts to a width in characters, with an ellipsis where something is cut.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// `12 ms`, `3.4 s`, `2 min 05 s`
pub(crate) fn duration(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        _ => format!("{} min {:02} s", millis / 60_000, millis % 60_000 / 1_000),
    }
}

/// `1 check`, `7 checks`
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
