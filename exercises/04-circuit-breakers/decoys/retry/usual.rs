//! What most of the wrong answers get right: each changes one thing of it.

use circuit_breakers::BoxError;
use circuit_breakers::retry::{ATTEMPT, Budget, Config, Repeatable};
use circuit_breakers::timeouts::Deadline;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::Duration;

/// When a call earns its share.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Earns {
    ByCall,
    /// When there is an answer: by then somebody may have left.
    WhenAnswered,
    ByAttempt,
    ByRepeatable,
}

/// What is counted, and when.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CountsWhen {
    ItBegins,
    /// A retry is, when it is decided.
    Decided,
    /// A retry is, when it has been answered.
    Answered,
    /// A call is, when it is over.
    Over,
}

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
    const EARNS: Earns = Earns::ByCall;
    const COUNTS: CountsWhen = CountsWhen::ItBegins;
    const HOLDS_THE_ANSWER: bool = false;
    const HOLDS_THE_ATTEMPT: bool = false;
    const HOLDS_THE_DICE: bool = false;
    const LETS_GO_IN_BETWEEN: bool = false;
    const ONE_PURSE_FOR_ALL: bool = false;
    const PAYS_FOR_THE_LAST: bool = false;
    const DENIES_ANYTHING: bool = false;
    const BUSY_IS_NO_ATTEMPT: bool = false;
    const BUSY_IS_THE_FIRST: bool = false;
    const REMEMBERS_WHAT_IT_WAS_TOLD: bool = false;
    const SUBTRACTS_ITS_PAUSES: bool = false;
    const LETS_THE_MARKED_PASS: bool = false;
    const UNMIXED: bool = false;
    const AGES: bool = false;

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

    /// What the purse holds after some time in which nobody called.
    fn ages(balance: u64, _idle: Duration, _budget: Budget) -> u64 {
        balance
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

    /// `Retry-After`, as it stands in an answer.
    fn reads(headers: &mut HeaderMap) -> Option<HeaderValue> {
        headers.get(RETRY_AFTER).cloned()
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
