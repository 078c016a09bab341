//! Those who are wrong around the call: before it begins, while it runs, and when it is refused.

use circuit_breakers::circuit_breaker::{
    Breaker, CallError, CircuitBreaker, Config, Judgement, Open, State,
};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whoever asks too often has to wait a little, so that a loop of retries does not spin. Under load
/// the refused pile up, as if they were waiting for the dependency. Rejected by `refused_at_once`.
pub(super) struct RefusesPolitely {
    breaker: Breaker,
}

impl CircuitBreaker for RefusesPolitely {
    fn new(config: Config) -> RefusesPolitely {
        RefusesPolitely { breaker: Breaker::new(config) }
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
        let result = self.breaker.call(judge, call).await;
        if matches!(result, Err(CallError::Open(_))) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        result
    }

    fn state(&self) -> State {
        self.breaker.state()
    }
}

/// Lets one call in a hundred through while it is open, to notice sooner that all is well again. At a
/// thousand calls a second a dependency that cannot stand ten gets ten. Rejected by
/// `open_means_no_call`.
pub(super) struct LetsOneInAHundredThrough {
    breaker: Breaker,
    asked: AtomicU32,
}

impl CircuitBreaker for LetsOneInAHundredThrough {
    fn new(config: Config) -> LetsOneInAHundredThrough {
        LetsOneInAHundredThrough { breaker: Breaker::new(config), asked: AtomicU32::new(0) }
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
        let open = self.breaker.state() == State::Open;
        if open && self.asked.fetch_add(1, Ordering::SeqCst) % 100 == 99 {
            return call.await.map_err(CallError::Call);
        }
        self.breaker.call(judge, call).await
    }

    fn state(&self) -> State {
        self.breaker.state()
    }
}

/// One judge after the other, under a lock of their own, for a judge may write to the same log. A
/// judge that takes its time holds up everybody. Rejected by `judges_overlap`.
pub(super) struct JudgesInTurn {
    breaker: Breaker,
    turn: Mutex<()>,
}

impl CircuitBreaker for JudgesInTurn {
    fn new(config: Config) -> JudgesInTurn {
        JudgesInTurn { breaker: Breaker::new(config), turn: Mutex::default() }
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
            let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            judge(result)
        };
        self.breaker.call(judge, call).await
    }

    fn state(&self) -> State {
        self.breaker.state()
    }
}

/// Holds the lock for no await, only for each poll. A call that looks at the breaker, in a log line
/// for instance, waits for itself. Rejected by `call_may_look`.
pub(super) struct PollsUnderTheLock {
    breaker: Breaker,
    lock: Mutex<()>,
}

impl CircuitBreaker for PollsUnderTheLock {
    fn new(config: Config) -> PollsUnderTheLock {
        PollsUnderTheLock { breaker: Breaker::new(config), lock: Mutex::default() }
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
        let polled = async {
            let mut call = pin!(call);
            poll_fn(|context| {
                let _inside = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
                call.as_mut().poll(context)
            })
            .await
        };
        self.breaker.call(judge, polled).await
    }

    fn state(&self) -> State {
        let _inside = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.breaker.state()
    }
}

/// At half-open it wants to know one thing: is anybody there? Any answer will do, and "503, come
/// later" is one. Rejected by `judge_decides`.
pub(super) struct AnAnswerHeals {
    breaker: Breaker,
}

impl CircuitBreaker for AnAnswerHeals {
    fn new(config: Config) -> AnAnswerHeals {
        AnAnswerHeals { breaker: Breaker::new(config) }
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
            let judgement = judge(result);
            match self.breaker.state() == State::HalfOpen && result.is_ok() {
                true => Judgement::Success,
                false => judgement,
            }
        };
        self.breaker.call(judge, call).await
    }

    fn state(&self) -> State {
        self.breaker.state()
    }
}

/// Puts up a gate for the probes at the first trip, and does not take it down. It has healed, and
/// lets in a handful at a time. Rejected by `closed_lets_all_in`.
pub(super) struct KeepsThePlaces {
    breaker: Breaker,
    places: u32,
    tripped: AtomicBool,
    in_flight: AtomicU32,
}

impl CircuitBreaker for KeepsThePlaces {
    fn new(config: Config) -> KeepsThePlaces {
        let (tripped, in_flight) = (AtomicBool::new(false), AtomicU32::new(0));
        let (breaker, places) = (Breaker::new(config), config.probes);
        KeepsThePlaces { breaker, places, tripped, in_flight }
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
        let _place = Place(&self.in_flight);
        if self.tripped.load(Ordering::SeqCst) && mine >= self.places {
            return Err(Open { retry_after: Duration::ZERO }.into());
        }
        let result = self.breaker.call(judge, call).await;
        if self.breaker.state() == State::Open {
            self.tripped.store(true, Ordering::SeqCst);
        }
        result
    }

    fn state(&self) -> State {
        self.breaker.state()
    }
}

/// Gives a place back when it is dropped.
struct Place<'a>(&'a AtomicU32);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A function that makes a future, and has taken a place by then: its guard is made in the future,
/// where it begins. A future that is dropped before it was ever polled, by a `select!` or a caller
/// that is cancelled, never comes there. Rejected by `unpolled_takes_no_place`.
pub(super) struct HasAPlaceBeforeItBegins {
    breaker: Breaker,
    places: u32,
    in_flight: AtomicU32,
}

impl CircuitBreaker for HasAPlaceBeforeItBegins {
    fn new(config: Config) -> HasAPlaceBeforeItBegins {
        let (breaker, places) = (Breaker::new(config), config.probes);
        HasAPlaceBeforeItBegins { breaker, places, in_flight: AtomicU32::new(0) }
    }

    fn call<T, E, F>(
        &self,
        judge: impl FnOnce(&Result<T, E>) -> Judgement + Send,
        call: F,
    ) -> impl Future<Output = Result<T, CallError<E>>> + Send
    where
        F: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: Send,
    {
        let mine = self.in_flight.fetch_add(1, Ordering::SeqCst);
        async move {
            let _place = Place(&self.in_flight);
            if self.breaker.state() == State::HalfOpen && mine >= self.places {
                return Err(Open { retry_after: Duration::ZERO }.into());
            }
            self.breaker.call(judge, call).await
        }
    }

    fn state(&self) -> State {
        self.breaker.state()
    }
}

/// Has read that the longest time is for ever, and looks for that one. One second less, and the sum
/// panics. Rejected by `for_ever`.
pub(super) struct OnlyTheLongestIsForEver {
    breaker: Breaker,
    open_for: Duration,
}

impl CircuitBreaker for OnlyTheLongestIsForEver {
    fn new(config: Config) -> OnlyTheLongestIsForEver {
        OnlyTheLongestIsForEver { breaker: Breaker::new(config), open_for: config.open_for }
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
        let _until = (self.open_for != Duration::MAX).then(|| Instant::now() + self.open_for);
        self.breaker.call(judge, call).await
    }

    fn state(&self) -> State {
        self.breaker.state()
    }
}
