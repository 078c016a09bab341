//! What most of the wrong answers get right: each changes one thing of it.

use circuit_breakers::BoxError;
use circuit_breakers::bulkhead::{Bulkhead, BulkheadLayer, Config, Counts, Full};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tower_layer::Layer;
use tower_service::Service;

/// Tickets for all who are here, places for those who are inside. Clones are the same doors.
#[derive(Clone)]
pub(super) struct Doors {
    pub(super) config: Config,
    sizes: (usize, usize),
    pub(super) places: Arc<Semaphore>,
    pub(super) tickets: Arc<Semaphore>,
    pub(super) refused: Arc<AtomicU64>,
    /// For whoever wants to ring when a place comes free.
    pub(super) bell: Arc<Notify>,
}

impl Doors {
    pub(super) fn usual(config: Config) -> Doors {
        // A semaphore has a most, and panics above it.
        let most = Semaphore::MAX_PERMITS / 2;
        let (places, queue) = (config.places.min(most), config.queue.min(most));
        Doors::of(config, places, places + queue)
    }

    pub(super) fn of(config: Config, places: usize, tickets: usize) -> Doors {
        Doors {
            config,
            sizes: (places, tickets),
            places: Arc::new(Semaphore::new(places)),
            tickets: Arc::new(Semaphore::new(tickets)),
            refused: Arc::default(),
            bell: Arc::default(),
        }
    }

    /// A place, after however long.
    pub(super) async fn wait(&self) -> OwnedSemaphorePermit {
        let places = Arc::clone(&self.places);
        places.acquire_owned().await.expect("nobody closes it")
    }

    pub(super) fn counts(&self) -> Counts {
        let inside = self.sizes.0 - self.places.available_permits();
        let here = self.sizes.1.saturating_sub(self.tickets.available_permits());
        let waiting = here.saturating_sub(inside);
        Counts { inside, waiting, refused: self.refused.load(Ordering::Relaxed) }
    }
}

/// Whoever is inside has both.
pub(super) struct Inside {
    pub(super) place: OwnedSemaphorePermit,
    pub(super) ticket: OwnedSemaphorePermit,
}

impl Inside {
    /// Nothing comes back.
    pub(super) fn forget(self) {
        self.place.forget();
        self.ticket.forget();
    }
}

/// One way to do each step.
pub(super) trait Usual: Send + Sync + Sized + 'static {
    fn open(config: Config) -> Doors {
        Doors::usual(config)
    }

    fn ticket(doors: &Doors) -> impl Future<Output = Result<OwnedSemaphorePermit, Full>> + Send {
        async { Arc::clone(&doors.tickets).try_acquire_owned().map_err(|_| Full::Queue) }
    }

    fn place(doors: &Doors) -> impl Future<Output = Result<OwnedSemaphorePermit, Full>> + Send {
        async {
            let longest = doors.config.longest_wait;
            let place = tokio::time::timeout(longest, doors.wait()).await;
            place.map_err(|_| Full::Waited(longest))
        }
    }

    fn enter(doors: &Doors) -> impl Future<Output = Result<Inside, Full>> + Send {
        async {
            let ticket = Self::ticket(doors).await?;
            let place = Self::place(doors).await?;
            Ok(Inside { place, ticket })
        }
    }

    fn run<F: Future<Output: Send> + Send>(
        doors: &Doors,
        call: F,
    ) -> impl Future<Output = Result<F::Output, Full>> + Send {
        async {
            let _inside = Self::enter(doors).await?;
            Ok(call.await)
        }
    }

    fn refuses(_: Full) -> bool {
        true
    }

    fn counts(counts: Counts) -> Counts {
        counts
    }
}

/// The steps of `M`, put together.
pub(super) struct Usually<M> {
    pub(super) doors: Doors,
    steps: PhantomData<M>,
}

impl<M: Usual> Bulkhead for Usually<M> {
    fn new(config: Config) -> Self {
        Usually { doors: M::open(config), steps: PhantomData }
    }

    async fn call<F>(&self, call: F) -> Result<F::Output, Full>
    where
        F: Future<Output: Send> + Send,
    {
        let answer = M::run(&self.doors, call).await;
        if answer.as_ref().is_err_and(|full| M::refuses(*full)) {
            self.doors.refused.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    fn counts(&self) -> Counts {
        M::counts(self.doors.counts())
    }

    fn around<S, R>(
        self: Arc<Self>,
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

/// All of it right.
pub(super) struct Right;

impl Usual for Right {}
