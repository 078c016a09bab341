//! What most of the wrong answers get right: each changes one thing of it.

use rand::RngExt;
use sagas::saga::{Act, Patience, UnknownStep};
use sagas::{Entry, Failure, Next, Run, Saga, Step};
use std::time::Duration;

/// What of a step is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Act,
    Undo,
    Ask,
}

/// When an entry is written down.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Writes {
    BeforeTheNext,
    AfterTheNext,
    AtTheEnd,
}

/// What follows from an error of the log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LogFails {
    Ends,
    IsIgnored,
    IsTriedAgain,
}

/// When an inquiry is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    WhereUnclear,
    UntilANo,
    AtTheEnd,
    Never,
}

/// In which list an orchestrator keeps entries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lists {
    EachRun,
    EachId,
    One,
}

/// One way to do each step.
pub(super) trait Usual: Send + Sync + Sized + 'static {
    const WRITES: Writes = Writes::BeforeTheNext;
    const ASKS: Asks = Asks::WhereUnclear;
    const LISTS: Lists = Lists::EachRun;
    const AT_ONCE: usize = 1_000_000;
    const PAUSES_AFTER_THE_LAST: bool = false;
    const NO_GOES_BACK: bool = false;
    const NO_ANSWER: bool = false;
    const BEGUN_FROM_THE_START: bool = false;
    const STAYS_BEGUN: bool = false;
    const ASKS_WHILE_UNDOING: bool = false;
    const ASKS_BEFORE_GOING_ON_UNDOING: bool = false;
    const KEEPS_THE_FIRST_REASON: bool = false;
    const A_NO_COUNTS: bool = true;
    const A_REFUSED_INQUIRY_IS_A_NO_FOR_GOOD: bool = false;
    const WRITES_WHAT_WAS_FOUND: bool = true;
    const ONE_WRITES: bool = false;

    fn next<'a, C>(saga: &'a Saga<C>, entries: &[Entry]) -> Result<Next<'a, C>, UnknownStep> {
        saga.next(entries)
    }

    fn forward_only<C>(saga: &Saga<C>, entries: &[Entry]) -> Result<bool, UnknownStep> {
        saga.is_past_pivot(entries)
    }

    /// Whose patience a step has.
    fn patience<C>(_saga: &Saga<C>, step: &Step<C>, _entries: &[Entry]) -> Patience {
        step.patience
    }

    fn key(saga: &str, step: &str, id: &str, _attempt: u32, _what: What) -> String {
        format!("{saga}/{step}/{id}")
    }

    fn attempts(patience: &Patience, _what: What, _forward_only: bool) -> u32 {
        patience.attempts
    }

    fn asked_when_begun(patience: &Patience) -> u32 {
        Self::attempts(patience, What::Ask, false)
    }

    fn numbered(nth: u32) -> u32 {
        nth
    }

    fn pause(patience: &Patience, nth: u32) -> Duration {
        patience.pause(nth)
    }

    /// Whether there is one after this.
    fn pauses(_failure: &Failure, _what: What) -> bool {
        true
    }

    fn tries_refused_again(_unclear: bool) -> bool {
        false
    }

    /// What follows where this entry could not be written.
    fn log_fails(_entry: &Entry) -> LogFails {
        LogFails::Ends
    }

    /// `left`: of the deadline, if all attempts of the step had one.
    fn deadline(patience: &Patience, _left: Duration) -> Duration {
        patience.deadline
    }

    fn attempt<C, T>(
        call: &Act<C, T>,
        run: Run<C>,
        deadline: Duration,
    ) -> impl Future<Output = Result<T, Failure>> + Send
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
    {
        sagas::orchestration::attempt(call, run, deadline)
    }

    /// As what a failure is read.
    fn reads(failure: Failure, _what: What) -> Failure {
        failure
    }

    /// Whether a failure is good enough.
    fn will_do(_failure: &Failure, _what: What) -> bool {
        false
    }

    fn unclear(before: bool, failure: &Failure, _asked: Option<bool>, _pivot: bool) -> bool {
        before || matches!(failure, Failure::Unclear(_))
    }

    /// Whether it is still unclear when somebody was asked after a resumption.
    fn begun_is_unclear(_asked: Option<bool>) -> bool {
        true
    }

    /// Whether its last answer is the last word on it.
    fn is_final<C>(step: &Step<C>, refused: bool, _begun: bool) -> bool {
        step.refusal_is_final && refused
    }

    /// Of a step that came to nothing.
    fn comes_to<C>(step: &Step<C>, forward_only: bool, unclear: bool, reason: String) -> Entry {
        comes_to(step, forward_only, unclear, reason)
    }

    /// Of a compensation that came to nothing.
    fn cannot_undo(step: String, reason: String) -> Entry {
        Entry::Parked { step, reason }
    }

    /// What is known after a resumption, and whether its next step may have been begun.
    fn resumes(entries: Vec<Entry>) -> (Vec<Entry>, bool) {
        (entries, true)
    }
}

pub(super) fn comes_to<C>(
    step: &Step<C>,
    forward_only: bool,
    unclear: bool,
    reason: String,
) -> Entry {
    let name = step.name.to_owned();
    if forward_only || (unclear && step.pivot) {
        Entry::Parked { step: name, reason }
    } else if unclear {
        Entry::Unknown { step: name, reason }
    } else {
        Entry::Refused { step: name, reason }
    }
}

/// The highest pause after the n-th attempt.
pub(super) fn ceiling(patience: &Patience, nth: u32) -> Duration {
    patience.first.saturating_mul(2_u32.saturating_pow(nth - 1)).min(patience.longest)
}

/// Anything up to this.
pub(super) fn up_to(most: Duration) -> Duration {
    rand::rng().random_range(Duration::ZERO..=most)
}
