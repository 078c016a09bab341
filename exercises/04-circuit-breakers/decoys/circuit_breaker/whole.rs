//! Those who are wrong as a whole.

use circuit_breakers::circuit_breaker::{
    Breaker, CallError, CircuitBreaker, Config, Judgement, Open, State,
};
use failsafe::backoff::Constant;
use failsafe::failure_policy::ConsecutiveFailures;
use failsafe::{Instrument, StateMachine, backoff, failure_policy};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The crate as its README shows it, for futures: ask for permission, call, tell. It does what it
/// says, and leaves to its caller who is let in at half-open. Rejected by `hundred_at_half_open`.
pub(super) struct BareFailsafe {
    machine: StateMachine<ConsecutiveFailures<Constant>, Seen>,
    seen: Seen,
}

#[derive(Clone)]
struct Seen(Arc<Mutex<State>>);

impl Seen {
    fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

impl Instrument for Seen {
    fn on_call_rejected(&self) {}

    fn on_open(&self) {
        self.set(State::Open);
    }

    fn on_half_open(&self) {
        self.set(State::HalfOpen);
    }

    fn on_closed(&self) {
        self.set(State::Closed);
    }
}

impl CircuitBreaker for BareFailsafe {
    fn new(config: Config) -> BareFailsafe {
        let backoff = backoff::constant(config.open_for);
        let policy = failure_policy::consecutive_failures(config.failures, backoff);
        let seen = Seen(Arc::new(Mutex::new(State::Closed)));
        BareFailsafe { machine: StateMachine::new(policy, seen.clone()), seen }
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
        if !self.machine.is_call_permitted() {
            return Err(Open { retry_after: Duration::from_millis(1) }.into());
        }
        let result = call.await;
        match judge(&result) {
            Judgement::Failure => self.machine.on_error(),
            Judgement::Success | Judgement::Ignored => self.machine.on_success(),
        }
        result.map_err(CallError::Call)
    }

    fn state(&self) -> State {
        *self.seen.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the call and the question beside each other, to save the time of asking, and throws the
/// call away if the answer is no. The dependency has got it by then. Rejected by
/// `open_means_no_call`.
pub(super) struct CallsThenLooks {
    breaker: Breaker,
}

impl CircuitBreaker for CallsThenLooks {
    fn new(config: Config) -> CallsThenLooks {
        CallsThenLooks { breaker: Breaker::new(config) }
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
        let mut call = Box::pin(call);
        let early = std::future::poll_fn(|context| {
            std::task::Poll::Ready(match call.as_mut().poll(context) {
                std::task::Poll::Ready(result) => Some(result),
                std::task::Poll::Pending => None,
            })
        });
        let early = early.await;
        let rest = async move {
            match early {
                Some(result) => result,
                None => call.await,
            }
        };
        self.breaker.call(judge, rest).await
    }

    fn state(&self) -> State {
        self.breaker.state()
    }
}

/// Counts the places itself, and gives one back in the line after the await. A panic, and a drop,
/// never come to that line. Rejected by `panicked_probe_frees_place`.
pub(super) struct GivesBackAfterTheAwait {
    breaker: Breaker,
    probes: u32,
    in_flight: AtomicU32,
}

impl CircuitBreaker for GivesBackAfterTheAwait {
    fn new(config: Config) -> GivesBackAfterTheAwait {
        let breaker = Breaker::new(config);
        GivesBackAfterTheAwait { breaker, probes: config.probes, in_flight: AtomicU32::new(0) }
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
        if self.breaker.state() == State::HalfOpen && mine >= self.probes {
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
            return Err(Open { retry_after: Duration::ZERO }.into());
        }
        let result = self.breaker.call(judge, call).await;
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        result
    }

    fn state(&self) -> State {
        self.breaker.state()
    }
}

/// The state is behind a lock, and the lock is tokio's, so that it may be held while awaiting. One
/// slow call, and all wait for it, who would have been told otherwise that it is slow. Rejected by
/// `calls_overlap`.
pub(super) struct HoldsTheLock {
    breaker: Breaker,
    turn: tokio::sync::Mutex<()>,
}

impl CircuitBreaker for HoldsTheLock {
    fn new(config: Config) -> HoldsTheLock {
        HoldsTheLock { breaker: Breaker::new(config), turn: tokio::sync::Mutex::new(()) }
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
        let _turn = self.turn.lock().await;
        self.breaker.call(judge, call).await
    }

    fn state(&self) -> State {
        self.breaker.state()
    }
}

/// Says "half-open" as soon as the time is over. On the dashboard it looks as if somebody were
/// asking, for as long as nobody does. Rejected by `state_agrees`.
pub(super) struct StateByTheClock {
    breaker: Breaker,
    config: Config,
    opened: Mutex<Option<Instant>>,
}

impl CircuitBreaker for StateByTheClock {
    fn new(config: Config) -> StateByTheClock {
        StateByTheClock { breaker: Breaker::new(config), config, opened: Mutex::new(None) }
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
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        match self.breaker.state() {
            State::Open => _ = opened.get_or_insert_with(Instant::now),
            State::Closed | State::HalfOpen => *opened = None,
        }
        drop(opened);
        result
    }

    fn state(&self) -> State {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        match *opened {
            Some(opened) if opened.elapsed() >= self.config.open_for => State::HalfOpen,
            _ => self.breaker.state(),
        }
    }
}
