//! A breaker as it is usually written, right in all but one part. Each decoy is one such part.

use circuit_breakers::circuit_breaker::{
    CallError, CircuitBreaker, Config, Judgement, Open, State,
};
use std::marker::PhantomData;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The parts that people get wrong. What stands here is right.
pub(super) trait Usual: Send + Sync + 'static {
    /// Whether one more may come in at half-open.
    fn has_room(inside: &Inside, config: &Config) -> bool {
        inside.in_flight + inside.succeeded < config.probes
    }

    /// Whether it gives the lock away between the look for room and the taking of it.
    const LOOKS_FIRST: bool = false;

    /// Whether it gives the lock away between the look at the counts and the writing of new ones.
    const WRITES_LATER: bool = false;

    /// Since when a call that was dropped has run.
    fn since(_inside: &Inside, began: Instant) -> Instant {
        began
    }

    /// Whether the result of a call of this generation counts.
    fn counts(inside: &Inside, generation: u64, _judgement: Judgement) -> bool {
        inside.generation == generation
    }

    fn meaning(_inside: &Inside, judgement: Judgement) -> Judgement {
        judgement
    }

    /// What a call that was dropped after so long says. `None`: it says not even that it is over.
    fn dropped(ran: Duration, config: &Config) -> Option<Judgement> {
        Some(match ran >= config.slow_after {
            true => Judgement::Failure,
            false => Judgement::Ignored,
        })
    }

    /// What a call that ended after so long says, in this state.
    fn ended(_: State, _ran: Duration, _config: &Config, judgement: Judgement) -> Judgement {
        judgement
    }

    /// What becomes of it when a call was given up in vain.
    fn given_up(inside: &mut Inside, config: &Config) {
        Self::fails(inside, config);
    }

    fn succeeds(inside: &mut Inside, config: &Config) {
        match inside.state {
            State::Closed => inside.row = 0,
            State::HalfOpen => {
                inside.succeeded += 1;
                if inside.succeeded == config.probes {
                    inside.turn(State::Closed);
                }
            }
            State::Open => {}
        }
    }

    fn fails(inside: &mut Inside, config: &Config) {
        inside.row += 1;
        if inside.state == State::HalfOpen || inside.row == config.failures {
            inside.turn(State::Open);
        }
    }

    /// For how long it is open.
    fn open_for(_inside: &Inside, config: &Config) -> Duration {
        config.open_for
    }

    fn retry_after(left: Duration, _config: &Config) -> Duration {
        left
    }

    /// What is said to who finds no room at half-open.
    fn full(_config: &Config) -> Duration {
        Duration::ZERO
    }

    /// What is made of the numbers that were configured.
    fn read(config: Config) -> Config {
        Config { failures: config.failures.max(1), probes: config.probes.max(1), ..config }
    }
}

/// What is behind the lock.
pub(super) struct Inside {
    pub(super) state: State,
    pub(super) generation: u64,
    pub(super) row: u32,
    pub(super) in_flight: u32,
    pub(super) succeeded: u32,
    pub(super) opened: Instant,
    /// When the last call began.
    pub(super) began: Instant,
    /// What somebody wrong counts, and a moment that he keeps, past a change of state.
    pub(super) kept: u32,
    pub(super) noted: Option<Instant>,
}

impl Inside {
    pub(super) fn turn(&mut self, state: State) {
        let (generation, opened) = (self.generation + 1, Instant::now());
        (self.row, self.in_flight, self.succeeded) = (0, 0, 0);
        (self.state, self.generation, self.opened) = (state, generation, opened);
    }
}

pub(super) struct Usually<M> {
    config: Config,
    inside: Mutex<Inside>,
    part: PhantomData<M>,
}

impl<M: Usual> Usually<M> {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self) -> Result<Running<'_, M>, Open> {
        let mut inside = self.lock();
        if inside.state == State::Open {
            let left = M::open_for(&inside, &self.config).saturating_sub(inside.opened.elapsed());
            if !left.is_zero() {
                return Err(Open { retry_after: M::retry_after(left, &self.config) });
            }
            inside.turn(State::HalfOpen);
        }
        if inside.state == State::HalfOpen {
            if !M::has_room(&inside, &self.config) {
                return Err(Open { retry_after: M::full(&self.config) });
            }
            if M::LOOKS_FIRST {
                drop(inside);
                // As long as a line of a log may take.
                std::thread::sleep(Duration::from_micros(100));
                inside = self.lock();
            }
            inside.in_flight += 1;
        }
        let (generation, began) = (inside.generation, Instant::now());
        inside.began = began;
        Ok(Running { breaker: self, generation, began, over: false })
    }
}

struct Running<'a, M: Usual> {
    breaker: &'a Usually<M>,
    generation: u64,
    began: Instant,
    over: bool,
}

impl<M: Usual> Running<'_, M> {
    fn settle(&mut self, judgement: Judgement, in_vain: bool) {
        self.over = true;
        let config = &self.breaker.config;
        let mut inside = self.breaker.lock();
        if !M::counts(&inside, self.generation, judgement) {
            return;
        }
        inside.in_flight = inside.in_flight.saturating_sub(1);
        if M::WRITES_LATER {
            let (row, succeeded) = (inside.row, inside.succeeded);
            drop(inside);
            // As long as a line of a log may take.
            std::thread::sleep(Duration::from_micros(100));
            inside = self.breaker.lock();
            (inside.row, inside.succeeded) = (row, succeeded);
        }
        match M::meaning(&inside, judgement) {
            Judgement::Success => M::succeeds(&mut inside, config),
            Judgement::Failure if in_vain => M::given_up(&mut inside, config),
            Judgement::Failure => M::fails(&mut inside, config),
            Judgement::Ignored => {}
        }
    }
}

impl<M: Usual> Drop for Running<'_, M> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let since = M::since(&self.breaker.lock(), self.began);
        if let Some(judgement) = M::dropped(since.elapsed(), &self.breaker.config) {
            self.settle(judgement, true);
        }
    }
}

impl<M: Usual> CircuitBreaker for Usually<M> {
    fn new(config: Config) -> Self {
        let (state, opened) = (State::Closed, Instant::now());
        let (generation, row, in_flight, succeeded, kept) = (0, 0, 0, 0, 0);
        let (began, noted) = (opened, None);
        let inside =
            Inside { state, generation, row, in_flight, succeeded, opened, began, kept, noted };
        Usually { config: M::read(config), inside: Mutex::new(inside), part: PhantomData }
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
        let mut running = self.admit()?;
        let result = call.await;
        let (judgement, ran) = (judge(&result), running.began.elapsed());
        running.settle(M::ended(self.state(), ran, &self.config, judgement), false);
        result.map_err(CallError::Call)
    }

    fn state(&self) -> State {
        self.lock().state
    }
}
