//! Too long, or for the wrong thing.

use super::usual::{CountsWhen, Usual};
use circuit_breakers::BoxError;
use circuit_breakers::retry::{Config, Counts, Outcome, Repeatable, Retries, Retry};
use circuit_breakers::timeouts::Deadline;
use http::{Request, Response};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Until it works. Rejected by `attempts_are_counted`.
pub(super) struct ForEver;

impl Usual for ForEver {
    fn attempts(_: u32) -> u32 {
        u32::MAX
    }
}

/// Takes attempts for retries. Rejected by `attempts_are_counted`.
pub(super) struct OneTooMany;

impl Usual for OneTooMany {
    fn attempts(said: u32) -> u32 {
        said + 1
    }
}

/// Fail, wait, and only then count: the last pause leads to nothing. Rejected by
/// `attempts_are_counted`.
pub(super) struct SleepsAfterTheLast;

impl Usual for SleepsAfterTheLast {
    const SLEEPS_AFTER_THE_LAST: bool = true;
}

/// Knows of no deadline. Rejected by `deadline_is_kept`.
pub(super) struct SleepsPastTheDeadline;

impl Usual for SleepsPastTheDeadline {
    fn in_time(_: Deadline, pause: Duration, _: Duration) -> Option<Duration> {
        Some(pause)
    }
}

/// Cuts the pause to what is left, and asks at the very moment at which nobody waits any more.
/// Rejected by `deadline_is_kept`.
pub(super) struct SleepsUpToTheDeadline;

impl Usual for SleepsUpToTheDeadline {
    fn in_time(deadline: Deadline, pause: Duration, _: Duration) -> Option<Duration> {
        Some(pause.min(deadline.left()))
    }
}

/// Asks whether the longest pause that it may draw would fit, and not the one that it has drawn. Near
/// the deadline nothing is repeated, though most pauses would have ended in time. Rejected by
/// `deadline_is_kept`.
pub(super) struct ExpectsTheWorst;

impl Usual for ExpectsTheWorst {
    fn in_time(deadline: Deadline, pause: Duration, ceiling: Duration) -> Option<Duration> {
        (pause.max(ceiling) < deadline.left()).then_some(pause)
    }
}

/// Shrinks the pause until it fits. Whoever has little time left comes back soonest, all of them, and
/// each spends a retry. Rejected by `deadline_is_kept`.
pub(super) struct ShrinksThePause;

impl Usual for ShrinksThePause {
    fn in_time(deadline: Deadline, pause: Duration, ceiling: Duration) -> Option<Duration> {
        let left = deadline.left();
        let fits = match left < ceiling && pause <= ceiling {
            true => pause.mul_f64(left.div_duration_f64(ceiling)),
            false => pause,
        };
        (fits < left).then_some(fits)
    }
}

/// Keeps the answer that failed until the next one comes. It is of no use to anybody, and with it the
/// connection on which its body would come is kept over the pause. Rejected by `pause_holds_nothing`.
pub(super) struct HoldsTheAnswer;

impl Usual for HoldsTheAnswer {
    const HOLDS_THE_ANSWER: bool = true;
}

/// Draws its pause under an asynchronous lock, and lets go of that when the pause is over. Who
/// succeeds notices nothing; those who fail wait for each other, one pause after the other. Rejected
/// by `nobody_waits_for_another`.
pub(super) struct HoldsTheDice;

impl Usual for HoldsTheDice {
    const HOLDS_THE_DICE: bool = true;
}

/// Counts a retry when it is decided, and not when it is made. Who leaves in the pause is counted, and
/// the dependency was never asked. Rejected by `caller_leaves`.
pub(super) struct CountsTooSoon;

impl Usual for CountsTooSoon {
    const COUNTS: CountsWhen = CountsWhen::Decided;
}

/// Counts a retry when it has been answered. Who leaves in the second attempt has asked twice, and one
/// is counted. Rejected by `caller_leaves`.
pub(super) struct CountsTooLate;

impl Usual for CountsTooLate {
    const COUNTS: CountsWhen = CountsWhen::Answered;
}

/// Counts a call when it is over, beside its answer. Those that hang, and are left, are those that one
/// would like to see. Rejected by `caller_leaves`.
pub(super) struct CountsWhatIsOver;

impl Usual for CountsWhatIsOver {
    const COUNTS: CountsWhen = CountsWhen::Over;
}

/// Who was told when to come again did not fail, so it goes on with the same attempt, for as long as
/// it is told so. Rejected by `attempts_are_counted`.
pub(super) struct BusyIsNoAttempt;

impl Usual for BusyIsNoAttempt {
    const BUSY_IS_NO_ATTEMPT: bool = true;
}

/// Reads once how much is left, and takes off what it has waited. The attempts take time as well, and
/// most of it. Rejected by `deadline_is_kept`.
pub(super) struct SubtractsItsPauses;

impl Usual for SubtractsItsPauses {
    const SUBTRACTS_ITS_PAUSES: bool = true;
}

/// A pause that ends with the deadline is in time, it says. Then the next attempt begins when nobody
/// waits any more. Rejected by `deadline_is_kept`.
pub(super) struct UpToTheEnd;

impl Usual for UpToTheEnd {
    fn in_time(deadline: Deadline, pause: Duration, _: Duration) -> Option<Duration> {
        (pause <= deadline.left()).then_some(pause)
    }
}

/// Pins the attempt in a variable, where it lies over the pause with all that it had. Rejected by
/// `pause_holds_nothing`.
pub(super) struct HoldsTheAttempt;

impl Usual for HoldsTheAttempt {
    const HOLDS_THE_ATTEMPT: bool = true;
}

/// In a task of its own, "so that it is finished whatever the caller does". The caller has gone, and
/// it goes on asking. Rejected by `caller_leaves`.
pub(super) struct GoesOnAlone(Arc<Retries>);

impl Retry for GoesOnAlone {
    fn new(config: Config, seed: u64) -> GoesOnAlone {
        GoesOnAlone(Arc::new(Retries::new(config, seed)))
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
        let inner = Arc::clone(&self.0);
        let task = tokio::spawn(async move { inner.call(repeatable, deadline, attempt).await });
        task.await.expect("the task does not panic")
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
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move { inner.send(request, attempt).await }).await?
    }

    fn counts(&self) -> Counts {
        self.0.counts()
    }
}

/// One lock around all of it, for the budget changes. It is held while somebody waits. Rejected by
/// `nobody_waits_for_another`.
pub(super) struct HoldsALock {
    inner: Retries,
    turn: Mutex<()>,
}

impl Retry for HoldsALock {
    fn new(config: Config, seed: u64) -> HoldsALock {
        HoldsALock { inner: Retries::new(config, seed), turn: Mutex::new(()) }
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
        let _turn = self.turn.lock().await;
        self.inner.call(repeatable, deadline, attempt).await
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
        let _turn = self.turn.lock().await;
        self.inner.send(request, attempt).await
    }

    fn counts(&self) -> Counts {
        self.inner.counts()
    }
}
