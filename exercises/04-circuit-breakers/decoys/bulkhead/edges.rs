//! Those who are wrong at the edges: no time at all, many places, two of the same size, and the
//! moment in which one comes.

use super::usual::{Doors, Inside, Right, Usual, Usually};
use circuit_breakers::BoxError;
use circuit_breakers::bulkhead::{Bulkhead, BulkheadLayer, Config, Counts, Full};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tower_layer::Layer;
use tower_service::Service;

/// As in so many configurations: 0 switches the limit off. Who wanted nobody to wait has them wait
/// for ever. Rejected by `no_time_to_wait`.
pub(super) struct ZeroIsForEver;

impl Usual for ZeroIsForEver {
    async fn place(doors: &Doors) -> Result<OwnedSemaphorePermit, Full> {
        match doors.config.longest_wait {
            Duration::ZERO => Ok(doors.wait().await),
            _ => Right::place(doors).await,
        }
    }
}

/// Nobody is to wait, so nobody does: it is over before anybody has looked whether a place is free,
/// and a bulkhead that is empty refuses all. Rejected by `no_time_to_wait`.
pub(super) struct ClockFirst;

impl Usual for ClockFirst {
    async fn place(doors: &Doors) -> Result<OwnedSemaphorePermit, Full> {
        match doors.config.longest_wait {
            Duration::ZERO => Err(Full::Waited(Duration::ZERO)),
            _ => Right::place(doors).await,
        }
    }
}

/// A loop around a `select!`, with the clock in it: whenever somebody goes, all who wait look, and
/// wait anew. The busier the queue is, the longer they wait. Rejected by `wait_has_one_clock`.
pub(super) struct ClockInTheLoop;

struct RingsForAll(Arc<Notify>);

impl Drop for RingsForAll {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}

impl Usual for ClockInTheLoop {
    async fn place(doors: &Doors) -> Result<OwnedSemaphorePermit, Full> {
        let longest = doors.config.longest_wait;
        let mut place = pin!(doors.wait());
        loop {
            tokio::select! {
                biased;
                place = &mut place => return Ok(place),
                () = doors.bell.notified() => {}
                () = tokio::time::sleep(longest) => return Err(Full::Waited(longest)),
            }
        }
    }

    async fn run<F: Future<Output: Send> + Send>(
        doors: &Doors,
        call: F,
    ) -> Result<F::Output, Full> {
        let Inside { place, ticket } = Self::enter(doors).await?;
        let (_ticket, _rings, _place) = (ticket, RingsForAll(Arc::clone(&doors.bell)), place);
        Ok(call.await)
    }
}

/// Counts in 32 bits, for nobody has four thousand million places. Somebody wrote a one and many
/// zeros for "no limit", and what is left of it are the zeros. Rejected by `any_size`.
pub(super) struct CountsInFewerBits;

impl Usual for CountsInFewerBits {
    fn open(config: Config) -> Doors {
        Doors::usual(Config { places: config.places as u32 as usize, ..config })
    }
}

/// A registry, so that whoever asks for the same bulkhead gets the same. Two dependencies have the
/// same size, and sink together. Rejected by `one_for_each`.
pub(super) struct OneForEachSize;

impl Usual for OneForEachSize {
    fn open(config: Config) -> Doors {
        static ALL: Mutex<Option<HashMap<(usize, usize), Doors>>> = Mutex::new(None);
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        let size = (config.places, config.queue);
        all.get_or_insert_default().entry(size).or_insert_with(|| Doors::usual(config)).clone()
    }
}

/// Places for each, and one queue: who waits holds the same memory, whatever for. The dependency
/// that hangs fills it, and nobody may wait for another one. Rejected by `one_for_each`.
pub(super) struct OneQueueForAll;

static QUEUE: AtomicUsize = AtomicUsize::new(0);

struct InTheQueue;

impl Drop for InTheQueue {
    fn drop(&mut self) {
        QUEUE.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Usual for OneQueueForAll {
    fn open(config: Config) -> Doors {
        let usual = Doors::usual(config);
        Doors::of(config, usual.places.available_permits(), 1_000_000)
    }

    async fn enter(doors: &Doors) -> Result<Inside, Full> {
        let ticket = Arc::clone(&doors.tickets).acquire_owned();
        let ticket = ticket.await.map_err(|_| Full::Queue)?;
        if let Ok(place) = Arc::clone(&doors.places).try_acquire_owned() {
            return Ok(Inside { place, ticket });
        }
        let before = QUEUE.fetch_add(1, Ordering::SeqCst);
        let _waits = InTheQueue;
        if before >= doors.config.queue {
            return Err(Full::Queue);
        }
        Ok(Inside { place: Right::place(doors).await?, ticket })
    }
}

/// Counts the refused with a load and a store, and writes a line in between. Two at the same moment
/// are one. Rejected by `threads_go`.
pub(super) struct CountsInTwoSteps;

impl Usual for CountsInTwoSteps {
    async fn run<F: Future<Output: Send> + Send>(
        doors: &Doors,
        call: F,
    ) -> Result<F::Output, Full> {
        let _inside = Self::enter(doors).await.inspect_err(|_| {
            let refused = doors.refused.load(Ordering::SeqCst);
            std::thread::sleep(Duration::from_micros(50));
            doors.refused.store(refused + 1, Ordering::SeqCst);
        })?;
        Ok(call.await)
    }

    fn refuses(_: Full) -> bool {
        false
    }
}

/// Takes the place in the call itself, and gives the future the rest: so it is sure to be there when
/// it is needed. A list of calls that are made together and waited for one by one refuses itself,
/// while nobody works. Rejected by `made_holds_nothing`.
pub(super) struct TakesWhenMade(Usually<Right>);

impl Bulkhead for TakesWhenMade {
    fn new(config: Config) -> Self {
        TakesWhenMade(Usually::new(config))
    }

    fn call<F>(&self, call: F) -> impl Future<Output = Result<F::Output, Full>> + Send
    where
        F: Future<Output: Send> + Send,
    {
        let doors = &self.0.doors;
        let ticket = Arc::clone(&doors.tickets).try_acquire_owned().map_err(|_| Full::Queue);
        let place = Arc::clone(&doors.places).try_acquire_owned();
        async move {
            let entered = async {
                let ticket = ticket?;
                let place = match place {
                    Ok(place) => place,
                    Err(_) => Right::place(doors).await?,
                };
                Ok(Inside { place, ticket })
            };
            let _inside = entered.await.inspect_err(|_| {
                doors.refused.fetch_add(1, Ordering::Relaxed);
            })?;
            Ok(call.await)
        }
    }

    fn counts(&self) -> Counts {
        self.0.counts()
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
