//! What a cache tells about itself: hits, misses, loads, and how long a caller waited.

use hdrhistogram::Histogram;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counters and a latency histogram. All methods may be called from any task.
#[derive(Debug)]
pub struct Metrics {
    hits: AtomicU64,
    stale_hits: AtomicU64,
    misses: AtomicU64,
    shared: AtomicU64,
    loads: AtomicU64,
    load_errors: AtomicU64,
    refused_fills: AtomicU64,
    redis_errors: AtomicU64,
    latency: Mutex<Histogram<u64>>,
}

/// The counters at one moment. Every read is one of `hits`, `stale_hits` and `misses`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Reads answered from the cache with a fresh value.
    pub hits: u64,
    /// Reads answered from the cache with a value past its time, while it was refreshed.
    pub stale_hits: u64,
    /// Reads that the cache could not answer, for whatever reason.
    pub misses: u64,
    /// Misses that waited for somebody else's load instead of loading.
    pub shared: u64,
    /// Loads that came to an end, one way or the other. Cancelled ones are not among them.
    pub loads: u64,
    /// Loads that failed.
    pub load_errors: u64,
    /// Loaded values that were not stored because the key was invalidated meanwhile: each is a
    /// stale entry that did not happen.
    pub refused_fills: u64,
    /// Commands that Redis failed or did not answer in time. Callers never see these.
    pub redis_errors: u64,
    /// Half of the reads took no longer than this.
    pub p50: Duration,
    /// All but one in a hundred reads took no longer than this.
    pub p99: Duration,
    /// The slowest read.
    pub max: Duration,
}

impl Snapshot {
    /// The share of reads that the cache answered, from 0 to 1. Zero before the first read.
    pub fn hit_ratio(&self) -> f64 {
        let answered = self.hits + self.stale_hits;
        match answered + self.misses {
            0 => 0.0,
            reads => answered as f64 / reads as f64,
        }
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        // Two significant digits from a microsecond to a minute: 12 kB, and no allocation later.
        let latency = Histogram::new_with_bounds(1, 60_000_000, 2)
            .expect("these bounds are valid: 1 is at least 1, the highest at least twice it");
        Metrics {
            hits: AtomicU64::default(),
            stale_hits: AtomicU64::default(),
            misses: AtomicU64::default(),
            shared: AtomicU64::default(),
            loads: AtomicU64::default(),
            load_errors: AtomicU64::default(),
            refused_fills: AtomicU64::default(),
            redis_errors: AtomicU64::default(),
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
            hits: read(&self.hits),
            stale_hits: read(&self.stale_hits),
            misses: read(&self.misses),
            shared: read(&self.shared),
            loads: read(&self.loads),
            load_errors: read(&self.load_errors),
            refused_fills: read(&self.refused_fills),
            redis_errors: read(&self.redis_errors),
            p50: Duration::from_micros(latency.value_at_quantile(0.50)),
            p99: Duration::from_micros(latency.value_at_quantile(0.99)),
            max: Duration::from_micros(latency.max()),
        }
    }

    pub(crate) fn hit(&self, took: Duration) {
        self.hits.fetch_add(1, Ordering::Relaxed);
        self.took(took);
    }

    pub(crate) fn stale_hit(&self, took: Duration) {
        self.stale_hits.fetch_add(1, Ordering::Relaxed);
        self.took(took);
    }

    pub(crate) fn shared(&self) {
        self.shared.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn miss(&self, took: Duration) {
        self.misses.fetch_add(1, Ordering::Relaxed);
        self.took(took);
    }

    pub(crate) fn load(&self, succeeded: bool) {
        self.loads.fetch_add(1, Ordering::Relaxed);
        if !succeeded {
            self.load_errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn refused_fill(&self) {
        self.refused_fills.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn redis_error(&self) {
        self.redis_errors.fetch_add(1, Ordering::Relaxed);
    }

    fn took(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latency.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(micros);
    }
}
