//! 04.5 · Bulkhead: so many calls at once to each dependency.
//!
//! A ship is divided by walls, so that a leak fills one compartment and not the hull; the name is
//! Michael Nygard's, *Release It!* (2007). Here the water is waiting: callers that wait for a slow
//! dependency hold what callers of a healthy one need as well, be it a worker, a connection or
//! memory. So each dependency gets a number of places of its own, and a short queue in front of
//! them. Who finds both full is refused at once.
//!
//! | promise | how |
//! | --- | --- |
//! | Never more calls at once than there are places | a place is taken before the call is first polled |
//! | A place comes back, whatever happens | it is a value, given back when it is dropped: at the end, by a panic, by a caller that goes away |
//! | The queue does not grow with the trouble | it is bounded, and who would be one too many is told so at once |
//! | Nobody waits for ever, and nobody is passed over | [`Config::longest_wait`]; first come, first served |
//! | Who only might call holds nothing | `poll_ready` takes no place; see [`BulkheadLayer`] |
//!
//! How many places? By [Little's law] as many as the dependency answers in a second, times the
//! seconds that an answer takes while all is well, and some more for bursts. 200 a second at 20 ms
//! are four. It is not how many calls you would like to have: it is how many may be stuck.
//!
//! What it does not promise:
//!
//! - **That the dependency is at rest.** A place counts callers. A query that its caller has given
//!   up may still run on the server, and work that a call has spawned goes on without a place.
//! - **An answer.** Whoever is inside waits for as long as the call lasts. A deadline goes around
//!   the call, inside the place: lesson 04.4.
//!
//! [Little's law]: https://doi.org/10.1287/opre.9.3.383

mod layer;

pub use layer::{BulkheadLayer, BulkheadService};

use crate::BoxError;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tower_layer::Layer;
use tower_service::Service;

// ANCHOR: contract
/// The contract: the places of one dependency. Whatever shares a bulkhead sinks together, so there
/// is one for each dependency, shared by all who call it.
pub trait Bulkhead: Send + Sync + Sized + 'static {
    /// Empty, of this size.
    fn new(config: Config) -> Self;

    /// Runs `call` in a place.
    ///
    /// Where a place is free, `call` is run at once. Where none is, the caller waits in the queue,
    /// for [`Config::longest_wait`] at most, and the first that came is the first to get in. `call`
    /// is not polled before it has a place, and not at all if it gets none.
    ///
    /// A caller has come when the future of this method is first polled; made and not polled, it
    /// holds nothing. From then on it has one wait, however the queue moves meanwhile. While it
    /// waits it sleeps: it is woken when there is something to do, by the waker that it was polled
    /// with last.
    ///
    /// The place is held until `call` is gone: until it has ended and is dropped, has panicked, or
    /// was dropped because the future of this method was. A caller that goes away while it waits
    /// leaves the queue.
    ///
    /// # Errors
    /// [`Full::Queue`] at once, if all places are taken and the queue is full. [`Full::Waited`], if
    /// no place came free within the longest wait. What `call` answers is not looked at: a failure
    /// of the dependency is an `Ok` here.
    fn call<F>(&self, call: F) -> impl Future<Output = Result<F::Output, Full>> + Send
    where
        F: Future<Output: Send> + Send;

    /// How full it is. For a dashboard: it may be old when it is read.
    fn counts(&self) -> Counts;

    /// `inner` behind this bulkhead, as a tower service. Each call of it goes through
    /// [`Bulkhead::call`], and clones of it share the places.
    ///
    /// It is ready whenever it is asked, however full it is, and holds nothing then: no place, and
    /// nothing of `inner`. Whether `inner` is ready is asked inside, in the place. The error is
    /// `inner`'s own, or [`Full`]; `downcast_ref` tells which.
    fn around<S, R>(
        self: Arc<Self>,
        inner: S,
    ) -> impl Service<R, Response = S::Response, Error = BoxError, Future: Send + 'static>
    + Clone
    + Send
    + 'static
    where
        S: Service<R, Response: Send, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
        R: Send + 'static;
}

/// The size of a bulkhead. Any numbers will do: `usize::MAX` and [`Duration::MAX`] are no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many calls may run at once. With none, nobody gets in.
    pub places: usize,
    /// How many callers may wait for a place. With none, nobody waits.
    pub queue: usize,
    /// How long a caller waits for a place at most. With no time at all, a place that is free is
    /// taken, and who finds none is told so at once.
    pub longest_wait: Duration,
}

/// How full a bulkhead is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that have a place.
    pub inside: usize,
    /// Callers in the queue.
    pub waiting: usize,
    /// How many were refused so far, at once or after they had waited.
    pub refused: u64,
}

/// Refused. The dependency was not called, so it is safe to call it later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// All places were taken, and so was the queue.
    #[error("the bulkhead is full, and so is its queue")]
    Queue,
    /// No place came free in this time.
    #[error("the bulkhead is full: no place came free in {0:?}")]
    Waited(Duration),
}
// ANCHOR_END: contract

/// The reference: two of tokio's semaphores, one inside the other.
///
/// Whoever is here at all, waiting or inside, has a ticket; whoever is inside has a place as well.
/// There are as many tickets as places and room in the queue, so nobody has to count who waits: no
/// ticket means that both are full. Tickets and places are permits, and permits come back when they
/// are dropped.
///
/// The semaphore is fair: a permit that comes back goes to the first who waits, also past somebody
/// who comes at that moment and only tries.
/// <https://docs.rs/tokio/latest/tokio/sync/struct.Semaphore.html>
#[derive(Debug)]
pub struct Compartment {
    config: Config,
    tickets: Semaphore,
    places: Semaphore,
    refused: AtomicU64,
}

// ANCHOR: enter
impl Compartment {
    /// Waits for a place. Dropped, it leaves nothing behind.
    async fn enter(&self) -> Result<Inside<'_>, Full> {
        let ticket = self.tickets.try_acquire().map_err(|_| Full::Queue)?;
        // Without a timer, where nobody has to wait.
        if let Ok(place) = self.places.try_acquire() {
            return Ok(Inside { _place: place, _ticket: ticket });
        }
        let longest = self.config.longest_wait;
        match tokio::time::timeout(longest, self.places.acquire()).await {
            Ok(Ok(place)) => Ok(Inside { _place: place, _ticket: ticket }),
            Ok(Err(_)) => unreachable!("nobody closes it"),
            Err(_) => Err(Full::Waited(longest)),
        }
    }
}

/// A place, and the ticket to it. The place comes back first: after a ticket, somebody would come
/// in and have to wait for it.
struct Inside<'a> {
    _place: SemaphorePermit<'a>,
    _ticket: SemaphorePermit<'a>,
}
// ANCHOR_END: enter

impl Bulkhead for Compartment {
    fn new(config: Config) -> Compartment {
        // A semaphore has a most, and panics above it.
        let places = config.places.min(Semaphore::MAX_PERMITS / 2);
        let queue = config.queue.min(Semaphore::MAX_PERMITS / 2);
        Compartment {
            config: Config { places, queue, ..config },
            tickets: Semaphore::new(places + queue),
            places: Semaphore::new(places),
            refused: AtomicU64::new(0),
        }
    }

    // ANCHOR: call
    async fn call<F>(&self, call: F) -> Result<F::Output, Full>
    where
        F: Future<Output: Send> + Send,
    {
        // With a name, for `let _ =` would drop it here. And before `call` is awaited, so that it is
        // dropped after it: a call that is given up has a place for as long as it takes to go.
        let _inside = self.enter().await.inspect_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
        })?;
        Ok(call.await)
    }
    // ANCHOR_END: call

    fn counts(&self) -> Counts {
        let Config { places, queue, .. } = self.config;
        let here = places + queue - self.tickets.available_permits();
        let inside = places - self.places.available_permits();
        // Two looks, and somebody may have come in between.
        let waiting = here.saturating_sub(inside);
        Counts { inside, waiting, refused: self.refused.load(Ordering::Relaxed) }
    }

    fn around<S, R>(
        self: Arc<Compartment>,
        inner: S,
    ) -> impl Service<R, Response = S::Response, Error = BoxError, Future: Send + 'static>
    + Clone
    + Send
    + 'static
    where
        S: Service<R, Response: Send, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
        R: Send + 'static,
    {
        BulkheadLayer::new(self).layer(inner)
    }
}
