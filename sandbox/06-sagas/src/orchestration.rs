//! 06.2 · Orchestration: a saga as a value, and one who carries it out.
//!
//! A checkout is four calls to three services. Written one after the other, with the undoing in the
//! branches of its errors, it has a branch for each way in which each call may end, and the one that
//! is wrong is found by a customer. Here the steps are data ([`Saga`]), what follows from what has
//! happened is one function of the entries ([`Saga::next`]), and the orchestrator does what that
//! says, writes down what came of it, and asks again. The contract [`Orchestrator`] names the
//! promises, [`Conductor`] keeps them:
//!
//! | promise | how |
//! | --- | --- |
//! | Where step i comes to nothing, the compensations of i-1 to 1 run, each once, in this order | what is to be done next is read from the entries, and from nothing else |
//! | What may have been done is undone as well | "it failed" is three things: refused, not done, unclear |
//! | An answer that was lost does nothing twice, and undoes nothing that is well | the inquiry; and the same key at each attempt |
//! | Behind the pivot there is only forward | what cannot be done there is parked, with its reason |
//! | An undoing is tried again, and never given up in silence | parked, with its reason |
//! | Whoever takes over knows where it was | an entry is in the log before the next step begins |
//!
//! What it does not promise:
//!
//! - **Isolation.** Between the first step and the last, everybody sees what is half done: the units
//!   that are reserved, the money that is about to come back (06.8).
//! - **That it goes on by itself.** A saga whose process died lies where its entries say until
//!   somebody calls [`Orchestrator::resume`] (06.7), and no more than one at a time.
//! - **More than its steps keep.** An action that does not know its key when it sees it again is
//!   done twice (06.6). A compensation that came first has to keep out what comes late.
//!
//! Sources: H. Garcia-Molina and K. Salem, [Sagas](https://doi.org/10.1145/38713.38742), SIGMOD 1987;
//! C. Richardson, *Microservices Patterns*, 2018, chapter 4; P. Helland, [Life beyond distributed
//! transactions](https://queue.acm.org/detail.cfm?id=3025012), 2016.

mod attempt;
mod log;
pub mod steps;

pub use attempt::attempt;
pub use log::{Log, Memory};

use crate::saga::{Entry, Outcome, Saga, UnknownStep};
use std::error::Error as StdError;
use std::future::Future;
use std::ops::ControlFlow;
use std::sync::Arc;
use steps::Steps;

// ANCHOR: contract
/// The contract: carries a saga out, forward as far as it goes and back as far as it must.
///
/// What is to be done next is what [`Saga::next`] says of the entries. What came of it is the next
/// entry, which is in the log before anything else is begun.
///
/// | a step's action | its entry |
/// | --- | --- |
/// | is done, at any attempt | `Done` |
/// | is refused | `Refused`, at once |
/// | is not done, at each of [`Patience::attempts`](crate::saga::Patience) attempts | `Refused` |
/// | is unclear | see below |
/// | comes to nothing behind the pivot | `Parked` instead |
///
/// An [`attempt`] that has no answer within [`Patience::deadline`](crate::saga::Patience), or that
/// panics, is unclear. Then the step's inquiry is asked, and asked again as often as an action, until
/// it answers. "Yes": `Done`. "No", refused, no answer, no inquiry: the action is attempted again, as
/// often as it may be. Whatever it says from then on but that it is done, the step's entry is
/// `Unknown`, for what was given up may still be on its way, also where it is refused later, which
/// ends it at once as ever, and where there is no compensation. Of a pivot that is unclear it is
/// `Parked`, also where it has a compensation: whether there is a way back is just what nobody knows.
/// Where the step's [refusal is final](crate::saga::Step::refusal_is_final), it ends that: `Refused`,
/// as if nothing had been unclear.
///
/// A compensation is attempted as often as an action, also where it is unclear, and nobody is asked.
/// Done, its entry is `Undone`; refused, or when the attempts are used up, `Parked`.
///
/// The reason in an entry holds what was said last. `Parked` ends the run.
///
/// Between two attempts, also of an inquiry, is a [pause](crate::saga::Patience::pause). Each attempt
/// of a step, of its inquiry and of its compensation has the same [`Run::key`](crate::saga::Run), and
/// no other step of any saga has it. What tells them apart are the names of saga and step, and the id:
/// two sagas may have steps of one name, two sagas of different names one id, and a step may stand at
/// another place tomorrow. No name holds a slash; an id may, and anything else, and be long. The
/// context is the same for all.
///
/// Dropped, it stops: no attempt begins or goes on. Many sagas may be run at once, thousands of them,
/// and none waits for another.
pub trait Orchestrator: Send + Sync + Sized + 'static {
    /// Shared by all sagas.
    fn new() -> Self;

    /// Begins the saga `id`, which nobody has begun before.
    ///
    /// # Errors
    /// [`Error::Log`].
    fn run<C, L>(
        &self,
        saga: &Saga<C>,
        id: &str,
        context: Arc<C>,
        log: &L,
    ) -> impl Future<Output = Result<Outcome, Error>> + Send
    where
        C: Send + Sync + 'static,
        L: Log;

    /// Goes on with the saga `id`, of which `entries` are in the log. Nobody else runs it any more.
    /// The step that comes next may have been begun, and not have come to its entry, also where there
    /// is no entry as yet, or [`Entry::Resumed`] is the last. So its action is unclear from the
    /// beginning: the inquiry is asked before the first attempt. A compensation is just attempted.
    ///
    /// # Errors
    /// [`Error::Log`], [`Error::UnknownStep`].
    fn resume<C, L>(
        &self,
        saga: &Saga<C>,
        id: &str,
        context: Arc<C>,
        entries: Vec<Entry>,
        log: &L,
    ) -> impl Future<Output = Result<Outcome, Error>> + Send
    where
        C: Send + Sync + 'static,
        L: Log;
}

/// Why a saga lies where it is. It can be [resumed](Orchestrator::resume) from what the log holds.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What has happened could not be written down, so nothing more was done.
    #[error("the saga's log failed: {0}")]
    Log(#[source] Box<dyn StdError + Send + Sync>),
    /// The entries are not of this saga.
    #[error(transparent)]
    UnknownStep(#[from] UnknownStep),
}
// ANCHOR_END: contract

/// The reference. It holds nothing: all that it knows of a saga are the saga's entries.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conductor;

impl Orchestrator for Conductor {
    fn new() -> Conductor {
        Conductor
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
        carry_out(&Steps::of(saga, id, &context), Vec::new(), false, log).await
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
        carry_out(&Steps::of(saga, id, &context), entries, true, log).await
    }
}

// ANCHOR: carry_out
async fn carry_out<C, L>(
    steps: &Steps<'_, C>,
    mut entries: Vec<Entry>,
    mut begun: bool,
    log: &L,
) -> Result<Outcome, Error>
where
    C: Send + Sync + 'static,
    L: Log,
{
    loop {
        let entry = match steps.next(&entries, begun).await? {
            ControlFlow::Break(outcome) => return Ok(outcome),
            ControlFlow::Continue(entry) => entry,
        };
        if let Entry::Parked { step, reason } = &entry {
            tracing::warn!(saga = steps.id(), step, reason, "parked: somebody has to look");
        }
        // Before anything else is begun. A step whose entry is lost is attempted again, with its
        // key; a step that nobody knows was begun would not be undone.
        log.append(steps.id(), &entry).await.map_err(|error| Error::Log(error.into()))?;
        entries.push(entry);
        begun = false;
    }
}
// ANCHOR_END: carry_out
