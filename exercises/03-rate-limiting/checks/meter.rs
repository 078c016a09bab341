//! What a quota means, for a clock that goes forwards: what a key owes, and what time pays back.
//!
//! It is the leaky bucket as a meter, so it counts what was spent, where a token bucket counts what
//! is left. That the references agree with the definition itself, their own tests show, on 10,000
//! traces: sandbox/03-rate-limiting/tests/traces.rs.

use rate_limiting::limiter::{By, Decision, Quota};
use std::time::Duration;

pub(crate) struct Meter {
    quota: Quota,
    owed: u128,
    at: u64,
}

impl Meter {
    pub(crate) fn new(quota: Quota) -> Meter {
        Meter { quota, owed: 0, at: 0 }
    }

    /// Decides on `cost` at `now`, which is not before the last time.
    pub(crate) fn decide(&mut self, now: u64, cost: u32) -> Decision {
        let every = u128::from(self.quota.every_micros());
        let most = u128::from(self.quota.burst()) * every;
        self.owed = self.owed.saturating_sub(u128::from(now - self.at));
        self.at = now;
        let with = self.owed + u128::from(cost) * every;
        let allowed = with <= most;
        let retry_after = match allowed {
            true => Some(0),
            false => (cost <= self.quota.burst()).then_some(with - most),
        };
        if allowed {
            self.owed = with;
        }
        Decision {
            allowed,
            remaining: u32::try_from((most - self.owed) / every).unwrap_or(u32::MAX),
            retry_after: retry_after.map(micros),
            reset_after: micros(self.owed),
            by: By::State,
        }
    }
}

fn micros(micros: u128) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}
