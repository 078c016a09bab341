//! 04.2 · Circuit breaker: stops asking who does not answer, and finds out when they do again.
//!
//! ```text
//!              so many failures in a row
//!    closed ------------------------------> open  <-----------+
//!      ^                                     |                |
//!      |                        open_for is over              | one probe fails
//!      |                                     v                |
//!      +----------------------------- half-open --------------+
//!               k probes succeed
//! ```
//!
//! The contract [`CircuitBreaker`] names the promises, [`Breaker`] keeps them. What is a failure in
//! a row, and for how long the breaker then opens, is [failsafe]'s part, whole. Around it stands
//! what it leaves to its caller:
//!
//! | failsafe 1.3 alone | here |
//! | --- | --- |
//! | at half-open it lets everybody through: 100 of 100 | at most k, in flight and succeeded together |
//! | a call that its caller gave up never counts | it counts if it had run for [`Config::slow_after`] |
//! | a success that began before the trip closes it | each transition begins a generation; a result of an older one changes nothing |
//! | an error that its predicate does not count is a success, and heals | [`Judgement::Ignored`] says nothing |
//!
//! What it does not promise:
//!
//! - **An end.** A breaker is no timeout. A probe that hangs holds its permit until somebody drops
//!   it; so put a timeout around, and the breaker counts what it cuts off.
//! - **One view for all.** Each process finds out by itself. That costs each of them some failures,
//!   and spares them a shared state, which would be one more thing that can hang.
//!
//! Source: M. Nygard, *Release It!*, 2007, section 5.2, who gave the pattern its name and states.

mod core;
mod layer;
mod machine;

use self::core::{Core, Permit};
use self::machine::Failsafe;
use failsafe::{FailurePolicy, backoff, failure_policy};
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

pub use layer::{BreakerLayer, Guarded, Judge};

/// Where [`core`] takes its lock from; its loom test takes another.
mod sync {
    pub(super) use std::sync::atomic::{AtomicU64, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard};
}

// ANCHOR: contract
/// The contract: one breaker before one dependency, shared by all who call it.
pub trait CircuitBreaker: Send + Sync + Sized + 'static {
    /// Closed at first.
    fn new(config: Config) -> Self;

    /// Runs `call`, unless the breaker is open, and asks `judge` what its result means.
    ///
    /// - **Closed**, all calls run. [`Config::failures`] in a row open it, however slowly they come; a
    ///   success ends the row.
    /// - **Open**, none does: `call` is dropped without having been polled, and the answer is there
    ///   at once. After [`Config::open_for`] the next call finds it half-open.
    /// - **Half-open**, [`Config::probes`] calls are let in, and no more: those in flight and those
    ///   that succeeded count together, however long that takes. Who finds no place is refused at
    ///   once. When so many have succeeded, it closes and counts from nothing. One failure opens it
    ///   anew.
    ///
    /// A call that ends without a result, because this future is dropped, begun or not, or because
    /// `call` or `judge` panics, gives its permit back. It is a failure if it had run for
    /// [`Config::slow_after`]: somebody has waited that long in vain. Otherwise it says nothing:
    /// whoever hangs up early must not open it. So `tokio::time::timeout(patience, breaker.call(..))`
    /// counts.
    ///
    /// Each change of state begins a new generation, and nothing else does. A call that began in an
    /// older one changes nothing when it ends, however it ends.
    ///
    /// Calls overlap: none waits for another. No lock is held while `call` or `judge` runs, so both
    /// may look at [`CircuitBreaker::state`].
    ///
    /// # Errors
    /// [`CallError::Open`] if `call` did not run; otherwise the error that it ended with.
    fn call<T, E, F>(
        &self,
        judge: impl FnOnce(&Result<T, E>) -> Judgement + Send,
        call: F,
    ) -> impl Future<Output = Result<T, CallError<E>>> + Send
    where
        F: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: Send;

    /// The state that the last call left behind. No clock changes it: after [`Config::open_for`] it
    /// is open until somebody is let in.
    fn state(&self) -> State;
}

/// When a breaker opens, for how long, and what it takes to close it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// So many failures in a row open it. 0 is read as 1.
    pub failures: u32,
    /// For so long nobody is let in, from the failure that opens it, and each time for as long. More
    /// than a clock can hold, as [`Duration::MAX`] is, is for ever, or for as long as it can.
    pub open_for: Duration,
    /// At half-open so many are let in, and all of them have to succeed. 0 is read as 1.
    pub probes: u32,
    /// A call that was given up after so long is a failure. At most the patience of the callers, or
    /// their timeouts never count. With zero each call that was given up is one.
    pub slow_after: Duration,
}

/// What a result says of the dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is well.
    Success,
    /// It is not.
    Failure,
    /// Nothing: "not found", "not yours", "not enough money" are errors of whoever asked. They
    /// neither open the breaker, nor end a row of failures, nor heal.
    Ignored,
}

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All calls run.
    Closed,
    /// None does.
    Open,
    /// Some do, to see.
    HalfOpen,
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError<E> {
    /// The call did not run.
    #[error(transparent)]
    Open(#[from] Open),
    /// It did, and ended in this error.
    #[error("{0}")]
    Call(E),
}

/// The refusal of an open breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is open; it lets nobody in for {retry_after:?}")]
pub struct Open {
    /// Not earlier than after this: what is left of [`Config::open_for`]. Zero while probes are under
    /// way: nobody knows how long they will take.
    pub retry_after: Duration,
}
// ANCHOR_END: contract

/// Five failures in a row; open for five seconds; three probes; given up after one second.
impl Default for Config {
    fn default() -> Config {
        let (open_for, slow_after) = (Duration::from_secs(5), Duration::from_secs(1));
        Config { failures: 5, open_for, probes: 3, slow_after }
    }
}

/// What a breaker has seen since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Calls that ended well.
    pub succeeded: u64,
    /// Calls that failed, or were given up after [`Config::slow_after`].
    pub failed: u64,
    /// Calls that said nothing.
    pub ignored: u64,
    /// Calls that began in an older generation.
    pub late: u64,
    /// Calls that did not run.
    pub refused: u64,
    /// How often it opened.
    pub opened: u64,
}

impl Metrics {
    /// Calls that ran, and have ended.
    pub fn calls(&self) -> u64 {
        self.succeeded + self.failed + self.ignored + self.late
    }
}

/// The reference. Share it in an [`Arc`](std::sync::Arc).
pub struct Breaker {
    core: Core<Failsafe>,
    slow_after: Duration,
}

impl Breaker {
    /// With any policy of failsafe's, such as a success rate over a window, and any of its backoffs.
    /// `probes` and `slow_after` are as in [`Config`].
    ///
    /// Two things about failsafe 1.3: its rate policy never opens within its first window, so
    /// combine it by `or_else` with consecutive failures; and all backoffs but the constant one
    /// begin at one second or panic.
    pub fn with_policy(
        policy: impl FailurePolicy + Send + 'static,
        probes: u32,
        slow_after: Duration,
    ) -> Breaker {
        Breaker { core: Core::new(Failsafe::new(policy), probes), slow_after }
    }

    /// What it has seen so far.
    pub fn metrics(&self) -> Metrics {
        self.core.metrics()
    }

    fn settle(&self, permit: Permit, judgement: Judgement) {
        match self.core.settle(permit, judgement) {
            Some(State::Open) => tracing::warn!("a circuit breaker opens"),
            Some(State::Closed) => tracing::info!("a circuit breaker closes"),
            Some(State::HalfOpen) | None => {}
        }
    }
}

impl CircuitBreaker for Breaker {
    fn new(config: Config) -> Breaker {
        let backoff = backoff::constant(config.open_for);
        let policy = failure_policy::consecutive_failures(config.failures.max(1), backoff);
        Breaker::with_policy(policy, config.probes, config.slow_after)
    }

    // ANCHOR: call
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
        let mut running = Running::begin(self)?;
        let result = call.await;
        running.end(judge(&result));
        result.map_err(CallError::Call)
    }
    // ANCHOR_END: call

    fn state(&self) -> State {
        self.core.state()
    }
}

// ANCHOR: running
/// A call that was let in. However it ends, its permit goes back: Rust tells of a future that is
/// dropped, and of one that panics, by running this `Drop` and nothing else.
struct Running<'a> {
    breaker: &'a Breaker,
    permit: Option<Permit>,
    /// By tokio's clock, as the timeouts that will cut it off.
    began: Instant,
}

impl Running<'_> {
    fn begin(breaker: &Breaker) -> Result<Running<'_>, Open> {
        let permit = Some(breaker.core.admit()?);
        Ok(Running { breaker, permit, began: Instant::now() })
    }

    fn end(&mut self, judgement: Judgement) {
        if let Some(permit) = self.permit.take() {
            self.breaker.settle(permit, judgement);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.permit.is_some() {
            let in_vain = self.began.elapsed() >= self.breaker.slow_after;
            self.end(if in_vain { Judgement::Failure } else { Judgement::Ignored });
        }
    }
}
// ANCHOR_END: running

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("state", &self.state())
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}
