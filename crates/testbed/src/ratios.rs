//! Ratios that travel: two operations timed in turns, in one run.
//!
//! Two benchmarks that run one after the other meet two machines: the second may be warmer, or
//! busier. Here a block of the one is followed by a block of the other, who goes first alternates,
//! and the ratio is taken of each pair. What slows the machine for a while slows both.

use std::time::{Duration, Instant};

const PAIRS: usize = 200;
const BLOCK: u32 = 40;
/// On a busy machine even a median strays.
const ATTEMPTS: usize = 3;

/// The ratios of one benchmark, printed as they are taken, and the bounds that were not kept.
#[must_use]
pub struct Ratios {
    broken: Vec<String>,
}

/// What two operations cost, by the median pair.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// How many times the baseline the other takes.
    pub ratio: f64,
    /// One operation of the baseline.
    pub baseline: Duration,
    /// One operation of the other.
    pub other: Duration,
}

/// Whether figures are asked for: `--list` and `--test` are for other things.
pub fn wanted() -> bool {
    !std::env::args().any(|argument| argument == "--list" || argument == "--test")
}

impl Ratios {
    /// Begins the summary of the benchmark `name`.
    pub fn of(name: &str) -> Ratios {
        println!("\n{name}, ratios of this run (median of {PAIRS} pairs of blocks of {BLOCK})\n");
        println!("  {:<40}{:>12}{:>12}{:>10}", "", "takes", "beside", "ratio");
        Ratios { broken: Vec::new() }
    }

    /// Compares, for people to read.
    pub async fn compare(&self, what: &str, baseline: impl AsyncFn(), other: impl AsyncFn()) {
        line(what, &pair(BLOCK, &baseline, &other).await);
    }

    /// Compares until `other` takes at most `bound` times the baseline, at most three times.
    pub async fn at_most(
        &mut self,
        bound: f64,
        what: &str,
        baseline: impl AsyncFn(),
        other: impl AsyncFn(),
    ) {
        let best = best(bound, BLOCK, &baseline, &other).await;
        line(what, &best);
        self.judge(bound, what, best.ratio);
    }

    /// Compares operations that take milliseconds, as to a server that is far: one of each in turns,
    /// until `other` takes at most `bound` times the baseline.
    pub async fn at_most_far(
        &mut self,
        bound: f64,
        what: &str,
        baseline: impl AsyncFn(),
        other: impl AsyncFn(),
    ) {
        let best = best(bound, 1, &baseline, &other).await;
        line(what, &best);
        self.judge(bound, what, best.ratio);
    }

    /// Holds a ratio that was measured in another way against its bound.
    pub fn judge(&mut self, bound: f64, what: &str, ratio: f64) {
        // What is not a number has not kept a bound either.
        if ratio.is_nan() || ratio > bound {
            self.broken.push(format!("{what}: {ratio:.3}, and at most {bound:.2} was promised"));
        }
    }

    /// Ends the benchmark: badly, if a bound was not kept.
    pub fn end(self) {
        if self.broken.is_empty() {
            println!("\n  All bounds hold.");
            return;
        }
        println!("\n  In the best of {ATTEMPTS} attempts:");
        for bound in &self.broken {
            println!("    {bound}");
        }
        println!("  Next: run it again on a quiet machine; if it stays, look at what it measures.");
        std::process::exit(1);
    }
}

/// A line of a summary: a time beside its baseline.
pub fn line(what: &str, pair: &Pair) {
    let time = |time: Duration| match time.as_secs_f64() * 1e6 {
        small if small < 1.0 => format!("{:.1} ns", small * 1e3),
        micros => format!("{micros:.1} µs"),
    };
    let (baseline, other) = (time(pair.baseline), time(pair.other));
    let ratio = match pair.ratio {
        small if small < 10.0 => format!("{small:.3}"),
        large => format!("{large:.0}"),
    };
    println!("  {what:<40}{other:>12}{baseline:>12}{ratio:>10}");
}

/// The best of some attempts, of which the first that keeps the bound is the last.
async fn best(bound: f64, block: u32, baseline: &impl AsyncFn(), other: &impl AsyncFn()) -> Pair {
    let mut best = pair(block, baseline, other).await;
    for _ in 1..ATTEMPTS {
        if best.ratio <= bound {
            break;
        }
        let again = pair(block, baseline, other).await;
        if again.ratio < best.ratio {
            best = again;
        }
    }
    best
}

/// Times `baseline` and `other` in turns, so many of each at a time.
async fn pair(many: u32, baseline: &impl AsyncFn(), other: &impl AsyncFn()) -> Pair {
    let (mut ratios, mut baselines, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..PAIRS {
        let (first, second);
        if turn % 2 == 0 {
            first = block(many, baseline).await;
            second = block(many, other).await;
        } else {
            second = block(many, other).await;
            first = block(many, baseline).await;
        }
        ratios.push(second.as_secs_f64() / first.as_secs_f64());
        baselines.push(first / many);
        others.push(second / many);
    }
    ratios.sort_by(f64::total_cmp);
    baselines.sort();
    others.sort();
    let middle = PAIRS / 2;
    Pair { ratio: ratios[middle], baseline: baselines[middle], other: others[middle] }
}

async fn block(many: u32, operation: &impl AsyncFn()) -> Duration {
    let began = Instant::now();
    for _ in 0..many {
        operation().await;
    }
    began.elapsed()
}
