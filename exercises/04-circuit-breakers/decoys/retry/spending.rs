//! Wrong budgets.

use super::usual::{Earns, Pays, Usual};
use circuit_breakers::BoxError;
use circuit_breakers::retry::{Budget, Config, Counts, Outcome, Repeatable, Retries, Retry};
use circuit_breakers::timeouts::Deadline;
use http::{Request, Response};
use std::time::Duration;

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
    const EARNS: Earns = Earns::ByAttempt;
}

/// Earns only with what it may repeat. A service that mostly takes orders has nothing for its reads.
/// Rejected by `earned_again`.
pub(super) struct EarnsByReads;

impl Usual for EarnsByReads {
    const EARNS: Earns = Earns::ByRepeatable;
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

/// Looks what there is under a lock, lets go of it, and takes it again to write what is left. Each
/// line by itself is safe; two threads that come in between spend one retry twice, or earn one share.
/// Rejected by `threads_share_a_budget`.
pub(super) struct LetsGoInBetween;

impl Usual for LetsGoInBetween {
    const LETS_GO_IN_BETWEEN: bool = true;
}

/// Earns when the answer is there. In an outage callers do not wait for that: they leave, and their
/// calls have earned nothing. Rejected by `each_call_earns`.
pub(super) struct EarnsWhenAnswered;

impl Usual for EarnsWhenAnswered {
    const EARNS: Earns = Earns::WhenAnswered;
}

/// Returns early for what somebody above repeats: there is nothing to do. It was a call all the same.
/// Rejected by `each_call_earns`.
pub(super) struct LetsTheMarkedPass;

impl Usual for LetsTheMarkedPass {
    const LETS_THE_MARKED_PASS: bool = true;
}

/// Adds a share only if it fits whole. Ninety and thirty are more than a hundred, so it stays at
/// ninety for ever. Rejected by `each_call_earns`.
pub(super) struct EarnsWhatFits;

impl Usual for EarnsWhatFits {
    fn earns(balance: u64, budget: Budget) -> u64 {
        let earned = balance + u64::from(budget.percent);
        if earned > u64::from(budget.reserve) * 100 { balance } else { earned }
    }
}

/// A retry for so many calls, in whole calls, as in tower's `TpsBudget`: 70 % is one for each, and so
/// is 100 %. Rejected by `budget_in_an_outage`.
pub(super) struct RoundsToWholeCalls;

impl Usual for RoundsToWholeCalls {
    fn earns(balance: u64, budget: Budget) -> u64 {
        let share = 100_u64.checked_div(u64::from(budget.percent)).map_or(0, |n| 100 / n.max(1));
        (balance + share).min(u64::from(budget.reserve) * 100)
    }
}

/// A purse in a `static`: one process, one budget. A dependency that is well pays for the outage of
/// another. Rejected by `calls_alone_earn`.
pub(super) struct OnePurseForAll;

impl Usual for OnePurseForAll {
    const ONE_PURSE_FOR_ALL: bool = true;
}

/// A retry a second for nothing, so that a client of few calls has some, as in tower's reserve. And
/// as many more as there are clients. Rejected by `calls_alone_earn`.
pub(super) struct EarnsByTheClock;

impl Usual for EarnsByTheClock {
    const AGES: bool = true;

    fn ages(balance: u64, idle: Duration, budget: Budget) -> u64 {
        (balance + idle.as_secs().min(1_000_000) * 100).min(u64::from(budget.reserve) * 100)
    }
}

/// What was earned is lost after ten seconds, as in Finagle and in tower. A client of few calls never
/// has a whole retry. Rejected by `calls_alone_earn`.
pub(super) struct Expires;

impl Usual for Expires {
    const AGES: bool = true;

    fn ages(balance: u64, idle: Duration, _: Budget) -> u64 {
        if idle > Duration::from_secs(10) { 0 } else { balance }
    }
}

/// Asks the budget before it counts the attempts. Who fails to the end has paid for a repeat that
/// nobody makes. Rejected by `spent_on_repeats_only`.
pub(super) struct PaysForTheLast;

impl Usual for PaysForTheLast {
    const PAYS_FOR_THE_LAST: bool = true;
}

/// Asks the budget first, though it takes nothing yet. An order that fails when it is empty counts as
/// denied, and somebody raises the budget. Rejected by `denied_at_once`.
pub(super) struct DeniesAnything;

impl Usual for DeniesAnything {
    const DENIES_ANYTHING: bool = true;
}

/// `reserve * 100`, as it came, in 32 bits: "no limit" is an overflow. Rejected by
/// `limits_at_their_ends`.
pub(super) struct CountsInThirtyTwoBits;

impl Usual for CountsInThirtyTwoBits {
    fn earns(balance: u64, budget: Budget) -> u64 {
        (balance + u64::from(budget.percent)).min(u64::from(budget.reserve * 100))
    }
}

/// "Retry budget exhausted", in the place of the answer. It was a 503 that said when to come again.
/// Rejected by `denied_at_once`.
pub(super) struct NamesTheBudget(Retries);

impl Retry for NamesTheBudget {
    fn new(config: Config, seed: u64) -> NamesTheBudget {
        NamesTheBudget(Retries::new(config, seed))
    }

    async fn call<T, A, F>(
        &self,
        repeatable: Repeatable,
        deadline: Option<Deadline>,
        attempt: A,
    ) -> T
    where
        T: Send + 'static,
        A: FnMut(u32) -> F + Send + 'static,
        F: Future<Output = Outcome<T>> + Send + 'static,
    {
        self.0.call(repeatable, deadline, attempt).await
    }

    async fn send<B, R, A, F>(
        &self,
        request: Request<B>,
        attempt: A,
    ) -> Result<Response<R>, BoxError>
    where
        B: Clone + Send + 'static,
        R: Send + 'static,
        A: FnMut(Request<B>) -> F + Send + 'static,
        F: Future<Output = Result<Response<R>, BoxError>> + Send + 'static,
    {
        let before = self.0.counts().denied;
        let answer = self.0.send(request, attempt).await;
        match self.0.counts().denied == before {
            true => answer,
            false => Err("retry budget exhausted".into()),
        }
    }

    fn counts(&self) -> Counts {
        self.0.counts()
    }
}
