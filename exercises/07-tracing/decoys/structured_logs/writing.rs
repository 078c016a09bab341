//! Those who do not expect the worst of values and writers.

use super::right::{Way, Whole, chain, cut};
use observability::structured_logs::{CUT, LONGEST, Raised, UNPRINTABLE};
use std::error::Error;
use std::fmt::{Debug, Write as _};
use std::io::{BufWriter, ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;

/// Whoever logs a body knows how long it is. Nobody does: it is the one of 40 MB for which the
/// collector drops the batch. Rejected by `cut`.
pub struct NeverCuts;

impl Way for NeverCuts {
    fn shown(text: &str) -> String {
        Self::cleaned(text)
    }
}

/// Cuts bytes. In the midst of a letter that is a panic, or a mark that was not there. Rejected by
/// `cut`.
pub struct Cuts;

impl Way for Cuts {
    fn shown(text: &str) -> String {
        let clean = Self::cleaned(text);
        match text.len() <= LONGEST {
            true => clean,
            false => String::from_utf8_lossy(&clean.as_bytes()[..LONGEST]).into_owned() + CUT,
        }
    }
}

/// Cuts first, so that less has to be looked at. Half a card at the end does not look like one.
/// Rejected by `cut`.
pub struct CutsFirst;

impl Way for CutsFirst {
    fn shown(text: &str) -> String {
        match text.len() <= LONGEST {
            true => Self::cleaned(text),
            false => Self::cleaned(&text[..text.floor_char_boundary(LONGEST)]) + CUT,
        }
    }
}

/// Cuts and says nothing. Somebody will conclude that the list ended there. Rejected by `cut`.
pub struct CutsSilently;

impl Way for CutsSilently {
    fn shown(text: &str) -> String {
        let clean = Self::cleaned(text);
        match text.len() <= LONGEST {
            true => clean,
            false => cut(&clean).trim_end_matches(CUT).to_owned(),
        }
    }
}

/// `format!("{value:?}")`. A poisoned lock, an index off by one in a `Debug` that is never tested, and
/// the customer's checkout fails because of a line about it. Rejected by `unprintable`.
pub struct LetsItPanic;

impl Way for LetsItPanic {
    fn debug(value: &dyn Debug) -> String {
        Self::shown(&format!("{value:?}"))
    }
}

/// Distrusts `Debug`, and trusts errors: those have a `Display`. It was written by the same people.
/// Rejected by `unprintable`.
pub struct TrustsErrors;

impl Way for TrustsErrors {
    fn error(error: &(dyn Error + 'static)) -> String {
        Self::shown(&chain(error))
    }
}

/// Catches the panic, around the whole line. The line in which something odd happened is the one that
/// is missing. Rejected by `unprintable`.
pub struct DropsTheLine;

impl Way for DropsTheLine {
    fn debug(value: &dyn Debug) -> String {
        Self::shown(&format!("{value:?}"))
    }

    fn write(log: &Whole<Self>, event: &Raised<'_>, to: &mut dyn Write) {
        if Self::wants(&log.rules(), event.level, event.target)
            && let Ok(Some(line)) = catch_unwind(AssertUnwindSafe(|| Self::line(event)))
        {
            Self::put(&line, to);
        }
    }
}

/// Tells what there was when it went wrong, as if that were all. It was half an address, and no longer
/// looks like one. Rejected by `unprintable`.
pub struct TellsHalf;

impl Way for TellsHalf {
    fn debug(value: &dyn Debug) -> String {
        let mut half = String::new();
        let _ = catch_unwind(AssertUnwindSafe(|| write!(half, "{value:?}")));
        Self::shown(&half)
    }
}

/// The line, and then its end. Between the two is room for somebody else's. Rejected by `one_write`.
pub struct LineAndEnd;

impl Way for LineAndEnd {
    fn put(line: &str, to: &mut dyn Write) {
        let _ = to.write_all(line.trim_end().as_bytes());
        let _ = to.write_all(b"\n");
    }
}

/// `serde_json::to_writer`, straight to where it goes: a write for each brace and each name. Rejected
/// by `one_write`.
pub struct InPieces;

impl Way for InPieces {
    fn put(line: &str, to: &mut dyn Write) {
        for piece in line.split_inclusive(['{', ':', ',']) {
            let _ = to.write_all(piece.as_bytes());
        }
    }
}

/// `println!` panics when nobody reads its pipe any more, and this does the same. Rejected by
/// `broken_writer`.
pub struct Unwraps;

impl Way for Unwraps {
    fn put(line: &str, to: &mut dyn Write) {
        to.write_all(line.as_bytes()).expect("a log");
    }
}

/// `write` takes as much as it likes, and says how much. Nobody asked. Rejected by `broken_writer`.
pub struct NoMoreThanOnce;

impl Way for NoMoreThanOnce {
    #[allow(clippy::unused_io_amount)]
    fn put(line: &str, to: &mut dyn Write) {
        let _ = to.write(line.as_bytes());
    }
}

/// Asks what is wanted, and holds on to the answer while it writes. Where the reader hangs, the level
/// cannot be changed, and when that is tried, nobody logs any more. Rejected by `stuck`.
pub struct HoldsTheLevel;

impl Way for HoldsTheLevel {
    fn write(log: &Whole<Self>, event: &Raised<'_>, to: &mut dyn Write) {
        let rules = log.rules.read().unwrap_or_else(PoisonError::into_inner);
        if Self::wants(&rules, event.level, event.target) {
            Self::put(&Self::line(event).unwrap_or_default(), to);
        }
    }
}

/// A `BufWriter` before the writer, and flushed at the end: one write, as long as the line fits into
/// it. What does not is a long body, on the day on which somebody looks for it. Rejected by
/// `one_write`.
pub struct Buffered;

impl Way for Buffered {
    fn put(line: &str, to: &mut dyn Write) {
        let mut to = BufWriter::new(to);
        for piece in line.split_inclusive(['{', ':', ',']) {
            let _ = to.write_all(piece.as_bytes());
        }
        let _ = to.flush();
    }
}

/// `write_all` by hand, and without the case that a writer takes nothing and calls that no error. The
/// disk is full, and the thread writes for ever. Rejected by `broken_writer`.
pub struct AsksForEver;

impl Way for AsksForEver {
    fn put(line: &str, to: &mut dyn Write) {
        let mut left = line.as_bytes();
        while !left.is_empty() {
            match to.write(left) {
                Ok(taken) => left = &left[taken..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

/// Once more, if it failed. A part of it was taken, and the collector finds that and the line in one:
/// now the next one is lost, too. Rejected by `broken_writer`.
pub struct OnceMore;

impl Way for OnceMore {
    fn put(line: &str, to: &mut dyn Write) {
        if to.write_all(line.as_bytes()).is_err() {
            let _ = to.write_all(line.as_bytes());
        }
    }
}

/// Lets go of what is wanted before it writes, and not before the values print themselves. One of them
/// waits for a lock that somebody holds who changes the level. Rejected by `slow_value`.
pub struct HoldsWhilePrinting;

impl Way for HoldsWhilePrinting {
    fn write(log: &Whole<Self>, event: &Raised<'_>, to: &mut dyn Write) {
        let rules = log.rules.read().unwrap_or_else(PoisonError::into_inner);
        let line = Self::wants(&rules, event.level, event.target).then(|| Self::line(event));
        drop(rules);
        if let Some(line) = line.flatten() {
            Self::put(&line, to);
        }
    }
}

/// Cuts only if the text gets shorter by it, which is sensible, and a line is longer than whoever
/// reads it was promised. Rejected by `cut`.
pub struct CutsIfShorter;

impl Way for CutsIfShorter {
    fn shown(text: &str) -> String {
        let clean = Self::cleaned(text);
        if text.len() <= LONGEST + CUT.len() { clean } else { cut(&clean) }
    }
}

/// Each part of an error is cut by itself, and one that repeats a body has five sources that repeat it
/// as well. Rejected by `cut`.
pub struct CutsEachSource;

impl Way for CutsEachSource {
    fn error(error: &(dyn Error + 'static)) -> String {
        let told = || {
            let (mut told, mut source) = (Self::shown(&error.to_string()), error.source());
            while let Some(error) = source {
                told += &format!(": {}", Self::shown(&error.to_string()));
                source = error.source();
            }
            told
        };
        catch_unwind(AssertUnwindSafe(told)).unwrap_or(UNPRINTABLE.to_owned())
    }
}

/// Cuts first, and knows that half a card may be left: so digits at the end go as well. Half an
/// address stays, and half a password before an `@` that is no longer there. Rejected by `cut`.
pub struct TrimsDigits;

impl Way for TrimsDigits {
    fn shown(text: &str) -> String {
        if text.len() <= LONGEST {
            return Self::cleaned(text);
        }
        let clean = Self::cleaned(&text[..text.floor_char_boundary(LONGEST)]);
        let is_part = |c: char| c.is_ascii_digit() || c == ' ' || c == '-';
        clean.trim_end_matches(is_part).to_owned() + CUT
    }
}

/// Catches what the error itself may do. Its sources are others', and are asked outside of that.
/// Rejected by `unprintable`.
pub struct TrustsSources;

impl Way for TrustsSources {
    fn error(error: &(dyn Error + 'static)) -> String {
        let Ok(mut told) = catch_unwind(AssertUnwindSafe(|| error.to_string())) else {
            return UNPRINTABLE.to_owned();
        };
        if let Some(source) = error.source() {
            told += &format!(": {}", chain(source));
        }
        Self::shown(&told)
    }
}
