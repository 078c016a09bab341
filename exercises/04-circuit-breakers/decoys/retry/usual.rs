//! What most of the wrong answers get right: each changes one thing of it.

use circuit_breakers::BoxError;
use circuit_breakers::retry::{
    ATTEMPT, Budget, Config, Counts, IDEMPOTENCY_KEY, Outcome, Repeatable, Retry,
};
use circuit_breakers::timeouts::Deadline;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// When a retry is paid for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pays {
    /// Before anything else is asked.
    First,
    /// When nothing else speaks against it.
    BeforeThePause,
    /// When the pause is over.
    AfterThePause,
    /// When it was made. Before the pause somebody only looks whether there is enough.
    Afterwards,
}

/// One way to do each step.
pub(super) trait Usual: Send + Sync + Sized + 'static {
    const PAYS: Pays = Pays::BeforeThePause;
    const SLEEPS_AFTER_THE_LAST: bool = false;
    const ANSWERS_THE_FIRST: bool = false;
    const SEEDED_FOR_EACH_CALL: bool = false;
    const EARNS_BY_ATTEMPTS: bool = false;
    const EARNS_BY_REPEATABLES: bool = false;
    const HOLDS_THE_ANSWER: bool = false;
    const HOLDS_THE_DICE: bool = false;
    const COUNTS_TOO_SOON: bool = false;

    fn attempts(said: u32) -> u32 {
        said
    }

    fn seed(seed: u64) -> u64 {
        seed
    }

    fn jitter(config: &Config, nth: u32, random: &mut StdRng) -> Duration {
        random.random_range(Duration::ZERO..=ceiling(config, nth))
    }

    /// As [`Usual::jitter`], with the pause before in view.
    fn draws(config: &Config, nth: u32, random: &mut StdRng, _before: Duration) -> Duration {
        Self::jitter(config, nth, random)
    }

    /// `None`: that is too long.
    fn pause(told: Option<Duration>, jitter: Duration, config: &Config) -> Option<Duration> {
        let told = told.unwrap_or_default();
        (told <= config.longest).then(|| told + jitter)
    }

    /// `None`: that is too late.
    fn in_time(deadline: Deadline, pause: Duration, _ceiling: Duration) -> Option<Duration> {
        (pause < deadline.left()).then_some(pause)
    }

    fn balance(_: Budget) -> u64 {
        0
    }

    fn earns(balance: u64, budget: Budget) -> u64 {
        (balance + u64::from(budget.percent)).min(u64::from(budget.reserve) * 100)
    }

    fn spends(balance: u64) -> Option<u64> {
        balance.checked_sub(100)
    }

    /// What is left when there was not enough.
    fn denied(balance: u64) -> u64 {
        balance
    }

    fn may(repeatable: Repeatable) -> bool {
        repeatable == Repeatable::Yes
    }

    fn idempotent(method: &Method) -> bool {
        method.is_idempotent()
    }

    fn keyed(key: &str) -> bool {
        !key.is_empty()
    }

    fn repeated_above(headers: &HeaderMap) -> bool {
        headers.contains_key(ATTEMPT)
    }

    /// What is written on a request: `repeats` says whether it would be sent again.
    fn marks(headers: &mut HeaderMap, nth: u32, repeats: bool) {
        if repeats {
            headers.insert(ATTEMPT, nth.into());
        }
    }

    fn copies<B: Clone>(request: &Request<B>, _nth: u32) -> Request<B> {
        request.clone()
    }

    fn transient(config: &Config, error: &BoxError) -> bool {
        (config.transient)(error)
    }

    fn gives_up(error: BoxError) -> BoxError {
        error
    }

    /// Of an answer that is no success: `None` is final, `Some` failed, with what it was told.
    fn failed(status: StatusCode, told: Told) -> Option<Option<Duration>> {
        match (status.as_u16(), told) {
            (429 | 502 | 503 | 504, Told::Wait(wait)) => Some(Some(wait)),
            (502..=504, Told::Nothing) => Some(None),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Wait(Duration),
    Unclear,
}

pub(super) fn ceiling(config: &Config, nth: u32) -> Duration {
    config.first.saturating_mul(2_u32.saturating_pow(nth - 1)).min(config.longest)
}

pub(super) struct Usually<M> {
    config: Config,
    seed: u64,
    random: Mutex<StdRng>,
    dice: tokio::sync::Mutex<()>,
    balance: AtomicU64,
    offered: AtomicU64,
    retried: AtomicU64,
    denied: AtomicU64,
    _usual: PhantomData<M>,
}

impl<M: Usual> Usually<M> {
    fn earns(&self) {
        let earns = |balance| Some(M::earns(balance, self.config.budget));
        let _ = self.balance.fetch_update(SeqCst, SeqCst, earns);
    }

    fn spends(&self) -> bool {
        let spent = self.balance.fetch_update(SeqCst, SeqCst, M::spends).is_ok();
        if !spent {
            let _ = self.balance.fetch_update(SeqCst, SeqCst, |left| Some(M::denied(left)));
            self.denied.fetch_add(1, SeqCst);
        }
        spent
    }

    fn has_enough(&self) -> bool {
        let enough = M::spends(self.balance.load(SeqCst)).is_some();
        self.denied.fetch_add(u64::from(!enough), SeqCst);
        enough
    }
}

impl<M: Usual> Retry for Usually<M> {
    fn new(config: Config, seed: u64) -> Usually<M> {
        let seed = M::seed(seed);
        Usually {
            config,
            seed,
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            dice: tokio::sync::Mutex::new(()),
            balance: AtomicU64::new(M::balance(config.budget)),
            offered: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            _usual: PhantomData,
        }
    }

    async fn call<T, A, F>(
        &self,
        repeatable: Repeatable,
        deadline: Option<Deadline>,
        mut attempt: A,
    ) -> T
    where
        T: Send + 'static,
        A: FnMut(u32) -> F + Send + 'static,
        F: Future<Output = Outcome<T>> + Send + 'static,
    {
        self.offered.fetch_add(1, SeqCst);
        let earns = !M::EARNS_BY_REPEATABLES || repeatable == Repeatable::Yes;
        if earns && !M::EARNS_BY_ATTEMPTS {
            self.earns();
        }
        if M::SEEDED_FOR_EACH_CALL {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            *random = StdRng::seed_from_u64(self.seed);
        }
        let mut first = None;
        let mut before = Duration::ZERO;
        let mut nth = 1;
        loop {
            if M::EARNS_BY_ATTEMPTS {
                self.earns();
            }
            let outcome = attempt(nth).await;
            if nth > 1 && M::PAYS == Pays::Afterwards {
                let _ = self.balance.fetch_update(SeqCst, SeqCst, M::spends);
            }
            let (last, told) = match outcome {
                Outcome::Final(answer) => return answer,
                Outcome::Failed(answer) => (answer, None),
                Outcome::Busy(answer, wait) => (answer, Some(wait)),
            };
            if M::PAYS == Pays::First && !self.spends() {
                return first.unwrap_or(last);
            }
            let dice = match M::HOLDS_THE_DICE {
                true => Some(self.dice.lock().await),
                false => None,
            };
            let jitter = {
                let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
                M::draws(&self.config, nth, &mut random, before)
            };
            before = jitter;
            if !M::may(repeatable) || nth >= M::attempts(self.config.attempts) {
                if M::SLEEPS_AFTER_THE_LAST {
                    tokio::time::sleep(jitter).await;
                }
                return first.unwrap_or(last);
            }
            let pause = M::pause(told, jitter, &self.config);
            let pause = match deadline {
                Some(deadline) => {
                    pause.and_then(|pause| M::in_time(deadline, pause, ceiling(&self.config, nth)))
                }
                None => pause,
            };
            let Some(pause) = pause else {
                return first.unwrap_or(last);
            };
            let paid = match M::PAYS {
                Pays::BeforeThePause => self.spends(),
                Pays::Afterwards => self.has_enough(),
                Pays::First | Pays::AfterThePause => true,
            };
            if !paid {
                return first.unwrap_or(last);
            }
            self.retried.fetch_add(u64::from(M::COUNTS_TOO_SOON), SeqCst);
            let keeps = M::HOLDS_THE_ANSWER || M::PAYS == Pays::AfterThePause;
            let mut last = (keeps || M::ANSWERS_THE_FIRST).then_some(last);
            tokio::time::sleep(pause).await;
            drop(dice);
            if M::PAYS == Pays::AfterThePause && !self.spends() {
                if let Some(last) = last {
                    return first.unwrap_or(last);
                }
            } else if M::ANSWERS_THE_FIRST && first.is_none() {
                first = last.take();
            }
            self.retried.fetch_add(u64::from(!M::COUNTS_TOO_SOON), SeqCst);
            nth += 1;
        }
    }

    async fn send<B, R, A, F>(
        &self,
        request: Request<B>,
        mut attempt: A,
    ) -> Result<Response<R>, BoxError>
    where
        B: Clone + Send + 'static,
        R: Send + 'static,
        A: FnMut(Request<B>) -> F + Send + 'static,
        F: Future<Output = Result<Response<R>, BoxError>> + Send + 'static,
    {
        let headers = request.headers();
        let key = headers.get(IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok());
        let harmless = M::idempotent(request.method()) || key.is_some_and(M::keyed);
        let repeats = harmless && !M::repeated_above(headers);
        let repeatable = if repeats { Repeatable::Yes } else { Repeatable::No };
        let deadline = request.extensions().get::<Deadline>().copied();
        let config = self.config;
        let answer = self.call(repeatable, deadline, move |nth| {
            let mut request = M::copies(&request, nth);
            M::marks(request.headers_mut(), nth, repeats);
            let answer = attempt(request);
            async move { outcome::<M, R>(&config, answer.await) }
        });
        answer.await.map_err(M::gives_up)
    }

    fn counts(&self) -> Counts {
        Counts {
            offered: self.offered.load(SeqCst),
            retried: self.retried.load(SeqCst),
            denied: self.denied.load(SeqCst),
        }
    }
}

fn outcome<M: Usual, R>(
    config: &Config,
    answer: Result<Response<R>, BoxError>,
) -> Outcome<Result<Response<R>, BoxError>> {
    let response = match answer {
        Err(error) if M::transient(config, &error) => return Outcome::Failed(Err(error)),
        Err(error) => return Outcome::Final(Err(error)),
        Ok(response) => response,
    };
    let told = match response.headers().get(RETRY_AFTER) {
        None => Told::Nothing,
        Some(value) => match value.to_str().map(str::parse) {
            Ok(Ok(seconds)) => Told::Wait(Duration::from_secs(seconds)),
            _ => Told::Unclear,
        },
    };
    match M::failed(response.status(), told) {
        None => Outcome::Final(Ok(response)),
        Some(None) => Outcome::Failed(Ok(response)),
        Some(Some(wait)) => Outcome::Busy(Ok(response), wait),
    }
}
