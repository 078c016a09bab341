//! Until when an answer is of any use, and how that is written into a header.

use super::{Late, TIME_LEFT, Within};
use http::{HeaderMap, HeaderValue};
use std::time::Duration;
use tokio::time::Instant;

/// "No limit" that can still be added to the clock: thirty years, as in tokio's own timers.
const FOREVER: Duration = Duration::from_secs(86_400 * 365 * 30);

/// The moment after which nobody waits for the answer. A copy is the same moment; the earlier is
/// the smaller. It is of this process's own monotonic clock, which no other process knows and which
/// nobody sets back: what travels is [`Deadline::left`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Instant);

impl Deadline {
    /// So long from now on. More than thirty years are thirty years.
    pub fn in_time(left: Duration) -> Deadline {
        Deadline(Instant::now() + left.min(FOREVER))
    }

    /// This one, or so long from now on, whichever is earlier.
    #[must_use]
    pub fn at_most(self, left: Duration) -> Deadline {
        self.min(Deadline::in_time(left))
    }

    /// How much is left. Zero when it is over.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether nothing is left.
    pub fn is_over(self) -> bool {
        self.left().is_zero()
    }

    /// The same moment for tokio's own timers.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// `work`, until the deadline: see [`Within`].
    pub fn within<F: Future>(self, work: F) -> Within<F> {
        Within::new(self, work)
    }

    // ANCHOR: header
    /// What the caller has said with [`TIME_LEFT`], from now on. So it is to be read where the
    /// request arrives, before it waits for anything. `None` where nothing readable stands there.
    ///
    /// The rules are those of `Deadlines::serve`.
    pub fn from_headers(headers: &HeaderMap) -> Option<Deadline> {
        // A list may stand in one line or in many: RFC 9110, section 5.3. A proxy that added one
        // of its own meant to shorten, so the smallest counts.
        // As bytes: one odd word makes no other word of its line unreadable.
        let lines = headers.get_all(TIME_LEFT).iter().map(HeaderValue::as_bytes);
        let words = lines.flat_map(|line| line.split(|byte| *byte == b','));
        let millis = words.filter_map(|word| millis(str::from_utf8(word).ok()?.trim()));
        Some(Deadline::in_time(Duration::from_millis(millis.min()?)))
    }

    /// Writes what is left into `headers`, in the place of whatever stands there.
    ///
    /// # Errors
    /// [`Late`] with less than a millisecond left: rounded down that is nothing. Rounded up, each
    /// hop would add up to a millisecond that nobody has.
    pub fn tell(self, headers: &mut HeaderMap) -> Result<(), Late> {
        match u64::try_from(self.left().as_millis()).unwrap_or(u64::MAX) {
            0 => Err(Late),
            millis => {
                headers.insert(TIME_LEFT, HeaderValue::from(millis));
                Ok(())
            }
        }
    }
    // ANCHOR_END: header
}

// ANCHOR: millis
/// A whole number of milliseconds; below zero it is zero, too large for an integer it is large.
fn millis(word: &str) -> Option<u64> {
    // A caller that computes "deadline minus now" is late with a number below zero. To overlook it
    // would give the most time to the one who has the least.
    let (late, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word),
    };
    // `parse` takes a plus as well, and so no word that is empty or odd gets this far.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(if late { 0 } else { digits.parse().unwrap_or(u64::MAX) })
}
// ANCHOR_END: millis
