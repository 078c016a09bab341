//! Ratios that travel: two operations timed in turns, in one run.
//!
//! Two benchmarks that run one after the other meet two machines: the second may be warmer, or
//! busier. Here a block of the one is followed by a block of the other, who goes first alternates,
//! and the ratio is taken of each pair. What slows the machine for a while slows both.

use std::time::{Duration, Instant};

const PAIRS: usize = 200;
const BLOCK: u32 = 40;

/// What two operations cost, by the median pair.
pub(crate) struct Pair {
    /// How many times the baseline the other takes.
    pub(crate) ratio: f64,
    /// One operation of the baseline.
    pub(crate) baseline: Duration,
    /// One operation of the other.
    pub(crate) other: Duration,
}

/// Times `baseline` and `other` in turns.
pub(crate) async fn compare(baseline: impl AsyncFn(), other: impl AsyncFn()) -> Pair {
    let (mut ratios, mut baselines, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let (first, second);
        if pair % 2 == 0 {
            first = block(&baseline).await;
            second = block(&other).await;
        } else {
            second = block(&other).await;
            first = block(&baseline).await;
        }
        ratios.push(second.as_secs_f64() / first.as_secs_f64());
        baselines.push(first / BLOCK);
        others.push(second / BLOCK);
    }
    ratios.sort_by(f64::total_cmp);
    baselines.sort();
    others.sort();
    let middle = PAIRS / 2;
    Pair { ratio: ratios[middle], baseline: baselines[middle], other: others[middle] }
}

async fn block(operation: &impl AsyncFn()) -> Duration {
    let began = Instant::now();
    for _ in 0..BLOCK {
        operation().await;
    }
    began.elapsed()
}

/// The most that a hit may cost, as a multiple of a raw GET.
const BOUND: f64 = 1.10;

/// Compares until the bound holds, at most three times: on a busy machine even a median strays.
/// The best of them, and whether it holds.
pub(crate) async fn hit_against_get(get: impl AsyncFn(), hit: impl AsyncFn()) -> (Pair, bool) {
    let mut best = compare(&get, &hit).await;
    for _ in 0..2 {
        if best.ratio <= BOUND {
            break;
        }
        let again = compare(&get, &hit).await;
        if again.ratio < best.ratio {
            best = again;
        }
    }
    let holds = best.ratio <= BOUND;
    (best, holds)
}

/// Whether figures are asked for: `--list` and `--test` are for other things.
pub(crate) fn wanted() -> bool {
    !std::env::args().any(|argument| argument == "--list" || argument == "--test")
}

/// A line of the summary for a time beside its baseline.
pub(crate) fn line(what: &str, pair: &Pair) {
    let micros = |time: Duration| format!("{:.1} µs", time.as_secs_f64() * 1e6);
    let (baseline, other) = (micros(pair.baseline), micros(pair.other));
    let ratio = match pair.ratio {
        small if small < 10.0 => format!("{small:.3}"),
        large => format!("{large:.0}"),
    };
    println!("  {what:<40}{other:>12}{baseline:>12}{ratio:>10}");
}

/// Ends the benchmark: badly, if a hit costs more than its bound.
pub(crate) fn end(holds: bool) {
    if !holds {
        println!("\n  A hit costs more than {BOUND:.2} raw GETs, in the best of three attempts.");
        println!("  Next: run it again on a quiet machine; if it stays, look at `get`.");
        std::process::exit(1);
    }
    println!("\n  The bound holds: a hit costs at most {BOUND:.2} raw GETs.");
}
