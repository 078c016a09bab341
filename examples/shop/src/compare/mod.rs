//! The same work with a pattern and without: one seed, one machine, one table.
//!
//! What must hold is checked, and a comparison in which it does not hold fails. That goes for
//! counts; times are told and not judged, since they are the machine's as much as the pattern's.

use std::time::Duration;

use clap::Args;
use shop_flags::{
    Flags, PatternBreaker, PatternBulkhead, PatternLimiter, PatternRetry, PatternTimeout,
};

use crate::books::Invariant;
use crate::whole::Setup;

pub mod asynchronous;
pub mod breaker;
mod buyers;
pub mod cache;
pub mod limiter;
pub mod lock;
pub mod monolith;
pub mod retry;
pub mod saga;
pub mod tracing;

/// How a comparison is run.
#[derive(Args, Clone, Copy, Debug)]
pub struct Run {
    /// Of everything that is drawn
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// PostgreSQL and Redis in place of what is embedded: those of DATABASE_URL and REDIS_URL,
    /// or private ones that are started for this run
    #[arg(long)]
    pub real: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What an unoptimised build has to say of its own figures.
fn build() -> Option<&'static str> {
    cfg!(debug_assertions)
        .then_some("An unoptimised build: counts are exact, times are better with --release.")
}

/// What a comparison opens a shop with: nothing but what it compares. No limit at the door, through
/// which all of its load comes from one address, and nothing around the calls between services.
fn setup() -> Setup {
    let setup = Setup::default();
    setup.flags.set(PatternLimiter::Off);
    guard(&setup.flags, false);
    setup
}

/// Switches all that stands around calls, topic 04, on or off.
fn guard(flags: &Flags, on: bool) {
    if on {
        flags.set(PatternBreaker::On);
        flags.set(PatternRetry::Budget);
        flags.set(PatternTimeout::Deadline);
        flags.set(PatternBulkhead::On);
    } else {
        flags.set(PatternBreaker::Off);
        flags.set(PatternRetry::Off);
        flags.set(PatternTimeout::Off);
        flags.set(PatternBulkhead::Off);
    }
}

/// Whether all lines of the books hold, in one; those that do not, besides.
fn balanced(what: &str, invariants: &[Invariant]) {
    for broken in invariants.iter().filter(|invariant| !invariant.holds) {
        page::judged(broken.what, false, &broken.figures);
    }
    let lines = invariants.len();
    let holding = invariants.iter().filter(|invariant| invariant.holds).count();
    page::judged(what, holding == lines, &format!("{holding} of {lines} lines"));
}

/// How many times smaller.
fn ratio(before: f64, after: f64) -> String {
    match before / after {
        times if !times.is_finite() => "÷ ∞".into(),
        times if times >= 9.95 => format!("÷ {times:.0}"),
        times => format!("÷ {times:.1}"),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
