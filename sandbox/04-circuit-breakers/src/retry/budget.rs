//! What calls have earned, and retries have not spent yet.

use super::Budget;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a retry costs. A call earns `percent` of these, so all of it is whole numbers: a tenth has
/// no end in binary, and ten of them are not one.
const RETRY: u64 = 100;

/// One number that all callers share.
#[derive(Debug)]
pub(super) struct Purse {
    earning: u64,
    most: u64,
    balance: AtomicU64,
}

// ANCHOR: purse
impl Purse {
    pub(super) fn of(budget: Budget) -> Purse {
        Purse {
            earning: u64::from(budget.percent),
            most: u64::from(budget.reserve) * RETRY,
            balance: AtomicU64::new(0),
        }
    }

    /// For each call that is offered, also for those that fail. Who earns only by success has
    /// nothing when everything fails; who earns by attempts earns by retries, too.
    pub(super) fn earn(&self) {
        self.change(|balance| Some((balance + self.earning).min(self.most)));
    }

    /// Whether there is a whole retry. To look and to take are one step: in two, two callers take
    /// the same one.
    pub(super) fn spend(&self) -> bool {
        self.change(|balance| balance.checked_sub(RETRY))
    }

    fn change(&self, to: impl FnMut(u64) -> Option<u64>) -> bool {
        // Relaxed: nothing else is read or written by whoever sees this number.
        self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, to).is_ok()
    }
}
// ANCHOR_END: purse

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_calls_earn_one_retry_and_not_a_little_less() {
        let purse = Purse::of(Budget { percent: 10, reserve: 10 });
        for _ in 0..9 {
            purse.earn();
            assert!(!purse.spend());
        }
        purse.earn();
        assert!(purse.spend());
        assert!(!purse.spend());
    }

    #[test]
    fn no_more_is_saved_than_the_reserve() {
        let purse = Purse::of(Budget { percent: 250, reserve: 3 });
        for _ in 0..1_000 {
            purse.earn();
        }
        let spent = (0..10).filter(|_| purse.spend()).count();
        assert_eq!(spent, 3);
    }

    #[test]
    fn without_a_reserve_there_is_no_retry() {
        let purse = Purse::of(Budget { percent: u32::MAX, reserve: 0 });
        purse.earn();
        assert!(!purse.spend());
    }
}
