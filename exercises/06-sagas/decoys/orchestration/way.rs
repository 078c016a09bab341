//! Carries a saga out in the usual way, with what one of the wrong answers changes of it.

use super::usual::{Asks, Lists, LogFails, Usual, What, Writes};
use sagas::orchestration::{Error, Log, Orchestrator};
use sagas::saga::{Act, Patience};
use sagas::{Entry, Failure, Next, Outcome, Run, Saga, Step};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

/// An answer that does everything in the usual way of `M`.
pub(super) struct Usually<M> {
    turns: Semaphore,
    pen: Semaphore,
    lists: Mutex<HashMap<String, Vec<Entry>>>,
    _usual: PhantomData<M>,
}

/// One saga under way.
struct Way<'a, C> {
    saga: &'a Saga<C>,
    id: &'a str,
    context: Arc<C>,
    entries: Vec<Entry>,
    begun: bool,
}

impl<C: Send + Sync + 'static> Way<'_, C> {
    fn patience<M: Usual>(&self, step: &Step<C>) -> Patience {
        M::patience(self.saga, step, &self.entries)
    }

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
        let patience = self.patience::<M>(step);
        let left = patience.deadline.saturating_sub(began.elapsed());
        let answer = M::attempt(call, run, M::deadline(&patience, left)).await;
        answer.map_err(|failure| M::reads(failure, what))
    }

    /// `Err`: there is no more to be tried.
    async fn asks<M: Usual>(&self, step: &Step<C>, begun: bool) -> Result<Option<bool>, String> {
        let Some(inquiry) = &step.inquiry else {
            return Ok(None);
        };
        let (began, patience) = (Instant::now(), self.patience::<M>(step));
        let attempts = match begun {
            true => M::asked_when_begun(&patience),
            false => M::attempts(&patience, What::Ask, false),
        };
        for nth in 1..=attempts {
            match self.once::<M, _>(inquiry, step, (nth, What::Ask), began).await {
                Ok(done) => return Ok(Some(done)),
                Err(Failure::Refused(reason)) if M::A_REFUSED_INQUIRY_IS_A_NO_FOR_GOOD => {
                    return Err(reason);
                }
                Err(Failure::Refused(_)) => return Ok(None),
                Err(failure) if nth < attempts && M::pauses(&failure, What::Ask) => {
                    sleep(M::pause(&patience, nth)).await;
                }
                Err(_) => {}
            }
        }
        Ok(M::NO_ANSWER.then_some(true))
    }

    /// The entry, and whether it was only found, and nothing done for it.
    async fn act<M: Usual>(&self, step: &Step<C>, forward_only: bool) -> (Entry, bool) {
        let done = || Entry::Done { step: step.name.to_owned() };
        let refused = |reason| Entry::Refused { step: step.name.to_owned(), reason };
        let mut unclear = self.begun;
        let mut asked = None;
        if self.begun && M::ASKS != Asks::Never {
            asked = match self.asks::<M>(step, true).await {
                Ok(asked) => asked,
                Err(reason) => return (refused(reason), false),
            };
            if asked == Some(true) {
                return (done(), true);
            }
            unclear = M::begun_is_unclear(asked);
        }
        let patience = self.patience::<M>(step);
        let attempts = M::attempts(&patience, What::Act, forward_only);
        let began = Instant::now();
        let (mut nth, mut first) = (1, None);
        let reason = loop {
            let failure = match self.once::<M, _>(&step.action, step, (nth, What::Act), began).await
            {
                Ok(()) => return (done(), false),
                Err(failure) if M::will_do(&failure, What::Act) => return (done(), false),
                Err(failure) => failure,
            };
            let last = nth >= attempts;
            let asks = match M::ASKS {
                Asks::WhereUnclear => true,
                Asks::UntilANo => asked != Some(false),
                Asks::AtTheEnd => last,
                Asks::Never => false,
            };
            if matches!(failure, Failure::Unclear(_)) && asks {
                asked = match self.asks::<M>(step, false).await {
                    Ok(asked) => asked,
                    Err(reason) => return (refused(reason), false),
                };
                if asked == Some(true) {
                    return (done(), false);
                }
            }
            unclear = M::unclear(unclear, &failure, asked, step.pivot);
            let said_no = matches!(failure, Failure::Unclear(_)) && asked == Some(false);
            let was_refused =
                matches!(failure, Failure::Refused(_)) && !M::tries_refused_again(unclear);
            let pauses = M::pauses(&failure, What::Act);
            let (Failure::Refused(reason) | Failure::NotDone(reason) | Failure::Unclear(reason)) =
                failure;
            if M::NO_GOES_BACK && said_no {
                unclear = false;
                break reason;
            }
            if was_refused || last && (M::A_NO_COUNTS || !said_no) {
                unclear &= !M::is_final(step, was_refused, self.begun);
                if M::PAUSES_AFTER_THE_LAST {
                    sleep(M::pause(&patience, nth)).await;
                }
                break first.unwrap_or(reason);
            }
            if M::KEEPS_THE_FIRST_REASON {
                first.get_or_insert(reason);
            }
            if pauses {
                sleep(M::pause(&patience, nth)).await;
            }
            nth += u32::from(M::A_NO_COUNTS || !said_no);
        };
        (M::comes_to(step, forward_only, unclear, reason), false)
    }

    async fn undo<M: Usual>(&self, step: &Step<C>) -> Entry {
        let undone = || Entry::Undone { step: step.name.to_owned() };
        let Some(compensation) = &step.compensation else {
            return undone();
        };
        if self.begun
            && M::ASKS_BEFORE_GOING_ON_UNDOING
            && self.asks::<M>(step, true).await == Ok(Some(false))
        {
            return undone();
        }
        let patience = self.patience::<M>(step);
        let attempts = M::attempts(&patience, What::Undo, false);
        let began = Instant::now();
        let (mut nth, mut first) = (1, None);
        loop {
            let failure =
                match self.once::<M, _>(compensation, step, (nth, What::Undo), began).await {
                    Ok(()) => return undone(),
                    Err(failure) if M::will_do(&failure, What::Undo) => return undone(),
                    Err(failure) => failure,
                };
            if M::ASKS_WHILE_UNDOING && self.asks::<M>(step, false).await == Ok(Some(false)) {
                return undone();
            }
            let refused = matches!(failure, Failure::Refused(_)) && !M::tries_refused_again(false);
            let pauses = M::pauses(&failure, What::Undo);
            let (Failure::Refused(reason) | Failure::NotDone(reason) | Failure::Unclear(reason)) =
                failure;
            if refused || nth >= attempts {
                return M::cannot_undo(step.name.to_owned(), first.unwrap_or(reason));
            }
            if M::KEEPS_THE_FIRST_REASON {
                first.get_or_insert(reason);
            }
            if pauses {
                sleep(M::pause(&patience, nth)).await;
            }
            nth += 1;
        }
    }
}

impl<M: Usual> Usually<M> {
    async fn go<C, L>(&self, mut way: Way<'_, C>, log: &L) -> Result<Outcome, Error>
    where
        C: Send + Sync + 'static,
        L: Log,
    {
        let _turn = self.turns.acquire().await;
        let mut unwritten = Vec::new();
        if M::LISTS == Lists::EachId {
            self.lists(|lists| lists.insert(way.id.to_owned(), way.entries.clone()));
        }
        loop {
            let forward_only = M::forward_only(way.saga, &way.entries)?;
            let (entry, found) = match M::next(way.saga, &way.entries)? {
                Next::Act(step) => way.act::<M>(step, forward_only).await,
                Next::Compensate(step) => (way.undo::<M>(step).await, false),
                Next::Rest(outcome) => {
                    self.write(log, way.id, &mut unwritten, 0).await?;
                    return Ok(outcome);
                }
            };
            way.begun &= M::STAYS_BEGUN;
            if M::WRITES_WHAT_WAS_FOUND || !found {
                unwritten.push(entry.clone());
            }
            let list = match M::LISTS {
                Lists::EachRun => None,
                Lists::EachId => Some(way.id),
                Lists::One => Some(""),
            };
            way.entries.push(entry.clone());
            if let Some(list) = list {
                way.entries = self.lists(|lists| {
                    let list = lists.entry(list.to_owned()).or_default();
                    list.push(entry);
                    list.clone()
                });
            }
            match M::WRITES {
                Writes::BeforeTheNext => self.write(log, way.id, &mut unwritten, 0).await?,
                Writes::AfterTheNext => self.write(log, way.id, &mut unwritten, 1).await?,
                Writes::AtTheEnd => {}
            }
        }
    }

    fn lists<T>(&self, changes: impl FnOnce(&mut HashMap<String, Vec<Entry>>) -> T) -> T {
        changes(&mut self.lists.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes all but the last so many.
    async fn write<L: Log>(
        &self,
        log: &L,
        id: &str,
        unwritten: &mut Vec<Entry>,
        kept: usize,
    ) -> Result<(), Error> {
        let _pen = self.pen.acquire().await;
        let many = unwritten.len().saturating_sub(kept);
        for entry in unwritten.drain(..many) {
            let mut written = log.append(id, &entry).await;
            if written.is_err() && M::log_fails(&entry) == LogFails::IsTriedAgain {
                written = log.append(id, &entry).await;
            }
            if M::log_fails(&entry) != LogFails::IsIgnored {
                written.map_err(|error| Error::Log(error.into()))?;
            }
        }
        Ok(())
    }
}

impl<M: Usual> Orchestrator for Usually<M> {
    fn new() -> Usually<M> {
        let turns = Semaphore::new(M::AT_ONCE);
        let pen = Semaphore::new(if M::ONE_WRITES { 1 } else { Semaphore::MAX_PERMITS });
        Usually { turns, pen, lists: Mutex::default(), _usual: PhantomData }
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
        let (entries, begun) = (Vec::new(), M::BEGUN_FROM_THE_START);
        self.go(Way { saga, id, context, entries, begun }, log).await
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
        let (entries, begun) = M::resumes(entries);
        self.go(Way { saga, id, context, entries, begun }, log).await
    }
}
