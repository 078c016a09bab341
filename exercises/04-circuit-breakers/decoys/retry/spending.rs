//! Wrong budgets.

use super::usual::{Pays, Usual};
use circuit_breakers::retry::Budget;

/// Three attempts for everybody. When everything is down, that is three times the load. Rejected by
/// `budget_in_an_outage`.
pub(super) struct NoBudget;

impl Usual for NoBudget {
    fn spends(balance: u64) -> Option<u64> {
        Some(balance)
    }
}

/// Each call has a budget of its own, in which there is always one retry: twice the load. Rejected
/// by `budget_in_an_outage`.
pub(super) struct BudgetForEachCall;

impl Usual for BudgetForEachCall {
    fn earns(_: u64, _: Budget) -> u64 {
        100
    }
}

/// Begins with a full reserve. After a deploy, every process has one. Rejected by
/// `budget_in_an_outage`.
pub(super) struct StartsFull;

impl Usual for StartsFull {
    fn balance(budget: Budget) -> u64 {
        u64::from(budget.reserve) * 100
    }
}

/// Each attempt earns, and so do retries: a tenth of a tenth, and a tenth of that. Rejected by
/// `budget_in_an_outage`.
pub(super) struct EarnsByAttempts;

impl Usual for EarnsByAttempts {
    const EARNS_BY_ATTEMPTS: bool = true;
}

/// Earns only with what it may repeat. A service that mostly takes orders has nothing for its reads.
/// Rejected by `earned_again`.
pub(super) struct EarnsByReads;

impl Usual for EarnsByReads {
    const EARNS_BY_REPEATABLES: bool = true;
}

/// Counts in whole retries, and a tenth of one is none: the budget is never more than empty.
/// Rejected by `budget_in_an_outage`.
pub(super) struct NeverSpends;

impl Usual for NeverSpends {
    fn earns(balance: u64, budget: Budget) -> u64 {
        (balance + u64::from(budget.percent / 100) * 100).min(u64::from(budget.reserve) * 100)
    }
}

/// Looks whether there is a retry, makes it, and pays for it then. All who look meanwhile see the
/// same one. Rejected by `one_budget_for_all`.
pub(super) struct PaysAfterwards;

impl Usual for PaysAfterwards {
    const PAYS: Pays = Pays::Afterwards;
}

/// Once it was empty it stays so: a switch, and nobody to turn it back. Rejected by `earned_again`.
pub(super) struct LatchesShut;

impl Usual for LatchesShut {
    fn earns(balance: u64, budget: Budget) -> u64 {
        match balance {
            u64::MAX => u64::MAX,
            balance => (balance + u64::from(budget.percent)).min(u64::from(budget.reserve) * 100),
        }
    }

    fn spends(balance: u64) -> Option<u64> {
        balance.checked_sub(100).filter(|_| balance != u64::MAX)
    }

    fn denied(_: u64) -> u64 {
        u64::MAX
    }
}

/// Saves without end. After a quiet week there are a hundred thousand retries for the first bad
/// minute. Rejected by `earned_again`.
pub(super) struct SavesWithoutEnd;

impl Usual for SavesWithoutEnd {
    fn earns(balance: u64, budget: Budget) -> u64 {
        if budget.reserve == 0 { 0 } else { balance + u64::from(budget.percent) }
    }
}

/// Pays as soon as something fails, and asks afterwards whether it may be repeated: a row of orders
/// that failed leaves nothing for the reads. Rejected by `spent_on_repeats_only`.
pub(super) struct PaysForAnything;

impl Usual for PaysForAnything {
    const PAYS: Pays = Pays::First;
}

/// Waits, and asks the budget then. In an outage every caller waits in order to be told no. Rejected
/// by `denied_at_once`.
pub(super) struct WaitsToBeDenied;

impl Usual for WaitsToBeDenied {
    const PAYS: Pays = Pays::AfterThePause;
}
