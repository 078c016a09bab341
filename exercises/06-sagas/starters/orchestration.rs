//! 06.2 · Orchestration
//!
//! A checkout reserves, charges, confirms and sends, each at another service, and no transaction
//! spans them. The saga is there, as a value: `Saga` and its `Step`s. You build who carries it out.
//!
//! What it has to keep, and the checks will try to break each of these:
//!
//! 1. Step i comes to nothing: exactly the compensations i-1 to 1 run, in this order.
//! 2. What may have been done is undone as well. A step fails in three ways: it is refused, it is not
//!    done, or nobody knows. Only the first two are a no; and who did not know once does not know
//!    better because somebody says no later.
//! 3. An answer that was lost does nothing twice: ask whether it was done, or try again with the same
//!    key.
//! 4. Behind the pivot there is only forward. What cannot be done there, and what cannot be undone
//!    before it, is parked with its reason.
//! 5. Every entry is in the log before the next step begins, and from the entries anybody can go on.
//!
//! The contract with all its details is the trait `Orchestrator`:
//! sandbox/06-sagas/src/orchestration.rs, and the saga itself: sandbox/06-sagas/src/saga.rs. Three
//! things are there to be used. `saga.next(&entries)` says what has to be done now, `attempt(call,
//! run, deadline)` makes one attempt and always comes to an end, `step.patience.pause(nth)` is how
//! long to wait after the n-th.
//!
//! A first step: in `run`, a loop that asks `saga.next`, makes one attempt, appends the entry to the
//! log and to its own list, and asks again. Anything but Ok is `Refused`. Run the checks. Then the
//! attempts, then what is unclear, then the pivot, then `resume`.

use sagas::orchestration::{Error, Log, Orchestrator};
use sagas::saga::{Entry, Outcome, Saga};
use std::sync::Arc;

/// Your orchestrator. All sagas share it, so whatever belongs to one saga is not kept here.
pub struct MyOrchestrator;

impl Orchestrator for MyOrchestrator {
    fn new() -> MyOrchestrator {
        MyOrchestrator
    }

    async fn run<C, L>(
        &self,
        _saga: &Saga<C>,
        _id: &str,
        _context: Arc<C>,
        _log: &L,
    ) -> Result<Outcome, Error>
    where
        C: Send + Sync + 'static,
        L: Log,
    {
        todo!("what has to be done now; do it; write it down; again")
    }

    async fn resume<C, L>(
        &self,
        _saga: &Saga<C>,
        _id: &str,
        _context: Arc<C>,
        _entries: Vec<Entry>,
        _log: &L,
    ) -> Result<Outcome, Error>
    where
        C: Send + Sync + 'static,
        L: Log,
    {
        todo!("the same, from these entries; the first step may have been begun")
    }
}
