//! Those who are wrong about whose turn it is.

use super::usual::{Doors, Inside, Usual};
use circuit_breakers::BoxError;
use circuit_breakers::bulkhead::{Bulkhead, BulkheadLayer, Config, Counts, Full};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
use tower_layer::Layer;
use tower_service::Service;

/// Looks again every five milliseconds. Whoever comes at the right moment goes in past all who
/// wait, and under load that is always somebody else. Rejected by `nobody_overtakes`.
pub(super) struct AsksNowAndThen;

impl Usual for AsksNowAndThen {
    async fn place(doors: &Doors) -> Result<OwnedSemaphorePermit, Full> {
        let longest = doors.config.longest_wait;
        let asks = async {
            loop {
                match Arc::clone(&doors.places).try_acquire_owned() {
                    Ok(place) => return place,
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        tokio::time::timeout(longest, asks).await.map_err(|_| Full::Waited(longest))
    }
}

/// A count and a bell: who goes rings, who waits wakes up and looks. Between the ringing and the
/// look there is time for somebody who just came by. Rejected by `nobody_overtakes`.
pub(super) struct Barges;

/// Rings when it is dropped, which is after the place.
struct Rings(Arc<Notify>);

impl Drop for Rings {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Usual for Barges {
    async fn place(doors: &Doors) -> Result<OwnedSemaphorePermit, Full> {
        let longest = doors.config.longest_wait;
        let waits = async {
            loop {
                match Arc::clone(&doors.places).try_acquire_owned() {
                    Ok(place) => return place,
                    Err(_) => doors.bell.notified().await,
                }
            }
        };
        tokio::time::timeout(longest, waits).await.map_err(|_| Full::Waited(longest))
    }

    async fn run<F: Future<Output: Send> + Send>(
        doors: &Doors,
        call: F,
    ) -> Result<F::Output, Full> {
        let Inside { place, ticket } = Self::enter(doors).await?;
        let (_ticket, _rings, _place) = (ticket, Rings(Arc::clone(&doors.bell)), place);
        Ok(call.await)
    }
}

/// The last who came is the freshest, and has the best chance that its user still waits: there is
/// something to be said for it, with a queue made for it. Here the first ones wait until they give
/// up. Rejected by `served_in_order`.
pub(super) type LastComeFirst = ByHand<Last>;

pub(super) struct Last;

impl Manner for Last {
    fn next(waiting: &mut VecDeque<Waiter>) -> Option<Waiter> {
        waiting.pop_back()
    }
}

/// A queue of its own, of channels. Hands the place to the first in it, and does not look whether
/// anybody is there to take it. Rejected by `gone_waiter_gets_no_place`.
pub(super) type HandsToTheGone = ByHand<Blindly>;

pub(super) struct Blindly;

impl Manner for Blindly {
    fn hands(to: Waiter, place: Place<Self>) -> Result<(), Place<Self>> {
        if let Err(Some(mut place)) = to.0.send(Some(Box::new(place))).map_err(unboxed::<Self>) {
            place.line = None;
        }
        Ok(())
    }
}

/// Looks whether somebody is there, and says "it is yours". Who goes away between the word and its
/// reading takes the place along. A caller with a deadline goes away just then, now and then, and
/// in a week all places are gone. Rejected by `granted_and_gone`.
pub(super) type GrantLost = ByHand<ByWord>;

pub(super) struct ByWord;

impl Manner for ByWord {
    fn hands(to: Waiter, mut place: Place<Self>) -> Result<(), Place<Self>> {
        match to.0.send(None) {
            Ok(()) => {
                place.line = None;
                Ok(())
            }
            Err(_) => Err(place),
        }
    }
}

/// Looks whether a place is free, writes a line, and takes it: each step under the lock, or with an
/// atomic of its own. Two threads look at the same moment, and both find the last place free. Rejected by
/// `threads_take_places`.
pub(super) type LooksThenTakes = ByHand<InTwoSteps>;

pub(super) struct InTwoSteps;

impl Manner for InTwoSteps {
    const LOOKS_FIRST: bool = true;
}

/// The same at the queue: looks whether there is room, makes ready to wait, and stands in line.
/// Rejected by `threads_queue`.
pub(super) type LooksThenWaits = ByHand<LinesUpLate>;

pub(super) struct LinesUpLate;

impl Manner for LinesUpLate {
    const LOOKS_AT_THE_QUEUE_FIRST: bool = true;
}

/// Looks for a place, lets go of the lock to make ready, and lies down to sleep. Whose place came free
/// in between has rung for nobody: it lies idle, and the caller sleeps beside it. Rejected by
/// `threads_pass`.
pub(super) type SleepsThroughIt = ByHand<LiesDown>;

pub(super) struct LiesDown;

impl Manner for LiesDown {
    const LOOKS_ONCE: bool = true;
}

/// Somebody in the queue: gets a place, or the word that one is theirs.
pub(super) struct Waiter(oneshot::Sender<Option<Handed>>);

type Handed = Box<dyn std::any::Any + Send>;

fn unboxed<M: Manner>(handed: Option<Handed>) -> Option<Place<M>> {
    handed.and_then(|handed| handed.downcast::<Place<M>>().ok()).map(|place| *place)
}

/// What is particular about a queue. The rest is right.
pub(super) trait Manner: Send + Sync + Sized + 'static {
    /// Whether it gives the lock away between the look for a place and the taking of it.
    const LOOKS_FIRST: bool = false;
    /// And between the look for room in the queue and the standing in it.
    const LOOKS_AT_THE_QUEUE_FIRST: bool = false;
    /// And between the look for a place and the standing in the queue for one.
    const LOOKS_ONCE: bool = false;

    fn next(waiting: &mut VecDeque<Waiter>) -> Option<Waiter> {
        waiting.pop_front()
    }

    fn hands(to: Waiter, place: Place<Self>) -> Result<(), Place<Self>> {
        match to.0.send(Some(Box::new(place))).map_err(unboxed::<Self>) {
            Err(Some(place)) => Err(place),
            _ => Ok(()),
        }
    }
}

/// A bulkhead with a queue of its own.
pub(super) struct ByHand<M> {
    line: Arc<Line>,
    manner: PhantomData<M>,
}

struct Line {
    config: Config,
    state: Mutex<State>,
    refused: AtomicU64,
}

#[derive(Default)]
struct State {
    inside: usize,
    waiting: VecDeque<Waiter>,
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place. It goes to the next when it is dropped.
pub(super) struct Place<M: Manner> {
    line: Option<Arc<Line>>,
    manner: PhantomData<M>,
}

impl<M: Manner> Place<M> {
    fn of(line: &Arc<Line>) -> Place<M> {
        Place { line: Some(Arc::clone(line)), manner: PhantomData }
    }
}

impl<M: Manner> Drop for Place<M> {
    fn drop(&mut self) {
        let Some(line) = self.line.take() else { return };
        let mut place = Place::<M>::of(&line);
        loop {
            let next = {
                let mut state = line.state();
                match M::next(&mut state.waiting) {
                    Some(next) => next,
                    None => {
                        state.inside -= 1;
                        place.line = None;
                        return;
                    }
                }
            };
            match M::hands(next, place) {
                Ok(()) => return,
                Err(back) => place = back,
            }
        }
    }
}

impl<M: Manner> ByHand<M> {
    async fn enter(&self) -> Result<Place<M>, Full> {
        let waits = {
            let mut state = self.line.state();
            if state.inside < self.line.config.places {
                if M::LOOKS_FIRST {
                    drop(state);
                    // As long as a line of a log may take.
                    std::thread::sleep(Duration::from_micros(100));
                    state = self.line.state();
                }
                state.inside += 1;
                return Ok(Place::of(&self.line));
            }
            if M::LOOKS_ONCE {
                drop(state);
                std::thread::sleep(Duration::from_micros(100));
                state = self.line.state();
            }
            // Who is gone makes room.
            state.waiting.retain(|waiter| !waiter.0.is_closed());
            if state.waiting.len() >= self.line.config.queue {
                return Err(Full::Queue);
            }
            if M::LOOKS_AT_THE_QUEUE_FIRST {
                drop(state);
                std::thread::sleep(Duration::from_micros(100));
                state = self.line.state();
                if state.inside < self.line.config.places {
                    state.inside += 1;
                    return Ok(Place::of(&self.line));
                }
            }
            let (waiter, waits) = oneshot::channel();
            state.waiting.push_back(Waiter(waiter));
            waits
        };
        let longest = self.line.config.longest_wait;
        match tokio::time::timeout(longest, waits).await {
            Ok(Ok(handed)) => Ok(unboxed(handed).unwrap_or_else(|| Place::of(&self.line))),
            _ => Err(Full::Waited(longest)),
        }
    }
}

impl<M: Manner> Bulkhead for ByHand<M> {
    fn new(config: Config) -> Self {
        let (state, refused) = (Mutex::default(), AtomicU64::new(0));
        ByHand { line: Arc::new(Line { config, state, refused }), manner: PhantomData }
    }

    async fn call<F>(&self, call: F) -> Result<F::Output, Full>
    where
        F: Future<Output: Send> + Send,
    {
        let _place = self.enter().await.inspect_err(|_| {
            self.line.refused.fetch_add(1, Ordering::Relaxed);
        })?;
        Ok(call.await)
    }

    fn counts(&self) -> Counts {
        let state = self.line.state();
        let waiting = state.waiting.iter().filter(|waiter| !waiter.0.is_closed()).count();
        let refused = self.line.refused.load(Ordering::Relaxed);
        Counts { inside: state.inside, waiting, refused }
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
