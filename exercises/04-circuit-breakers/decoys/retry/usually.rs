//! The rest of a wrong answer: calls, by what [`Usual`] says of each step.

use super::usual::{CountsWhen, Earns, Pays, Told, Usual, ceiling};
use circuit_breakers::BoxError;
use circuit_breakers::retry::{
    ATTEMPT, Config, Counts, IDEMPOTENCY_KEY, Outcome, Repeatable, Retry,
};
use circuit_breakers::timeouts::Deadline;
use http::{Request, Response};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The purse of who has one for the whole process.
static EVERYBODYS: AtomicU64 = AtomicU64::new(0);

pub(super) struct Usually<M> {
    config: Config,
    seed: u64,
    random: Mutex<StdRng>,
    unmixed: Mutex<u64>,
    dice: tokio::sync::Mutex<()>,
    balance: AtomicU64,
    lock: Mutex<()>,
    called: Mutex<Option<Instant>>,
    offered: AtomicU64,
    retried: AtomicU64,
    denied: AtomicU64,
    _usual: PhantomData<M>,
}

impl<M: Usual> Usually<M> {
    fn balance(&self) -> &AtomicU64 {
        if M::ONE_PURSE_FOR_ALL { &EVERYBODYS } else { &self.balance }
    }

    fn changes(&self, to: impl Fn(u64) -> Option<u64>) -> bool {
        let balance = self.balance();
        if !M::LETS_GO_IN_BETWEEN {
            return balance.fetch_update(SeqCst, SeqCst, to).is_ok();
        }
        let lock = || self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let looked = {
            let _held = lock();
            balance.load(SeqCst)
        };
        let Some(changed) = to(looked) else {
            return false;
        };
        // It writes a line to its log here, and who writes may have to wait.
        std::thread::yield_now();
        let _held = lock();
        balance.store(changed, SeqCst);
        true
    }

    fn earns(&self) {
        let budget = self.config.budget;
        let idle = match M::AGES {
            true => {
                let mut called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
                called.replace(Instant::now()).map_or(Duration::ZERO, |last| last.elapsed())
            }
            false => Duration::ZERO,
        };
        self.changes(|balance| Some(M::earns(M::ages(balance, idle, budget), budget)));
    }

    fn spends(&self) -> bool {
        let spent = self.changes(M::spends);
        if !spent {
            self.changes(|left| Some(M::denied(left)));
            self.denied.fetch_add(1, SeqCst);
        }
        spent
    }

    fn has_enough(&self) -> bool {
        let enough = M::spends(self.balance().load(SeqCst)).is_some();
        self.denied.fetch_add(u64::from(!enough), SeqCst);
        enough
    }

    fn draws(&self, nth: u32, before: Duration) -> Duration {
        if !M::UNMIXED {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            return M::draws(&self.config, nth, &mut random, before);
        }
        // xorshift64, by G. Marsaglia.
        let mut state = self.unmixed.lock().unwrap_or_else(PoisonError::into_inner);
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        ceiling(&self.config, nth).mul_f64(*state as f64 / u64::MAX as f64)
    }
}

impl<M: Usual> Retry for Usually<M> {
    fn new(config: Config, seed: u64) -> Usually<M> {
        let seed = M::seed(seed);
        Usually {
            config,
            seed,
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            unmixed: Mutex::new(seed),
            dice: tokio::sync::Mutex::new(()),
            balance: AtomicU64::new(M::balance(config.budget)),
            lock: Mutex::new(()),
            called: Mutex::new(None),
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
        let counts_late = M::COUNTS == CountsWhen::Over;
        self.offered.fetch_add(u64::from(!counts_late), SeqCst);
        if M::EARNS == Earns::ByCall
            || M::EARNS == Earns::ByRepeatable && repeatable == Repeatable::Yes
        {
            self.earns();
        }
        if M::SEEDED_FOR_EACH_CALL {
            let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
            *random = StdRng::seed_from_u64(self.seed);
        }
        let answer = self.repeats(repeatable, deadline, &mut attempt).await;
        self.offered.fetch_add(u64::from(counts_late), SeqCst);
        answer
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
        if M::LETS_THE_MARKED_PASS && headers.contains_key(ATTEMPT) {
            return attempt(request).await;
        }
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

impl<M: Usual> Usually<M> {
    async fn repeats<T, A, F>(
        &self,
        repeatable: Repeatable,
        deadline: Option<Deadline>,
        attempt: &mut A,
    ) -> T
    where
        T: Send + 'static,
        A: FnMut(u32) -> F + Send + 'static,
        F: Future<Output = Outcome<T>> + Send + 'static,
    {
        let (mut first, mut before, mut remembered) = (None, Duration::ZERO, None);
        let mut left = deadline.map(Deadline::left);
        let (mut nth, mut answered) = (1, 0);
        loop {
            if M::EARNS == Earns::ByAttempt {
                self.earns();
            }
            let mut work = Box::pin(attempt(nth));
            let outcome = work.as_mut().await;
            let work = M::HOLDS_THE_ATTEMPT.then_some(work);
            if M::EARNS == Earns::WhenAnswered && answered == 0 {
                self.earns();
            }
            self.retried
                .fetch_add(u64::from(answered > 0 && M::COUNTS == CountsWhen::Answered), SeqCst);
            answered += 1;
            if nth > 1 && M::PAYS == Pays::Afterwards {
                self.changes(M::spends);
            }
            let (last, told) = match outcome {
                Outcome::Final(answer) => return answer,
                Outcome::Failed(answer) => (answer, None),
                Outcome::Busy(answer, wait) => (answer, Some(wait)),
            };
            let told = if M::REMEMBERS_WHAT_IT_WAS_TOLD { told.max(remembered) } else { told };
            remembered = told;
            if M::PAYS == Pays::First && !self.spends() {
                return first.unwrap_or(last);
            }
            let dice = match M::HOLDS_THE_DICE {
                true => Some(self.dice.lock().await),
                false => None,
            };
            let drawn = if M::BUSY_IS_THE_FIRST && told.is_some() { 1 } else { nth };
            let jitter = self.draws(drawn, before);
            before = jitter;
            if !M::may(repeatable) || nth >= M::attempts(self.config.attempts) {
                if M::DENIES_ANYTHING {
                    self.has_enough();
                }
                if M::PAYS_FOR_THE_LAST && M::may(repeatable) {
                    self.changes(M::spends);
                }
                if M::SLEEPS_AFTER_THE_LAST {
                    tokio::time::sleep(jitter).await;
                }
                return first.unwrap_or(last);
            }
            let mut pause = M::pause(told, jitter, &self.config);
            if let Some(deadline) = deadline {
                let longest = ceiling(&self.config, nth);
                let in_time = |pause| match left.filter(|_| M::SUBTRACTS_ITS_PAUSES) {
                    Some(left) => (pause < left).then_some(pause),
                    None => M::in_time(deadline, pause, longest),
                };
                pause = pause.and_then(in_time);
            }
            let Some(pause) = pause else {
                return first.unwrap_or(last);
            };
            left = left.map(|left| left.saturating_sub(pause));
            let paid = match M::PAYS {
                Pays::BeforeThePause => self.spends(),
                Pays::Afterwards => self.has_enough(),
                Pays::First | Pays::AfterThePause => true,
            };
            if !paid {
                return first.unwrap_or(last);
            }
            self.retried.fetch_add(u64::from(M::COUNTS == CountsWhen::Decided), SeqCst);
            let keeps = M::HOLDS_THE_ANSWER || M::PAYS == Pays::AfterThePause;
            let mut last = (keeps || M::ANSWERS_THE_FIRST).then_some(last);
            tokio::time::sleep(pause).await;
            drop((dice, work));
            if M::PAYS == Pays::AfterThePause && !self.spends() {
                if let Some(last) = last {
                    return first.unwrap_or(last);
                }
            } else if M::ANSWERS_THE_FIRST && first.is_none() {
                first = last.take();
            }
            let begins = matches!(M::COUNTS, CountsWhen::ItBegins | CountsWhen::Over);
            self.retried.fetch_add(u64::from(begins), SeqCst);
            nth += u32::from(!(M::BUSY_IS_NO_ATTEMPT && told.is_some()));
        }
    }
}

fn outcome<M: Usual, R>(
    config: &Config,
    answer: Result<Response<R>, BoxError>,
) -> Outcome<Result<Response<R>, BoxError>> {
    let mut response = match answer {
        Err(error) if M::transient(config, &error) => return Outcome::Failed(Err(error)),
        Err(error) => return Outcome::Final(Err(error)),
        Ok(response) => response,
    };
    let told = match M::reads(response.headers_mut()) {
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
