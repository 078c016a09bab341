//! A saga as a value, and what has to be done next in it.
//!
//! A saga is a row of steps. Each has an action and, where it can be undone, a compensation: the
//! stock is reserved, and released; the customer is charged, and gets the money back. Nothing here
//! runs anything. [`Saga::next`] reads what has happened and says what has to happen now, so the
//! rules stand in one place, for an orchestrator in memory, for one with a journal, and for whoever
//! takes a saga over from an orchestrator that died.
//!
//! ```text
//!   reserve ──> charge ──> confirm* ──> notify          * the pivot
//!      │           │           │
//!   release <── refund <── refused      behind the pivot there is only forward
//! ```
//!
//! Sources: H. Garcia-Molina and K. Salem, [Sagas](https://doi.org/10.1145/38713.38742), SIGMOD
//! 1987; C. Richardson, *Microservices Patterns*, 2018, chapter 4, for the pivot.

use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A row of steps over a context `C`: what all of them know, such as the order.
pub struct Saga<C> {
    /// Its name, as it stands in the journal.
    pub name: &'static str,
    /// The steps, in the order in which they are done.
    pub steps: Vec<Step<C>>,
}

/// One step: what to do, and how to undo it.
pub struct Step<C> {
    /// Its name. It stands in the journal, so it stays what it was.
    pub name: &'static str,
    /// Does it. Done again with the same [`Run::key`], it has no second effect.
    pub action: Act<C, ()>,
    /// Undoes it; `None` where there is nothing to undo. May be called twice, and for an action
    /// that never arrived.
    pub compensation: Option<Act<C, ()>>,
    /// Says whether it was done, where an attempt left that open. `None`: the action is tried again.
    /// A "no" holds for now: what is still on its way may be done later.
    pub inquiry: Option<Act<C, bool>>,
    /// How often and for how long.
    pub patience: Patience,
    /// The point of no return: once this is done, there is only forward. Where nobody can say whether
    /// it was, there is neither way, and it is [`Entry::Parked`].
    pub pivot: bool,
    /// Who refuses this refuses it for good, also what is still on its way: a reservation that is over
    /// is never sold. Then a refusal says that nothing was done, whatever was unclear before.
    pub refusal_is_final: bool,
}

/// What a step calls.
pub type Act<C, T> = Arc<dyn Fn(Run<C>) -> Doing<T> + Send + Sync>;

/// A call on its way.
pub type Doing<T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send>>;

/// What a step is told.
#[derive(Debug)]
pub struct Run<C> {
    /// Which saga.
    pub id: String,
    /// The idempotency key of this step in this saga: the same for each attempt, also after a crash.
    /// The inquiry and the compensation get the action's: by it the service finds what they mean.
    pub key: String,
    /// The how many-eth attempt, from 1.
    pub attempt: u32,
    /// What all steps know.
    pub context: Arc<C>,
}

/// How often a step is tried, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Attempts, at least 1. Of a compensation: before it is parked.
    pub attempts: u32,
    /// The pause before the second attempt, at most; each later one is twice as long.
    pub first: Duration,
    /// No pause is longer.
    pub longest: Duration,
    /// How long one attempt may take. After that it is [`Failure::Unclear`].
    pub deadline: Duration,
}

impl Patience {
    /// How long to wait after the n-th attempt, drawn anew each time: uniform on
    /// [0, min(longest, first · 2ⁿ⁻¹)]. "Full jitter", as in the lesson on retries (04.3): sagas that
    /// met the same outage do not come back together.
    pub fn pause(&self, nth: u32) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(nth.saturating_sub(1)));
        rand::rng().random_range(Duration::ZERO..=doubled.min(self.longest))
    }
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            attempts: 4,
            first: Duration::from_millis(100),
            longest: Duration::from_secs(5),
            deadline: Duration::from_secs(5),
        }
    }
}

/// Why an attempt came to nothing, told apart by what follows from it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It was not done, and would be refused again: the card is declined.
    #[error("refused: {0}")]
    Refused(String),
    /// It was not done, and may be later: the service is away.
    #[error("not done: {0}")]
    NotDone(String),
    /// It may have been done: the answer was lost, or late.
    #[error("unclear: {0}")]
    Unclear(String),
}

/// What the journal of a saga holds, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// The step's action is done.
    Done {
        /// The step's name.
        step: String,
    },
    /// It was certainly not done. From here the saga goes back.
    Refused {
        /// The step's name.
        step: String,
        /// What was said.
        reason: String,
    },
    /// It may have been done, and nobody could be asked. From here the saga goes back, and undoes
    /// this step as well.
    Unknown {
        /// The step's name.
        step: String,
        /// What was said.
        reason: String,
    },
    /// The step's compensation is done.
    Undone {
        /// The step's name.
        step: String,
    },
    /// Tried as often as it may be: a person has to look. Nothing more is done by itself.
    Parked {
        /// The step's name.
        step: String,
        /// What was said last.
        reason: String,
    },
    /// The person has looked, and it is to be tried again.
    Resumed,
}

/// How a saga stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All steps are done.
    Completed,
    /// What was done is undone.
    Compensated,
    /// It waits for a person.
    Parked,
}

impl Outcome {
    /// As it stands in the journal.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Completed => "completed",
            Outcome::Compensated => "compensated",
            Outcome::Parked => "parked",
        }
    }
}

/// What has to be done now.
#[derive(Debug)]
pub enum Next<'a, C> {
    /// The action of this step.
    Act(&'a Step<C>),
    /// The compensation of this step; it has one.
    Compensate(&'a Step<C>),
    /// Nothing.
    Rest(Outcome),
}

/// The journal is not one of this saga: it names a step that the saga does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal names the step `{0}`, and the saga has none of this name")]
pub struct UnknownStep(pub String);

impl<C> Saga<C> {
    /// A saga without steps as yet.
    pub fn named(name: &'static str) -> Saga<C> {
        Saga { name, steps: Vec::new() }
    }

    /// And then this step.
    ///
    /// # Panics
    /// There is one of this name: in the journal nobody could tell them apart.
    #[must_use]
    pub fn step(mut self, step: Step<C>) -> Saga<C> {
        assert!(self.place(step.name).is_err(), "two steps are named `{}`", step.name);
        self.steps.push(step);
        self
    }

    /// What has to be done after all this has happened. The same entries always lead to the same
    /// answer, whoever reads them.
    ///
    /// # Errors
    /// [`UnknownStep`].
    pub fn next(&self, journal: &[Entry]) -> Result<Next<'_, C>, UnknownStep> {
        let mut forward = 0;
        // Steps below this one are to be undone, once the saga goes back.
        let mut back = None;
        let mut parked = false;
        for entry in journal {
            match entry {
                Entry::Done { step } => forward = self.place(step)? + 1,
                Entry::Refused { step, .. } => back = Some(self.place(step)?),
                Entry::Unknown { step, .. } => back = Some(self.place(step)? + 1),
                Entry::Undone { step } => back = Some(self.place(step)?),
                Entry::Parked { step, .. } => {
                    self.place(step)?;
                    parked = true;
                }
                Entry::Resumed => parked = false,
            }
        }
        if parked {
            return Ok(Next::Rest(Outcome::Parked));
        }
        Ok(match back {
            None => match self.steps.get(forward) {
                Some(step) => Next::Act(step),
                None => Next::Rest(Outcome::Completed),
            },
            Some(below) => {
                let mut done = self.steps[..below].iter().rev();
                match done.find(|step| step.compensation.is_some()) {
                    Some(step) => Next::Compensate(step),
                    None => Next::Rest(Outcome::Compensated),
                }
            }
        })
    }

    /// Whether the point of no return is behind it.
    ///
    /// # Errors
    /// [`UnknownStep`].
    pub fn is_past_pivot(&self, journal: &[Entry]) -> Result<bool, UnknownStep> {
        for entry in journal {
            if let Entry::Done { step } = entry
                && self.steps[self.place(step)?].pivot
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn place(&self, name: &str) -> Result<usize, UnknownStep> {
        let place = self.steps.iter().position(|step| step.name == name);
        place.ok_or_else(|| UnknownStep(name.to_owned()))
    }
}

impl<C> Step<C> {
    /// A step with an action, and the default patience.
    pub fn new<F, D>(name: &'static str, action: F) -> Step<C>
    where
        F: Fn(Run<C>) -> D + Send + Sync + 'static,
        D: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let (compensation, inquiry, patience) = (None, None, Patience::default());
        let action = act(action);
        let (pivot, refusal_is_final) = (false, false);
        Step { name, action, compensation, inquiry, patience, pivot, refusal_is_final }
    }

    /// And how to undo it.
    #[must_use]
    pub fn undo<F, D>(self, compensation: F) -> Step<C>
    where
        F: Fn(Run<C>) -> D + Send + Sync + 'static,
        D: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        Step { compensation: Some(act(compensation)), ..self }
    }

    /// And whom to ask whether it was done.
    #[must_use]
    pub fn ask<F, D>(self, inquiry: F) -> Step<C>
    where
        F: Fn(Run<C>) -> D + Send + Sync + 'static,
        D: Future<Output = Result<bool, Failure>> + Send + 'static,
    {
        Step { inquiry: Some(act(inquiry)), ..self }
    }

    /// With another patience.
    #[must_use]
    pub fn patience(self, patience: Patience) -> Step<C> {
        Step { patience, ..self }
    }

    /// Once this is done, there is only forward.
    #[must_use]
    pub fn pivot(self) -> Step<C> {
        Step { pivot: true, ..self }
    }

    /// Who refuses it refuses it for good. To be said of a service that remembers what it has refused,
    /// or that cannot come to do it any more; said of another, what arrives late is never undone.
    #[must_use]
    pub fn final_refusal(self) -> Step<C> {
        Step { refusal_is_final: true, ..self }
    }
}

fn act<C, T, F, D>(call: F) -> Act<C, T>
where
    F: Fn(Run<C>) -> D + Send + Sync + 'static,
    D: Future<Output = Result<T, Failure>> + Send + 'static,
{
    Arc::new(move |run| Box::pin(call(run)))
}

impl<C> Clone for Run<C> {
    fn clone(&self) -> Run<C> {
        let Run { id, key, attempt, context } = self;
        let (id, key) = (id.clone(), key.clone());
        Run { id, key, attempt: *attempt, context: Arc::clone(context) }
    }
}

impl<C> fmt::Debug for Step<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("name", &self.name).finish_non_exhaustive()
    }
}
