//! How one step is carried out: attempts, pauses, deadlines, asking; and what it comes to.
//!
//! It writes nothing down. Whoever calls it appends the entry to the saga's log and only then asks
//! for the next one, be it a log in memory or a journal in a database.

use crate::saga::{Act, Entry, Failure, Next, Outcome, Run, Saga, Step, UnknownStep};
use std::ops::ControlFlow;
use std::sync::Arc;

/// The steps of one saga under way.
pub struct Steps<'a, C> {
    saga: &'a Saga<C>,
    id: &'a str,
    context: &'a Arc<C>,
}

impl<'a, C: Send + Sync + 'static> Steps<'a, C> {
    /// Those of the saga `id`.
    pub fn of(saga: &'a Saga<C>, id: &'a str, context: &'a Arc<C>) -> Steps<'a, C> {
        Steps { saga, id, context }
    }

    /// The saga's id.
    pub fn id(&self) -> &'a str {
        self.id
    }

    // ANCHOR: next
    /// Carries out what has to be done after `entries`, and says what came of it; or how the saga
    /// stands, where nothing has to be done.
    ///
    /// `begun`: the step may have been begun by somebody who did not come to write down what became
    /// of it. Then it counts as unclear from the beginning. True of the first step after a crash,
    /// and of no other.
    ///
    /// Dropped, it stops where it is; nothing goes on in the background.
    ///
    /// # Errors
    /// [`UnknownStep`]: the entries are not of this saga.
    pub async fn next(
        &self,
        entries: &[Entry],
        begun: bool,
    ) -> Result<ControlFlow<Outcome, Entry>, UnknownStep> {
        let forward_only = self.saga.is_past_pivot(entries)?;
        Ok(match self.saga.next(entries)? {
            Next::Rest(outcome) => ControlFlow::Break(outcome),
            Next::Act(step) => ControlFlow::Continue(self.act(step, forward_only, begun).await),
            Next::Compensate(step) => ControlFlow::Continue(self.undo(step).await),
        })
    }
    // ANCHOR_END: next

    // ANCHOR: act
    /// The action of `step`, until it is known what became of it or its patience is at an end.
    pub async fn act(&self, step: &Step<C>, forward_only: bool, begun: bool) -> Entry {
        // What was unclear once stays so, whatever is said later, unless it is said to be done. An
        // attempt that was given up may still be on its way, and arrive after "refused" or "no".
        let mut unclear = begun;
        if begun && self.was_done(step).await {
            return done(step);
        }
        let mut attempt = 1;
        let reason = loop {
            let failure = match self.attempt(&step.action, step, attempt).await {
                Ok(()) => return done(step),
                Err(failure) => failure,
            };
            if let Failure::Unclear(_) = failure {
                unclear = true;
                if self.was_done(step).await {
                    return done(step);
                }
            }
            match failure {
                Failure::Refused(reason) => {
                    unclear &= !step.refusal_is_final;
                    break reason;
                }
                Failure::NotDone(reason) | Failure::Unclear(reason)
                    if attempt >= step.patience.attempts =>
                {
                    break reason;
                }
                Failure::NotDone(_) | Failure::Unclear(_) => {}
            }
            tokio::time::sleep(step.patience.pause(attempt)).await;
            attempt += 1;
        };
        let name = step.name.to_owned();
        // A pivot of which nobody knows whether it was done has closed the way back, or it has not:
        // either way on would be a guess.
        if forward_only || (unclear && step.pivot) {
            Entry::Parked { step: name, reason }
        } else if unclear {
            Entry::Unknown { step: name, reason }
        } else {
            Entry::Refused { step: name, reason }
        }
    }
    // ANCHOR_END: act

    // ANCHOR: undo
    /// The compensation of `step`, until it is done or its patience is at an end. That it is unclear
    /// is no reason to ask: it may be called twice.
    pub async fn undo(&self, step: &Step<C>) -> Entry {
        let name = step.name.to_owned();
        let Some(compensation) = &step.compensation else {
            return Entry::Undone { step: name };
        };
        let mut attempt = 1;
        loop {
            match self.attempt(compensation, step, attempt).await {
                Ok(()) => return Entry::Undone { step: name },
                Err(Failure::Refused(reason)) => return Entry::Parked { step: name, reason },
                Err(Failure::NotDone(reason) | Failure::Unclear(reason))
                    if attempt >= step.patience.attempts =>
                {
                    return Entry::Parked { step: name, reason };
                }
                Err(_) => tokio::time::sleep(step.patience.pause(attempt)).await,
            }
            attempt += 1;
        }
    }
    // ANCHOR_END: undo

    /// Whether somebody who was asked says that it was done. A "no" says nothing about what is still
    /// on its way, and so it is the same as no answer: the action is tried again, with its old key.
    async fn was_done(&self, step: &Step<C>) -> bool {
        let Some(inquiry) = &step.inquiry else {
            return false;
        };
        let mut attempt = 1;
        loop {
            match self.attempt(inquiry, step, attempt).await {
                Ok(done) => return done,
                Err(Failure::Refused(_)) => return false,
                Err(_) if attempt >= step.patience.attempts => return false,
                Err(_) => tokio::time::sleep(step.patience.pause(attempt)).await,
            }
            attempt += 1;
        }
    }

    async fn attempt<T>(
        &self,
        call: &Act<C, T>,
        step: &Step<C>,
        attempt: u32,
    ) -> Result<T, Failure> {
        let (id, key) = (self.id.to_owned(), self.key(step));
        let run = Run { id, key, attempt, context: Arc::clone(self.context) };
        super::attempt(call, run, step.patience.deadline).await
    }

    /// The same for the action, its compensation and its inquiry: by it the service finds what is to
    /// be undone, and what it was asked about. The id comes last, for it may hold anything.
    fn key(&self, step: &Step<C>) -> String {
        format!("{}/{}/{}", self.saga.name, step.name, self.id)
    }
}

fn done<C>(step: &Step<C>) -> Entry {
    Entry::Done { step: step.name.to_owned() }
}
