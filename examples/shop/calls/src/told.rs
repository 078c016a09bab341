//! What is counted between a caller and those whom it asks, for `GET /counters`.

use std::collections::BTreeMap;

use circuit_breakers::bulkhead;
use circuit_breakers::circuit_breaker::{Metrics, State};
use circuit_breakers::retry;
use serde::{Deserialize, Serialize};

/// What one caller has counted: a line for each service that it asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book(pub Vec<Line>);

/// Between one caller and one service that it asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Who asks.
    pub from: String,
    /// Who is asked.
    pub to: String,
    /// The breakers, by the method that they stand before.
    pub breakers: BTreeMap<String, Switch>,
    /// The retries.
    pub retry: Repeats,
    /// The bulkhead.
    pub bulkhead: Places,
}

/// A breaker. It counts while `pattern.breaker` is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// `closed`, `open` or `half-open`.
    pub state: String,
    /// How often it opened.
    pub opened: u64,
    /// Calls that it did not let through.
    pub refused: u64,
    /// Calls that it let through, and that have ended.
    pub calls: u64,
    /// Those of them that failed.
    pub failed: u64,
}

/// Retries. They are counted while `pattern.retry` is `budget`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeats {
    /// Calls, each counted once.
    pub offered: u64,
    /// Attempts beyond the first.
    pub retried: u64,
    /// Those that there was no budget for.
    pub denied: u64,
}

/// A bulkhead. It counts while `pattern.bulkhead` is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// Calls that have a place.
    pub inside: usize,
    /// Calls that wait for one.
    pub waiting: usize,
    /// Calls that got none.
    pub refused: u64,
}

impl Switch {
    pub(crate) fn told(state: State, metrics: Metrics) -> Switch {
        let state = match state {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half-open",
        };
        Switch {
            state: state.to_owned(),
            opened: metrics.opened,
            refused: metrics.refused,
            calls: metrics.calls(),
            failed: metrics.failed,
        }
    }

    pub(crate) fn is_used(&self) -> bool {
        self.calls + self.refused > 0
    }
}

impl From<retry::Counts> for Repeats {
    fn from(counts: retry::Counts) -> Repeats {
        let retry::Counts { offered, retried, denied } = counts;
        Repeats { offered, retried, denied }
    }
}

impl From<bulkhead::Counts> for Places {
    fn from(counts: bulkhead::Counts) -> Places {
        let bulkhead::Counts { inside, waiting, refused } = counts;
        Places { inside, waiting, refused }
    }
}

impl Line {
    /// Whether anything was ever asked.
    pub(crate) fn is_used(&self) -> bool {
        let places = self.bulkhead.refused + self.bulkhead.inside as u64;
        !self.breakers.is_empty() || places + self.retry.offered > 0
    }
}

impl Book {
    /// The line about who asks `to`.
    pub fn to(&self, to: &str) -> Option<&Line> {
        self.0.iter().find(|line| line.to == to)
    }
}
