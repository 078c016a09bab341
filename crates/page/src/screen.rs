//! A page that is drawn anew in its place, for those who watch.
//!
//! What is drawn is what the other functions print. It stands on the terminal's alternate screen, so
//! whatever was on the terminal before is there again afterwards.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The alternate screen, no cursor, and long lines cut and not wrapped.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const TO_THE_TOP: &str = "\x1b[H";
const REST_OF_THE_LINE: &str = "\x1b[K";
const REST_OF_THE_SCREEN: &str = "\x1b[J";

/// Lines that still fit, plus one; 0 while nothing is drawn.
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// A terminal whose screen is ours until this is dropped: also by an error, also by a panic. Only for
/// a terminal.
#[derive(Debug)]
pub struct Screen(());

impl Screen {
    /// Takes the screen.
    ///
    /// # Errors
    /// The terminal's.
    pub fn open() -> io::Result<Screen> {
        control(ENTER)?;
        Ok(Screen(()))
    }

    /// Shows what `drawn` prints, in place of what was shown before, as far as it fits in so many
    /// rows.
    ///
    /// # Errors
    /// The terminal's.
    pub fn draw(&mut self, rows: usize, drawn: impl FnOnce()) -> io::Result<()> {
        control(TO_THE_TOP)?;
        LEFT.store(rows.saturating_add(1).max(2), Ordering::Relaxed);
        let ends = Ends;
        drawn();
        drop(ends);
        // In place, line by line: a screen that is cleared first flickers.
        control(REST_OF_THE_SCREEN)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = control(LEAVE);
    }
}

/// The end of a drawing, however it comes.
struct Ends;

impl Drop for Ends {
    fn drop(&mut self) {
        LEFT.store(0, Ordering::Relaxed);
    }
}

/// Past `anstream`, which would leave it out where somebody wants no colours.
fn control(sequence: &str) -> io::Result<()> {
    let mut terminal = io::stdout();
    terminal.write_all(sequence.as_bytes())?;
    terminal.flush()
}

/// Whether something is being drawn.
pub(crate) fn is_drawn() -> bool {
    LEFT.load(Ordering::Relaxed) > 0
}

/// The next lines, if they still fit. What is left of the last drawing in them goes.
pub(crate) fn line(text: &str) -> io::Result<()> {
    for line in text.split('\n') {
        match LEFT.load(Ordering::Relaxed) {
            0 | 1 => return Ok(()),
            left => LEFT.store(left - 1, Ordering::Relaxed),
        }
        write!(anstream::stdout(), "{line}")?;
        let more = LEFT.load(Ordering::Relaxed) > 1;
        // A line feed in the last row would move all others up.
        io::stdout().write_all(REST_OF_THE_LINE.as_bytes())?;
        io::stdout().write_all(if more { b"\r\n" } else { b"\r" })?;
    }
    Ok(())
}
