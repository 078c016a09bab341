//! Those who are wrong at the edges: what a result means, what numbers may be, how long is long, and
//! what is shared by whom.

use super::usual::{Inside, Usual};
use super::{State, usual_fails};
use circuit_breakers::circuit_breaker::{
    Breaker, CallError, CircuitBreaker, Config, Judgement, Open,
};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Says how long it will be open, and not how long it still is. Who comes late waits twice. Rejected
/// by `retry_after_counts_down`.
pub(super) struct SaysTheSameToAll;

impl Usual for SaysTheSameToAll {
    fn retry_after(_: Duration, config: &Config) -> Duration {
        config.open_for
    }
}

/// Refused is refused, so it says the same as when it is open. By the time that they come again
/// it has long been closed. Rejected by `retry_after_counts_down`.
pub(super) struct WholeTimeAtHalfOpen;

impl Usual for WholeTimeAtHalfOpen {
    fn full(config: &Config) -> Duration {
        config.open_for
    }
}

/// Knows better than its configuration how long a trip may last. Rejected by
/// `retry_after_counts_down`.
pub(super) struct ForASecondAtMost;

impl Usual for ForASecondAtMost {
    fn open_for(_: &Inside, config: &Config) -> Duration {
        config.open_for.min(Duration::from_secs(1))
    }
}

/// Takes the time at the first failure of the row. If failures come slowly, it opens for a time
/// that is nearly over. Rejected by `retry_after_counts_down`.
pub(super) struct FromTheFirstFailure;

impl Usual for FromTheFirstFailure {
    fn fails(inside: &mut Inside, config: &Config) {
        if inside.state == State::Closed && inside.row == 0 {
            inside.opened = Instant::now();
        }
        let first = inside.opened;
        let probed = inside.state == State::HalfOpen;
        usual_fails(inside, config);
        if inside.state == State::Open && !probed {
            inside.opened = first;
        }
    }
}

/// Takes the numbers as they are. With no failures the row is never as long as that, and with no
/// probes nobody is let in again. Rejected by `none_is_read_as_one`.
pub(super) struct NoneIsNone;

impl Usual for NoneIsNone {
    fn read(config: Config) -> Config {
        config
    }
}

/// Asks only about errors. An answer of HTTP is an `Ok` whatever its status is, so a dependency
/// that answers 503 to all is well. Rejected by `judge_decides`.
pub(super) struct OkIsWell(Breaker);

impl CircuitBreaker for OkIsWell {
    fn new(config: Config) -> OkIsWell {
        OkIsWell(Breaker::new(config))
    }

    async fn call<T, E, F>(
        &self,
        judge: impl FnOnce(&Result<T, E>) -> Judgement + Send,
        call: F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: Send,
    {
        let judge = |result: &Result<T, E>| match result {
            Ok(_) => Judgement::Success,
            Err(_) => judge(result),
        };
        self.0.call(judge, call).await
    }

    fn state(&self) -> State {
        self.0.state()
    }
}

/// The other way round: an error is never a success. "Sold out" is what a shop says that is well,
/// and it ends no row of failures. Rejected by `judge_decides`.
pub(super) struct ErrIsIll(Breaker);

impl CircuitBreaker for ErrIsIll {
    fn new(config: Config) -> ErrIsIll {
        ErrIsIll(Breaker::new(config))
    }

    async fn call<T, E, F>(
        &self,
        judge: impl FnOnce(&Result<T, E>) -> Judgement + Send,
        call: F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: Send,
    {
        let judge = |result: &Result<T, E>| match (judge(result), result) {
            (Judgement::Success, Err(_)) => Judgement::Failure,
            (judgement, _) => judgement,
        };
        self.0.call(judge, call).await
    }

    fn state(&self) -> State {
        self.0.state()
    }
}

/// Takes the lock, then asks what the result means, in one line. The judge is the caller's, and may
/// look at the breaker, in a log line for instance: it waits for itself. Rejected by
/// `judge_may_look`.
pub(super) struct JudgesUnderTheLock {
    breaker: Breaker,
    lock: Mutex<()>,
}

impl CircuitBreaker for JudgesUnderTheLock {
    fn new(config: Config) -> JudgesUnderTheLock {
        JudgesUnderTheLock { breaker: Breaker::new(config), lock: Mutex::default() }
    }

    async fn call<T, E, F>(
        &self,
        judge: impl FnOnce(&Result<T, E>) -> Judgement + Send,
        call: F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: Send,
    {
        let judge = |result: &Result<T, E>| {
            let _inside = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            judge(result)
        };
        self.breaker.call(judge, call).await
    }

    fn state(&self) -> State {
        let _inside = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.breaker.state()
    }
}

/// Guards its place while the call runs, and lets go of the guard when it is back: what could happen
/// between two lines? The judge is one of the caller's, too. Rejected by `judge_panics`.
pub(super) struct LosesThePermitOfAJudge {
    breaker: Breaker,
    probes: u32,
    in_flight: AtomicU32,
}

struct Place<'a>(&'a AtomicU32);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl CircuitBreaker for LosesThePermitOfAJudge {
    fn new(config: Config) -> LosesThePermitOfAJudge {
        let (breaker, in_flight) = (Breaker::new(config), AtomicU32::new(0));
        LosesThePermitOfAJudge { breaker, probes: config.probes, in_flight }
    }

    async fn call<T, E, F>(
        &self,
        judge: impl FnOnce(&Result<T, E>) -> Judgement + Send,
        call: F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: Send,
    {
        let mine = self.in_flight.fetch_add(1, Ordering::SeqCst);
        let place = Place(&self.in_flight);
        if self.breaker.state() == State::HalfOpen && mine >= self.probes {
            return Err(Open { retry_after: Duration::ZERO }.into());
        }
        let (call, mut place) = (call, Some(place));
        let judge = |result: &Result<T, E>| {
            std::mem::forget(place.take());
            let judgement = judge(result);
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            judgement
        };
        self.breaker.call(judge, call).await
    }

    fn state(&self) -> State {
        self.breaker.state()
    }
}

/// One breaker for the process, because it has to be shared. When the mail server is down, nobody
/// can pay. Rejected by `one_for_each`.
pub(super) struct OneForAll(Arc<Breaker>);

impl CircuitBreaker for OneForAll {
    fn new(config: Config) -> OneForAll {
        static ALL: Mutex<Option<(Config, Arc<Breaker>)>> = Mutex::new(None);
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        match &*all {
            Some((made, breaker)) if *made == config => OneForAll(Arc::clone(breaker)),
            _ => {
                let breaker = Arc::new(Breaker::new(config));
                *all = Some((config, Arc::clone(&breaker)));
                OneForAll(breaker)
            }
        }
    }

    async fn call<T, E, F>(
        &self,
        judge: impl FnOnce(&Result<T, E>) -> Judgement + Send,
        call: F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: Send,
    {
        self.0.call(judge, call).await
    }

    fn state(&self) -> State {
        self.0.state()
    }
}

/// Adds the time to the clock, as one does. For ever is more than the clock can hold, and the sum
/// panics, in the call that was to open it. Rejected by `for_ever`.
pub(super) struct SumsTheClock {
    breaker: Breaker,
    config: Config,
}

impl CircuitBreaker for SumsTheClock {
    fn new(config: Config) -> SumsTheClock {
        SumsTheClock { breaker: Breaker::new(config), config }
    }

    async fn call<T, E, F>(
        &self,
        judge: impl FnOnce(&Result<T, E>) -> Judgement + Send,
        call: F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: Send,
    {
        let _until = Instant::now() + self.config.open_for;
        self.breaker.call(judge, call).await
    }

    fn state(&self) -> State {
        self.breaker.state()
    }
}

/// Looks whether there is room, writes a line, and takes it: each step under the lock, or with an
/// atomic of its own. Two threads look at the same moment, and both find the last place free. Rejected by
/// `threads_at_half_open`.
pub(super) struct LooksThenTakes;

impl Usual for LooksThenTakes {
    const LOOKS_FIRST: bool = true;
}
