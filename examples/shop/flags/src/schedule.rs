//! A fault that comes and goes, the same in every run.
//!
//! A schedule is a function of the time since the start of a run, and is evaluated by whoever
//! reads the flag. A task that switched the flag at the right moments would be late now and then,
//! and two runs would differ by it.

use crate::invalid::{At, Invalid};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// When a flag is in force. Outside, it is as if it were disabled.
///
/// In a flag's `metadata`, all of it in milliseconds since the start of the run:
/// `{"schedule.from_ms": 2000, "schedule.until_ms": 5000}` for one window, or
/// `{"schedule.seed": 7, "schedule.every_ms": 2000, "schedule.for_ms": 500}` for windows that are
/// drawn from a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// One window: in force from the one to the other, without the end.
    Once {
        /// Milliseconds since the start.
        from_ms: u64,
        /// Milliseconds since the start; later than `from_ms`.
        until_ms: u64,
    },
    /// A window in each stretch of time, at a place in it that the seed decides.
    Drawn {
        /// The same seed gives the same windows.
        seed: u64,
        /// How long a stretch is, in milliseconds. At least 1.
        every_ms: u64,
        /// How long the window in it is, in milliseconds; from 1 to `every_ms`.
        for_ms: u64,
    },
}

const PREFIX: &str = "schedule.";

impl Schedule {
    /// Whether the flag is in force this long after the start of the run.
    pub fn is_on(&self, since_start: Duration) -> bool {
        let now = u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX);
        match *self {
            Self::Once { from_ms, until_ms } => (from_ms..until_ms).contains(&now),
            Self::Drawn { seed, every_ms, for_ms } => {
                let (stretch, within) = (now / every_ms, now % every_ms);
                let begin = draw(seed, stretch) % (every_ms - for_ms + 1);
                // Not `begin + for_ms > within`, which the largest numbers would overflow.
                begin <= within && within - begin < for_ms
            }
        }
    }

    /// Takes the schedule out of a flag's metadata, if there is one.
    pub(crate) fn parse(
        metadata: &Map<String, Value>,
        at: &At<'_>,
    ) -> Result<Option<Self>, Invalid> {
        let given: Vec<&str> = metadata.keys().filter_map(|key| key.strip_prefix(PREFIX)).collect();
        let number = |key: &str| {
            let key = format!("{PREFIX}{key}");
            let value = metadata.get(&key).unwrap_or(&Value::Null);
            let wrong = || at.child(&key).wrong(value, "a whole number of at least 0");
            value.as_u64().ok_or_else(wrong)
        };
        // The keys of a JSON object come sorted.
        let schedule = match given[..] {
            [] => return Ok(None),
            ["from_ms", "until_ms"] => {
                Self::Once { from_ms: number("from_ms")?, until_ms: number("until_ms")? }
            }
            ["every_ms", "for_ms", "seed"] => Self::Drawn {
                seed: number("seed")?,
                every_ms: number("every_ms")?,
                for_ms: number("for_ms")?,
            },
            _ => {
                return Err(at.invalid(format!(
                    "{} make no schedule; it takes from_ms and until_ms, or seed, every_ms and \
                     for_ms, each behind `{PREFIX}`",
                    crate::invalid::list(&given)
                )));
            }
        };
        if schedule.has_a_window() {
            Ok(Some(schedule))
        } else {
            Err(at.invalid("the schedule has no window: until_ms must be after from_ms, and for_ms from 1 to every_ms"))
        }
    }

    pub(crate) fn write(&self, metadata: &mut Map<String, Value>) {
        let mut put =
            |key: &str, value: u64| metadata.insert(format!("{PREFIX}{key}"), json!(value));
        match *self {
            Self::Once { from_ms, until_ms } => {
                put("from_ms", from_ms);
                put("until_ms", until_ms);
            }
            Self::Drawn { seed, every_ms, for_ms } => {
                put("seed", seed);
                put("every_ms", every_ms);
                put("for_ms", for_ms);
            }
        }
    }

    fn has_a_window(&self) -> bool {
        match *self {
            Self::Once { from_ms, until_ms } => from_ms < until_ms,
            Self::Drawn { every_ms, for_ms, .. } => (1..=every_ms).contains(&for_ms),
        }
    }
}

/// The number that a seed has for a stretch: a step of SplitMix64 (Steele, Lea and Flood, OOPSLA
/// 2014), which needs no state, so that any moment can be asked about.
fn draw(seed: u64, stretch: u64) -> u64 {
    let mut z = seed.wrapping_add(stretch.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
