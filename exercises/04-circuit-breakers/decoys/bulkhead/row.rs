//! Those who wait in a row that they have made themselves, of wakers.

use circuit_breakers::BoxError;
use circuit_breakers::bulkhead::{Bulkhead, BulkheadLayer, Config, Counts, Full};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

/// `swap_remove` is what the linter proposes where `remove` has to move the rest. The last who came
/// takes the turn of whoever goes away. Rejected by `served_in_order`.
pub(super) type FillsTheGap = InARow<Swaps>;

pub(super) struct Swaps;

impl Way for Swaps {
    fn remove(row: &mut Vec<Waiter>, at: usize) {
        row.swap_remove(at);
    }
}

/// Keeps the waker of the first poll, and does not look at another: it has one already. Who is moved
/// into a task, or out of a `select!`, is woken where it no longer is. Rejected by
/// `woken_elsewhere`.
pub(super) type FirstWakerOnly = InARow<Once>;

pub(super) struct Once;

impl Way for Once {
    fn wakes(kept: &mut Waker, _: &Waker) {
        let _ = kept;
    }
}

/// Wakes itself, so as not to miss its turn. It never does, and each who waits for a dependency that
/// hangs keeps a core busy. Rejected by `waits_at_rest`.
pub(super) type AsksAllTheTime = InARow<Restless>;

pub(super) struct Restless;

impl Way for Restless {
    fn wakes(kept: &mut Waker, now: &Waker) {
        kept.clone_from(now);
        now.wake_by_ref();
    }
}

/// Who is out of time leaves the row, where it stood. If it stands there no longer it has been given
/// a place, and takes that along. Rejected by `granted_and_late`.
pub(super) type TakesItAlong = InARow<Late>;

pub(super) struct Late;

impl Way for Late {
    const LATE_KEEPS_THE_PLACE: bool = true;
}

/// A `drop` must not block, so it tries the lock, and if somebody has it there is nothing to be done.
/// Rejected by `threads_go`.
pub(super) type TriesTheLock = InARow<Tries>;

pub(super) struct Tries;

impl Way for Tries {
    const TRIES: bool = true;
}

/// What is particular about a row. The rest is right.
pub(super) trait Way: Unpin + Send + Sync + Sized + 'static {
    const LATE_KEEPS_THE_PLACE: bool = false;
    const TRIES: bool = false;

    fn remove(row: &mut Vec<Waiter>, at: usize) {
        row.remove(at);
    }

    fn wakes(kept: &mut Waker, now: &Waker) {
        kept.clone_from(now);
    }
}

pub(super) struct Waiter {
    number: u64,
    waker: Waker,
}

#[derive(Default)]
struct Row {
    inside: usize,
    waiting: Vec<Waiter>,
    /// Who got a place while it waited, and has not woken up yet.
    granted: Vec<u64>,
    came: u64,
    refused: u64,
}

/// A bulkhead with a row of its own.
pub(super) struct InARow<W> {
    config: Config,
    row: Arc<Mutex<Row>>,
    way: PhantomData<W>,
}

fn locked(row: &Mutex<Row>) -> MutexGuard<'_, Row> {
    row.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place comes free: it is the next one's from now on.
fn gives_back(row: &mut Row) {
    if row.waiting.is_empty() {
        row.inside -= 1;
        return;
    }
    let next = row.waiting.remove(0);
    row.granted.push(next.number);
    next.waker.wake();
}

struct Place<W: Way>(Arc<Mutex<Row>>, PhantomData<W>);

impl<W: Way> Drop for Place<W> {
    fn drop(&mut self) {
        if W::TRIES {
            if let Ok(mut row) = self.0.try_lock() {
                // As long as a line of a log may take.
                std::thread::sleep(Duration::from_micros(50));
                gives_back(&mut row);
            }
            return;
        }
        gives_back(&mut locked(&self.0));
    }
}

/// Waits in the row, and leaves it when it is dropped.
struct Waits<W: Way> {
    row: Arc<Mutex<Row>>,
    number: u64,
    over: bool,
    way: PhantomData<W>,
}

impl<W: Way> Waits<W> {
    /// Whether it was given a place.
    fn leaves(&mut self) -> bool {
        self.over = true;
        let mut row = locked(&self.row);
        if let Some(at) = row.waiting.iter().position(|waiter| waiter.number == self.number) {
            W::remove(&mut row.waiting, at);
        }
        let granted = row.granted.iter().position(|number| *number == self.number);
        granted.map(|at| row.granted.swap_remove(at)).is_some()
    }
}

impl<W: Way> Future for Waits<W> {
    type Output = Place<W>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Place<W>> {
        {
            let mut row = locked(&self.row);
            let mine = row.waiting.iter_mut().find(|waiter| waiter.number == self.number);
            if let Some(mine) = mine {
                W::wakes(&mut mine.waker, context.waker());
                return Poll::Pending;
            }
        }
        self.leaves();
        Poll::Ready(Place(Arc::clone(&self.row), PhantomData))
    }
}

impl<W: Way> Drop for Waits<W> {
    fn drop(&mut self) {
        if !self.over && self.leaves() {
            gives_back(&mut locked(&self.row));
        }
    }
}

impl<W: Way> InARow<W> {
    async fn enter(&self) -> Result<Place<W>, Full> {
        let waker = std::future::poll_fn(|context| Poll::Ready(context.waker().clone())).await;
        let mut waits: Waits<W> = {
            let mut row = locked(&self.row);
            if row.inside < self.config.places {
                row.inside += 1;
                return Ok(Place(Arc::clone(&self.row), PhantomData));
            }
            if row.waiting.len() >= self.config.queue {
                return Err(Full::Queue);
            }
            row.came += 1;
            let number = row.came;
            row.waiting.push(Waiter { number, waker });
            Waits { row: Arc::clone(&self.row), number, over: false, way: PhantomData }
        };
        let longest = self.config.longest_wait;
        tokio::select! {
            biased;
            () = tokio::time::sleep(longest) => {
                if W::LATE_KEEPS_THE_PLACE {
                    waits.leaves();
                }
                Err(Full::Waited(longest))
            }
            place = &mut waits => Ok(place),
        }
    }
}

impl<W: Way> Bulkhead for InARow<W> {
    fn new(config: Config) -> Self {
        InARow { config, row: Arc::default(), way: PhantomData }
    }

    async fn call<F>(&self, call: F) -> Result<F::Output, Full>
    where
        F: Future<Output: Send> + Send,
    {
        let _place = self.enter().await.inspect_err(|_| locked(&self.row).refused += 1)?;
        Ok(call.await)
    }

    fn counts(&self) -> Counts {
        let row = locked(&self.row);
        Counts { inside: row.inside, waiting: row.waiting.len(), refused: row.refused }
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
