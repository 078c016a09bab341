//! A queue of those who wait, in memory.

use super::orders::{Plain, stores};
use sagas::idempotency_keys::{Answer, Error, Keys, Options, Request, Scope, Work};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Nobody polls: whoever is done wakes the one who has waited longest. That one has hung up meanwhile,
/// hears nothing, and wakes nobody. Those behind it wait until they have had enough. Rejected by
/// `next_in_line`.
pub(super) struct HandsOver(Plain, Mutex<Queues>);

/// By the request's name. Where there is a queue, somebody is at work.
type Queues = HashMap<[u8; 32], VecDeque<oneshot::Sender<()>>>;

/// Whose turn it is. Dropped, it is the next one's.
struct Turn<'a>(&'a HandsOver, [u8; 32]);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut queues = self.0.queues();
        match queues.get_mut(&self.1).and_then(VecDeque::pop_front) {
            Some(next) => drop(next.send(())),
            None => drop(queues.remove(&self.1)),
        }
    }
}

impl HandsOver {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: it is ours at once.
    fn queue(&self, name: [u8; 32]) -> Option<oneshot::Receiver<()>> {
        let mut queues = self.queues();
        let Some(queue) = queues.get_mut(&name) else {
            queues.insert(name, VecDeque::new());
            return None;
        };
        let (wakes, woken) = oneshot::channel();
        queue.push_back(wakes);
        Some(woken)
    }
}

stores! {
    HandsOver(Mutex::default()) {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            if let Some(woken) = self.queue(request.name()) {
                let woken = tokio::time::timeout(self.0.options.wait, woken).await;
                woken.map_err(|_| Error::InProgress { retry_after: self.0.options.timeout })?.ok();
            }
            let _turn = Turn(self, request.name());
            self.0.rightly(request, work).await
        }
    }
}
