//! What a limiter tells about itself: how it decided, how often blindly, and how long it took.

use crate::limiter::{By, Decision};
use hdrhistogram::Histogram;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counters and a latency histogram. All methods may be called from any task.
#[derive(Debug)]
pub struct Metrics {
    allowed: AtomicU64,
    refused: AtomicU64,
    by_outage: AtomicU64,
    latency: Mutex<Histogram<u64>>,
}

/// The counters at one moment. Every decision is one of `allowed` and `refused`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Decisions that allowed, looks among them.
    pub allowed: u64,
    /// Decisions that refused.
    pub refused: u64,
    /// Those of both that were made without the state: while this rises, nobody counts.
    pub by_outage: u64,
    /// Half of the decisions took no longer than this.
    pub p50: Duration,
    /// All but one in a hundred decisions took no longer than this.
    pub p99: Duration,
    /// The slowest decision.
    pub max: Duration,
}

impl Default for Metrics {
    fn default() -> Metrics {
        // Two significant digits from a microsecond to a minute: 12 kB, and no allocation later.
        let latency = Histogram::new_with_bounds(1, 60_000_000, 2)
            .expect("these bounds are valid: 1 is at least 1, the highest at least twice it");
        Metrics {
            allowed: AtomicU64::default(),
            refused: AtomicU64::default(),
            by_outage: AtomicU64::default(),
            latency: Mutex::new(latency),
        }
    }
}

impl Metrics {
    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        Snapshot {
            allowed: read(&self.allowed),
            refused: read(&self.refused),
            by_outage: read(&self.by_outage),
            p50: Duration::from_micros(latency.value_at_quantile(0.50)),
            p99: Duration::from_micros(latency.value_at_quantile(0.99)),
            max: Duration::from_micros(latency.max()),
        }
    }

    pub(crate) fn decided(&self, decision: &Decision, took: Duration) {
        let verdict = if decision.allowed { &self.allowed } else { &self.refused };
        verdict.fetch_add(1, Ordering::Relaxed);
        if decision.by == By::Outage {
            self.by_outage.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latency.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros);
    }
}
