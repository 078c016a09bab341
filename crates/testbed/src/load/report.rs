//! What came of a load.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Counts and latencies of one run.
#[derive(Debug, Clone)]
pub struct Report {
    /// Operations begun: every arrival.
    pub offered: u64,
    /// Those that ended well.
    pub ok: u64,
    /// Those that ended in an error.
    pub errors: u64,
    /// From the first arrival to the end of the last operation.
    pub elapsed: Duration,
    /// The worst delay of this generator itself between an intended arrival and the beginning
    /// of its operation. It is part of the latencies.
    pub late: Duration,
    /// Latencies in microseconds, from the intended arrival, of the operations that ended
    /// well: errors are often fast, and would make a failing server look quick.
    pub histogram: Histogram<u64>,
}

/// The longest latency that the histogram tells apart.
const LONGEST: Duration = Duration::from_secs(600);

impl Report {
    pub(super) fn new() -> Self {
        let longest = micros(LONGEST);
        let histogram = Histogram::new_with_bounds(1, longest, 3)
            .expect("three digits from 1 to 600 million are within HdrHistogram's bounds");
        let (elapsed, late) = (Duration::ZERO, Duration::ZERO);
        Self { offered: 0, ok: 0, errors: 0, elapsed, late, histogram }
    }

    pub(super) fn begun(&mut self, late: Duration) {
        self.offered += 1;
        self.late = self.late.max(late);
    }

    pub(super) fn ended(&mut self, latency: Duration, ok: bool) {
        if ok {
            self.ok += 1;
            self.histogram.saturating_record(micros(latency));
        } else {
            self.errors += 1;
        }
    }

    pub(super) fn finish(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
    }

    /// Half of the operations that ended well took no longer.
    pub fn p50(&self) -> Duration {
        self.quantile(0.50)
    }

    /// 99 in 100 took no longer.
    pub fn p99(&self) -> Duration {
        self.quantile(0.99)
    }

    /// 999 in 1,000 took no longer.
    pub fn p999(&self) -> Duration {
        self.quantile(0.999)
    }

    /// The longest of those that ended well.
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.histogram.max())
    }

    /// The latency that a part of 1 of the operations that ended well did not exceed; zero
    /// where none did.
    pub fn quantile(&self, part: f64) -> Duration {
        Duration::from_micros(self.histogram.value_at_quantile(part))
    }

    /// Operations that ended well, a second.
    pub fn throughput(&self) -> f64 {
        if self.elapsed.is_zero() { 0.0 } else { self.ok as f64 / self.elapsed.as_secs_f64() }
    }
}

/// One line, under 80 columns; those of several reports stand below each other.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |latency: Duration| latency.as_secs_f64() * 1e3;
        write!(
            f,
            "ok {:>6}  errors {:>5}  {:>7.0}/s  p50 {:>7.2}  p99 {:>7.2}  p99.9 {:>7.2} ms",
            self.ok,
            self.errors,
            self.throughput(),
            millis(self.p50()),
            millis(self.p99()),
            millis(self.p999()),
        )
    }
}

fn micros(latency: Duration) -> u64 {
    u64::try_from(latency.as_micros()).unwrap_or(u64::MAX)
}
