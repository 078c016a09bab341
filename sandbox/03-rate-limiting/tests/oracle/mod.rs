//! What a quota means, by its definition and not by anybody's algorithm.
//!
//! A sequence of spends keeps a quota if every run of it does: whatever was spent from the i-th
//! request to the j-th, both included, is at most the burst and what comes back between the two.
//! ("Traffic conforming to (σ, ρ)": R. Cruz, *A Calculus for Network Delay*, 1991.) So the oracle
//! keeps all spends for ever, and for each request looks at every run that would end with it.
//!
//! Times are microseconds, amounts are microseconds of refill, all of it whole.

use rate_limiting::limiter::Quota;
use std::time::Duration;

/// What a clock that goes backwards does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Backwards {
    /// A request is at the time that its clock shows, even before the last one: GCRA.
    AsShown,
    /// A request is at the latest time of a spend before it, if that is later: the bucket.
    Stands,
}

#[derive(Debug)]
pub(crate) struct Oracle {
    burst: i128,
    every: i128,
    backwards: Backwards,
    spends: Vec<(i128, i128)>,
}

/// What a limiter should say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Saying {
    pub(crate) allowed: bool,
    pub(crate) remaining: u32,
    pub retry_after: Option<Duration>,
    pub reset_after: Duration,
}

impl Oracle {
    pub(crate) fn new(quota: Quota, backwards: Backwards) -> Oracle {
        let (burst, every) = (i128::from(quota.burst()), i128::from(quota.every_micros()));
        Oracle { burst, every, backwards, spends: Vec::new() }
    }

    /// When a request counts that is made while the clock shows `now`.
    fn counts_at(&self, now: i128) -> i128 {
        let latest = self.spends.iter().map(|(at, _)| *at).max();
        match self.backwards {
            Backwards::AsShown => now,
            Backwards::Stands => latest.map_or(now, |latest| latest.max(now)),
        }
    }

    /// Whether every run that ends with a spend of `cost` at `at` keeps the quota.
    fn keeps(&self, at: i128, cost: i128) -> bool {
        let mut units = cost;
        let mut keeps = |since, spent| {
            units += spent;
            units * self.every <= self.burst * self.every + at - since
        };
        keeps(at, 0) && self.spends.iter().rev().all(|(since, spent)| keeps(*since, *spent))
    }

    /// The first wait after which `holds`, which then does for ever; `None` beyond the end of time.
    fn first(holds: impl Fn(i128) -> bool) -> Option<Duration> {
        let (mut too_short, mut enough) = (-1, 1_i128 << 54);
        if !holds(enough) {
            return None;
        }
        while enough - too_short > 1 {
            let middle = too_short.midpoint(enough);
            if holds(middle) { enough = middle } else { too_short = middle }
        }
        Some(Duration::from_micros(u64::try_from(enough).expect("above zero")))
    }

    /// Decides on `cost` while the clock shows `now`, and remembers it if it is spent.
    pub(crate) fn decide(&mut self, now: u64, cost: u32) -> Saying {
        let (now, cost) = (i128::from(now), i128::from(cost));
        let at = self.counts_at(now);
        let allowed = cost == 0 || self.keeps(at, cost);
        let retry_after = match allowed {
            true => Some(Duration::ZERO),
            false => Oracle::first(|wait| self.keeps(self.counts_at(now + wait), cost)),
        };
        if allowed && cost > 0 {
            self.spends.push((at, cost));
        }
        let affordable = (1..=self.burst).take_while(|units| self.keeps(at, *units)).count();
        let whole = |wait| self.keeps(self.counts_at(now + wait), self.burst);
        Saying {
            allowed,
            remaining: u32::try_from(affordable).expect("at most the burst"),
            retry_after,
            reset_after: Oracle::first(whole).expect("a bucket fills"),
        }
    }
}
