//! 04.3 · Retry: asks once more, where that is allowed and where it does not add to the load.
//!
//! A repeat helps against what is over a moment later: a lost packet, a server that restarts, one
//! of ten that is busy. Against everything else it is load, on something that has just failed. The
//! contract [`Retry`] names the promises, [`Retries`] keeps them:
//!
//! | promise | how |
//! | --- | --- |
//! | A dependency that is down gets at most 1.1 times the load | a budget: each call earns a tenth of a retry, each retry spends one, and it starts with nothing |
//! | Clients that failed together do not come back together | full jitter: a pause is uniform between nothing and a ceiling that doubles |
//! | Nothing is done twice that may not be | only what is idempotent by its method, or has an `Idempotency-Key`, is repeated, and it is the same request each time |
//! | Three layers of retries are not 27 calls | who repeats says so in a header, [`ATTEMPT`]; below that nobody does |
//! | Nobody waits for nothing | no pause ends after the [`Deadline`], none is drawn, or told, that is longer than [`Config::longest`], and there is none after the last attempt |
//!
//! What it does not promise:
//!
//! - **That a call succeeds.** With a budget of 10 % and a dependency that fails 30 % of all calls,
//!   three quarters of the failures stay. That is no defect of the budget: who fails so often is not
//!   having a bad moment, and a breaker should hear of it.
//! - **That a repeat has no effect.** The first attempt may have been carried out, and only its
//!   answer lost. The server has to know an idempotency key when it sees it again (06.6).
//! - **The least work.** It is the highest layer that repeats, so what went well below is done again
//!   as well. In return three attempts are three, also where the answer is lost on its way up; a mark
//!   on the answer, which would let the lowest layer repeat, is lost with it.
//! - **The body of an answer.** An answer is there when its head is. A body that breaks off is the
//!   reader's to ask for again.
//!
//! # Why this is not `tower::retry`, or backon
//!
//! tower 0.5 has the loop, a backoff and a budget; the decisions, which are the lesson, are left to
//! a policy that one writes oneself. The parts were read, and each is a little different from what
//! is promised here:
//!
//! - `ExponentialBackoff` adds its jitter to the full pause. So no pause is shorter than that, which
//!   the article below measures as the worse choice.
//! - `TpsBudget` takes a mutex at each call, adds up its slots and spends in a second step, so that
//!   two callers can spend one retry; and it rounds: asked for 70 % it gives 100 %, for its
//!   withdrawal is `(1.0 / 0.7) as isize`.
//! - Its reserve is a number of retries a second that nobody has earned. It lets a client of few
//!   calls repeat them, and is as many more as there are clients.
//!
//! backon computes pauses and repeats a closure. It has no budget, and what is left of it is a line.
//!
//! Sources: M. Brooker, [*Exponential Backoff and Jitter*](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/),
//! 2015; B. Beyer and others, *Site Reliability Engineering*, 2016, chapter 21, "Deciding to Retry"
//! (three attempts, a budget of 10 %), and chapter 22, "Retries" (one layer); Finagle,
//! [*Retry Budgets*](https://finagle.github.io/blog/2016/02/08/retry-budgets), 2016; gRPC,
//! [A6, client retries](https://github.com/grpc/proposal/blob/master/A6-client-retries.md).

mod budget;
mod judge;
mod layer;

use crate::BoxError;
use crate::timeouts::Deadline;
use budget::Purse;
use http::{HeaderName, Request, Response};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use judge::worth_repeating;
pub use layer::{RetryLayer, Retrying};

// ANCHOR: contract
/// The contract: calls to one dependency, some of which are made again. What is said of all calls
/// is said of all that go through one value, at once or one after the other.
pub trait Retry: Send + Sync + Sized + 'static {
    /// With nothing earned yet. The pauses are drawn from `seed`: two clients that should not march
    /// in step need two seeds, any two: 0 is one like any other, and neighbours have nothing in common.
    fn new(config: Config, seed: u64) -> Self;

    /// Calls `attempt`, which is told the how many-eth attempt it is, from 1, until there is no
    /// reason to call it again, and answers with what came of it last, as it was.
    ///
    /// Each call earns [`Budget::percent`] hundredths of a retry, whatever becomes of it, and also if
    /// its caller leaves. What is [`Outcome::Failed`] or [`Outcome::Busy`] is attempted again if
    ///
    /// - it is [`Repeatable::Yes`],
    /// - it was attempted less than [`Config::attempts`] times,
    /// - nobody has said to wait longer than [`Config::longest`],
    /// - the pause ends before `deadline`,
    /// - and the budget has a whole retry, which this one spends.
    ///
    /// Otherwise the answer comes at once. Before the repeat is a pause, in which nothing is kept of
    /// the attempt that failed, nor of its answer. After the n-th attempt it is drawn anew, uniform
    /// on [0, min([`Config::longest`], [`Config::first`] · 2ⁿ⁻¹)]; what somebody has said to wait
    /// comes on top, once.
    ///
    /// Dropped, it stops: no attempt begins or goes on.
    fn call<T, A, F>(
        &self,
        repeatable: Repeatable,
        deadline: Option<Deadline>,
        attempt: A,
    ) -> impl Future<Output = T> + Send
    where
        T: Send + 'static,
        A: FnMut(u32) -> F + Send + 'static,
        F: Future<Output = Outcome<T>> + Send + 'static;

    /// [`Retry::call`] for HTTP: `attempt` sends a request.
    ///
    /// A request may be repeated if its method is idempotent (RFC 9110, section 9.2.2) or if it has
    /// an [`IDEMPOTENCY_KEY`] that is not empty. Each attempt gets the same request, extensions and
    /// all, with [`ATTEMPT`] beside. One that comes with an [`ATTEMPT`] is repeated by somebody above:
    /// it is passed on once and as it is, and so is one that may not be repeated. Both are calls like
    /// any other: they earn, and are counted.
    ///
    /// | answer | is |
    /// | --- | --- |
    /// | an error that is [`Config::transient`] | failed |
    /// | 502, 503, 504 | failed |
    /// | 429, 502, 503, 504 with `Retry-After` in seconds | busy for so long |
    /// | anything else; also 429 without `Retry-After`, and one that cannot be read, or is a date | final |
    ///
    /// The deadline is the [`Deadline`] in the request's extensions, where there is one.
    fn send<B, R, A, F>(
        &self,
        request: Request<B>,
        attempt: A,
    ) -> impl Future<Output = Result<Response<R>, BoxError>> + Send
    where
        B: Clone + Send + 'static,
        R: Send + 'static,
        A: FnMut(Request<B>) -> F + Send + 'static,
        F: Future<Output = Result<Response<R>, BoxError>> + Send + 'static;

    /// What has been counted since the beginning.
    fn counts(&self) -> Counts;
}

/// How often, how soon, and how much of it.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// So many attempts at most, the first included. 0 is read as 1.
    pub attempts: u32,
    /// The ceiling of the first pause. That of each further one is twice as high.
    pub first: Duration,
    /// The highest ceiling, and the longest `Retry-After` that is waited for.
    pub longest: Duration,
    /// How many calls may be repeated, of all.
    pub budget: Budget,
    /// Which errors may be over a moment later: by default [`worth_repeating`].
    pub transient: fn(&BoxError) -> bool,
}

/// How many retries a number of calls is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Retries a hundred calls. 10 lets a dependency that is down get at most 1.1 times its load.
    pub percent: u32,
    /// How many retries can be saved up in good times. Time neither adds to them nor takes any away,
    /// and what calls through one value have earned is no other's. It starts with none: a reserve that nobody
    /// has earned is load that comes once from each client, and from all of them after a deploy.
    pub reserve: u32,
}

/// Whether doing it twice comes to the same as doing it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeatable {
    /// A read, a value that is set, anything with a key by which the second is known.
    Yes,
    /// An increment, an order, a payment.
    No,
}

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It is well, or it would be the same the next time.
    Final(T),
    /// It failed, and that may be over a moment later.
    Failed(T),
    /// As [`Outcome::Failed`], and whoever was asked has said for how long to stay away.
    Busy(T, Duration),
}

/// What a client did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that came, each counted once, as it comes.
    pub offered: u64,
    /// Attempts beyond the first, each counted as it begins. The dependency was asked
    /// `offered + retried` times.
    pub retried: u64,
    /// Repeats that were allowed but for the budget.
    pub denied: u64,
}

/// The how many-eth attempt this is, from 1: somebody repeats this request, and so nobody below
/// does. Whoever asks others to answer it passes it on, as one passes on a deadline.
pub const ATTEMPT: HeaderName = HeaderName::from_static("attempt");

/// By this the server knows a request that it has seen:
/// [draft-ietf-httpapi-idempotency-key-header](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/).
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
// ANCHOR_END: contract

impl Default for Config {
    /// Three attempts, pauses up to 50 ms and 100 ms, a budget of 10 %.
    fn default() -> Config {
        Config {
            attempts: 3,
            first: Duration::from_millis(50),
            longest: Duration::from_secs(2),
            budget: Budget { percent: 10, reserve: 10 },
            transient: worth_repeating,
        }
    }
}

/// The reference. One for each dependency, shared by all who call it: a budget for each call would
/// be none.
#[derive(Debug)]
pub struct Retries {
    config: Config,
    purse: Purse,
    // Taken only by who has failed already, and for a few nanoseconds.
    random: Mutex<StdRng>,
    offered: AtomicU64,
    retried: AtomicU64,
    denied: AtomicU64,
}

impl Retry for Retries {
    fn new(config: Config, seed: u64) -> Retries {
        Retries {
            config,
            purse: Purse::of(config.budget),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            offered: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            denied: AtomicU64::new(0),
        }
    }

    // ANCHOR: call
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
        self.offered.fetch_add(1, Ordering::Relaxed);
        self.purse.earn();
        let mut nth = 1;
        loop {
            let (last, told) = match attempt(nth).await {
                Outcome::Final(answer) => return answer,
                Outcome::Failed(answer) => (answer, Duration::ZERO),
                Outcome::Busy(answer, wait) => (answer, wait),
            };
            let over = repeatable == Repeatable::No || nth >= self.config.attempts;
            if over || told > self.config.longest {
                return last;
            }
            let pause = told.saturating_add(self.jitter(nth));
            if deadline.is_some_and(|deadline| deadline.left() <= pause) {
                // Slept past, it would be an answer that nobody waits for, and a request that
                // nobody should have sent.
                return last;
            }
            // Last, so that nothing is spent on what is not repeated for another reason; and
            // before the pause, so that nobody waits in order to be denied.
            if !self.purse.spend() {
                self.denied.fetch_add(1, Ordering::Relaxed);
                return last;
            }
            // With it goes whatever its body would have come from.
            drop(last);
            tokio::time::sleep(pause).await;
            self.retried.fetch_add(1, Ordering::Relaxed);
            nth += 1;
        }
    }
    // ANCHOR_END: call

    // ANCHOR: send
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
        let repeatable = judge::repeatable(&request);
        let deadline = request.extensions().get::<Deadline>().copied();
        let transient = self.config.transient;
        let answer = self.call(repeatable, deadline, move |nth| {
            // A copy, body and key and all: a key that is drawn anew is another order.
            let mut request = request.clone();
            if repeatable == Repeatable::Yes {
                request.headers_mut().insert(ATTEMPT, nth.into());
            }
            let answer = attempt(request);
            async move { judge::outcome(answer.await, transient) }
        });
        answer.await
    }
    // ANCHOR_END: send

    fn counts(&self) -> Counts {
        Counts {
            offered: self.offered.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
            denied: self.denied.load(Ordering::Relaxed),
        }
    }
}

impl Retries {
    // ANCHOR: jitter
    /// "Full jitter": not a pause with a little noise, but anything up to it. Half of all clients
    /// come back in the first half of the time, which no smaller share of noise gives, and in the
    /// article's simulation they do the least work in all.
    fn jitter(&self, nth: u32) -> Duration {
        let Config { first, longest, .. } = self.config;
        let ceiling = first.saturating_mul(2_u32.saturating_pow(nth - 1)).min(longest);
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        random.random_range(Duration::ZERO..=ceiling)
    }
    // ANCHOR_END: jitter
}
