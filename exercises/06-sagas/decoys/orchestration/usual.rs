//! What most of the wrong answers get right: each changes one thing of it.

use rand::RngExt;
use sagas::orchestration::{Error, Log, Orchestrator};
use sagas::saga::{Act, Patience, UnknownStep};
use sagas::{Entry, Failure, Next, Outcome, Run, Saga, Step};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

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
    AtTheEnd,
    Never,
}

/// One way to do each step.
pub(super) trait Usual: Send + Sync + Sized + 'static {
    const WRITES: Writes = Writes::BeforeTheNext;
    const LOG_FAILS: LogFails = LogFails::Ends;
    const ASKS: Asks = Asks::WhereUnclear;
    const REFUSED_IS_TRIED_AGAIN: bool = false;
    const PAUSES_AFTER_THE_LAST: bool = false;
    const NO_GOES_BACK: bool = false;
    const NO_ANSWER: bool = false;
    const BEGUN_FROM_THE_START: bool = false;
    const STAYS_BEGUN: bool = false;
    const ONE_AT_A_TIME: bool = false;
    const ONE_LIST: bool = false;
    const ASKS_WHILE_UNDOING: bool = false;

    fn next<'a, C>(saga: &'a Saga<C>, entries: &[Entry]) -> Result<Next<'a, C>, UnknownStep> {
        saga.next(entries)
    }

    fn forward_only<C>(saga: &Saga<C>, entries: &[Entry]) -> Result<bool, UnknownStep> {
        saga.is_past_pivot(entries)
    }

    fn key(saga: &str, step: &str, id: &str, _attempt: u32, _what: What) -> String {
        format!("{saga}/{step}/{id}")
    }

    fn attempts(patience: &Patience, _what: What, _forward_only: bool) -> u32 {
        patience.attempts
    }

    fn numbered(nth: u32) -> u32 {
        nth
    }

    fn pause(patience: &Patience, nth: u32) -> Duration {
        patience.pause(nth)
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

    fn unclear(before: bool, failure: &Failure, _asked: Option<bool>) -> bool {
        before || matches!(failure, Failure::Unclear(_))
    }

    /// Whether its last answer is the last word on it.
    fn is_final(refusal_is_final: bool, refused: bool) -> bool {
        refusal_is_final && refused
    }

    /// Of a step that came to nothing.
    fn comes_to(
        forward_only: bool,
        pivot: bool,
        unclear: bool,
        step: String,
        reason: String,
    ) -> Entry {
        if forward_only || (unclear && pivot) {
            Entry::Parked { step, reason }
        } else if unclear {
            Entry::Unknown { step, reason }
        } else {
            Entry::Refused { step, reason }
        }
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

/// The highest pause after the n-th attempt.
pub(super) fn ceiling(patience: &Patience, nth: u32) -> Duration {
    patience.first.saturating_mul(2_u32.saturating_pow(nth - 1)).min(patience.longest)
}

/// Anything up to this.
pub(super) fn up_to(most: Duration) -> Duration {
    rand::rng().random_range(Duration::ZERO..=most)
}

/// An answer that does everything in the usual way of `M`.
pub(super) struct Usually<M> {
    turn: tokio::sync::Mutex<()>,
    list: Mutex<Vec<Entry>>,
    _usual: PhantomData<M>,
}

/// One saga under way.
struct Way<'a, C> {
    saga: &'a Saga<C>,
    id: &'a str,
    context: Arc<C>,
    forward_only: bool,
}

impl<C: Send + Sync + 'static> Way<'_, C> {
    async fn once<M: Usual, T: Send + 'static>(
        &self,
        call: &Act<C, T>,
        step: &Step<C>,
        (nth, what): (u32, What),
        began: Instant,
    ) -> Result<T, Failure> {
        let key = M::key(self.saga.name, step.name, self.id, nth, what);
        let (id, context) = (self.id.to_owned(), Arc::clone(&self.context));
        let run = Run { id, key, attempt: M::numbered(nth), context };
        let left = step.patience.deadline.saturating_sub(began.elapsed());
        let answer = M::attempt(call, run, M::deadline(&step.patience, left)).await;
        answer.map_err(|failure| M::reads(failure, what))
    }

    async fn asks<M: Usual>(&self, step: &Step<C>) -> Option<bool> {
        let inquiry = step.inquiry.as_ref()?;
        let began = Instant::now();
        let attempts = M::attempts(&step.patience, What::Ask, false);
        for nth in 1..=attempts {
            match self.once::<M, _>(inquiry, step, (nth, What::Ask), began).await {
                Ok(done) => return Some(done),
                Err(Failure::Refused(_)) => return None,
                Err(_) if nth < attempts => sleep(M::pause(&step.patience, nth)).await,
                Err(_) => {}
            }
        }
        M::NO_ANSWER.then_some(true)
    }

    async fn act<M: Usual>(&self, step: &Step<C>, begun: bool) -> Entry {
        let done = || Entry::Done { step: step.name.to_owned() };
        let mut unclear = begun;
        if begun && M::ASKS != Asks::Never && self.asks::<M>(step).await == Some(true) {
            return done();
        }
        let attempts = M::attempts(&step.patience, What::Act, self.forward_only);
        let began = Instant::now();
        let mut nth = 1;
        let reason = loop {
            let failure = match self.once::<M, _>(&step.action, step, (nth, What::Act), began).await
            {
                Ok(()) => return done(),
                Err(failure) if M::will_do(&failure, What::Act) => return done(),
                Err(failure) => failure,
            };
            let last = nth >= attempts;
            let mut asked = None;
            if matches!(failure, Failure::Unclear(_))
                && (M::ASKS == Asks::WhereUnclear || M::ASKS == Asks::AtTheEnd && last)
            {
                asked = self.asks::<M>(step).await;
                if asked == Some(true) {
                    return done();
                }
            }
            unclear = M::unclear(unclear, &failure, asked);
            let (Failure::Refused(reason) | Failure::NotDone(reason) | Failure::Unclear(reason)) =
                &failure;
            if M::NO_GOES_BACK && asked == Some(false) {
                unclear = false;
                break reason.clone();
            }
            let refused = matches!(failure, Failure::Refused(_)) && !M::REFUSED_IS_TRIED_AGAIN;
            if refused || last {
                unclear &= !M::is_final(step.refusal_is_final, refused);
                if M::PAUSES_AFTER_THE_LAST {
                    sleep(M::pause(&step.patience, nth)).await;
                }
                break reason.clone();
            }
            sleep(M::pause(&step.patience, nth)).await;
            nth += 1;
        };
        M::comes_to(self.forward_only, step.pivot, unclear, step.name.to_owned(), reason)
    }

    async fn undo<M: Usual>(&self, step: &Step<C>) -> Entry {
        let undone = || Entry::Undone { step: step.name.to_owned() };
        let Some(compensation) = &step.compensation else {
            return undone();
        };
        let attempts = M::attempts(&step.patience, What::Undo, false);
        let began = Instant::now();
        let mut nth = 1;
        loop {
            let failure =
                match self.once::<M, _>(compensation, step, (nth, What::Undo), began).await {
                    Ok(()) => return undone(),
                    Err(failure) if M::will_do(&failure, What::Undo) => return undone(),
                    Err(failure) => failure,
                };
            if M::ASKS_WHILE_UNDOING && self.asks::<M>(step).await == Some(false) {
                return undone();
            }
            let refused = matches!(failure, Failure::Refused(_)) && !M::REFUSED_IS_TRIED_AGAIN;
            let (Failure::Refused(reason) | Failure::NotDone(reason) | Failure::Unclear(reason)) =
                failure;
            if refused || nth >= attempts {
                return M::cannot_undo(step.name.to_owned(), reason);
            }
            sleep(M::pause(&step.patience, nth)).await;
            nth += 1;
        }
    }
}

impl<M: Usual> Usually<M> {
    async fn go<C, L>(
        &self,
        saga: &Saga<C>,
        id: &str,
        context: Arc<C>,
        (mut entries, mut begun): (Vec<Entry>, bool),
        log: &L,
    ) -> Result<Outcome, Error>
    where
        C: Send + Sync + 'static,
        L: Log,
    {
        let _turn = match M::ONE_AT_A_TIME {
            true => Some(self.turn.lock().await),
            false => None,
        };
        let mut way = Way { saga, id, context, forward_only: false };
        let mut unwritten = Vec::new();
        loop {
            way.forward_only = M::forward_only(saga, &entries)?;
            let next = M::next(saga, &entries)?;
            let entry = match next {
                Next::Act(step) => way.act::<M>(step, begun).await,
                Next::Compensate(step) => way.undo::<M>(step).await,
                Next::Rest(outcome) => {
                    write::<M, L>(log, id, &mut unwritten, 0).await?;
                    return Ok(outcome);
                }
            };
            begun &= M::STAYS_BEGUN;
            unwritten.push(entry.clone());
            match M::ONE_LIST {
                true => {
                    let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
                    list.push(entry);
                    entries.clone_from(&list);
                }
                false => entries.push(entry),
            }
            match M::WRITES {
                Writes::BeforeTheNext => write::<M, L>(log, id, &mut unwritten, 0).await?,
                Writes::AfterTheNext => write::<M, L>(log, id, &mut unwritten, 1).await?,
                Writes::AtTheEnd => {}
            }
        }
    }
}

/// Writes all but the last so many.
async fn write<M: Usual, L: Log>(
    log: &L,
    id: &str,
    unwritten: &mut Vec<Entry>,
    kept: usize,
) -> Result<(), Error> {
    let many = unwritten.len().saturating_sub(kept);
    for entry in unwritten.drain(..many) {
        let mut written = log.append(id, &entry).await;
        if written.is_err() && M::LOG_FAILS == LogFails::IsTriedAgain {
            written = log.append(id, &entry).await;
        }
        if M::LOG_FAILS != LogFails::IsIgnored {
            written.map_err(|error| Error::Log(error.into()))?;
        }
    }
    Ok(())
}

impl<M: Usual> Orchestrator for Usually<M> {
    fn new() -> Usually<M> {
        let (turn, list) = (tokio::sync::Mutex::default(), Mutex::default());
        Usually { turn, list, _usual: PhantomData }
    }

    async fn run<C, L>(
        &self,
        saga: &Saga<C>,
        id: &str,
        context: Arc<C>,
        log: &L,
    ) -> Result<Outcome, Error>
    where
        C: Send + Sync + 'static,
        L: Log,
    {
        self.go(saga, id, context, (Vec::new(), M::BEGUN_FROM_THE_START), log).await
    }

    async fn resume<C, L>(
        &self,
        saga: &Saga<C>,
        id: &str,
        context: Arc<C>,
        entries: Vec<Entry>,
        log: &L,
    ) -> Result<Outcome, Error>
    where
        C: Send + Sync + 'static,
        L: Log,
    {
        self.go(saga, id, context, M::resumes(entries), log).await
    }
}
