//! Those who count the places of a pool otherwise.

use super::right::{Held, Part, Shared, State, Waits};
use observability::metrics::{ABANDONED, Sources};
use std::sync::{Arc, PoisonError};
use tokio::sync::oneshot;

/// Utilisation only. A pool that is full for one and one with a thousand before it look the same.
/// Rejected by `waits`.
pub struct NobodyWaits;

impl Part for NobodyWaits {
    fn waits(_: &mut State) {}

    fn waits_no_longer(state: &mut State, gave_up: bool) {
        state.abandoned += u64::from(gave_up);
    }
}

/// Who waits is counted among those who have a place: three of two are taken. Rejected by `waits`.
pub struct InUseWhileWaiting;

impl Part for InUseWhileWaiting {
    fn waits(state: &mut State) {
        state.waiting += 1;
        state.in_use += 1;
    }

    fn waits_no_longer(state: &mut State, gave_up: bool) {
        state.waiting -= 1;
        state.in_use -= 1;
        state.abandoned += u64::from(gave_up);
    }
}

/// Counted down in the line behind the `await`. Whoever gives up waits for ever. Rejected by
/// `gives_up`.
pub struct WaitsForEver;

impl Part for WaitsForEver {
    fn waits_no_longer(state: &mut State, gave_up: bool) {
        match gave_up {
            true => state.abandoned += 1,
            false => state.waiting -= 1,
        }
    }
}

/// Nobody counts those who give up: the gauge is low again, and all seems well. Rejected by
/// `gives_up`.
pub struct NeverAbandoned;

impl Part for NeverAbandoned {
    fn waits_no_longer(state: &mut State, _: bool) {
        state.waiting -= 1;
    }
}

/// A task waits, so that no place is lost when the caller is gone. It goes on waiting, for nobody.
/// Rejected by `gives_up`.
pub struct WaitsInATask;

impl Part for WaitsInATask {
    async fn take(shared: Arc<Shared>) -> Held {
        if let Ok(permit) = Arc::clone(&shared.places).try_acquire_owned() {
            return Held::new(shared, permit);
        }
        let (tell, told) = oneshot::channel();
        Self::waits(&mut shared.lock());
        tokio::spawn(async move {
            let permit = Arc::clone(&shared.places).acquire_owned().await.expect("is open");
            Self::waits_no_longer(&mut shared.lock(), tell.is_closed());
            let _ = tell.send(Held::new(shared, permit));
        });
        told.await.expect("the task sends one")
    }
}

/// The number of places stands in the program, where the tests need two. Rejected by `places`.
pub struct TwoPlaces;

impl Part for TwoPlaces {
    fn shared(sources: Sources, _: usize) -> Arc<Shared> {
        Arc::new(Shared::new(sources, 2))
    }
}

/// A queue of one's own: who gives a place back tells the first of those who still wait. Whoever is
/// told and goes before they look takes it along, and after some weeks nobody has one. Rejected by
/// `handed_over`.
pub struct LostOnTheWay;

impl LostOnTheWay {
    fn held(shared: Arc<Shared>) -> Held {
        Held { shared, back: LostOnTheWay::hands_on, permit: None }
    }

    fn hands_on(shared: &Shared) {
        let state = &mut *shared.lock();
        let mut queue = state.queue.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(first) = queue.pop_front() {
            if first.send(()).is_ok() {
                return;
            }
        }
        state.in_use -= 1;
    }
}

impl Part for LostOnTheWay {
    async fn take(shared: Arc<Shared>) -> Held {
        let told = {
            let state = &mut *shared.lock();
            // Nobody acquires one, so these are all that there are.
            if state.in_use < shared.places.available_permits() as i64 {
                state.in_use += 1;
                None
            } else {
                let (tell, told) = oneshot::channel();
                state.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(tell);
                Some(told)
            }
        };
        if let Some(told) = told {
            let mut waits = Waits::<Self>::new(Arc::clone(&shared));
            told.await.expect("the queue lives as long as the pool");
            waits.gave_up = false;
        }
        LostOnTheWay::held(shared)
    }
}

/// A counter is there as soon as there is something to count. From nothing to 1 nothing has grown, so
/// of the first who gives up no rate and no alert ever hears. Rejected by `at_zero`.
pub struct FromTheFirstOn;

impl Part for FromTheFirstOn {
    fn written(text: String) -> String {
        text.replace(&format!("{ABANDONED} 0\n"), "")
    }
}

/// Looks for a place in the line that makes the future, and waits in it. Who prepares it for later, or
/// for a branch of a `select!` that is never taken, has a place all the same. Rejected by `unpolled`.
pub struct TakesWhenMade;

impl Part for TakesWhenMade {
    fn take(shared: Arc<Shared>) -> impl Future<Output = Held> + Send {
        let free = Arc::clone(&shared.places).try_acquire_owned().ok();
        let free = free.map(|permit| Held::new(Arc::clone(&shared), permit));
        async move {
            match free {
                Some(held) => held,
                None => {
                    struct Right;
                    impl Part for Right {}
                    Right::take(shared).await
                }
            }
        }
    }
}
