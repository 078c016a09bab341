//! Single flight: of many callers in one process who want the same, one works and all get the
//! result.
//!
//! The name is from Go's `golang.org/x/sync/singleflight`. Two traps are closed here:
//!
//! - **A leader that goes away.** Its future is dropped (a timeout, a closed request) or panics.
//!   [`Leader`] notices by being dropped, and tells its followers [`Outcome::Abandoned`]: each
//!   tries again, and one of them leads. Nobody waits for a ghost.
//! - **A result that is remembered.** A flight is over when it has landed: the result goes to
//!   those who waited, and to nobody who comes later. An error, above all, is not kept.

use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// What a flight brings home. Callers of one key may want it as different types, so the type is
/// looked at on arrival.
type Landed = Arc<dyn Any + Send + Sync>;

#[derive(Clone, Debug)]
enum State {
    Flying,
    Landed(Landed),
}

type Flights = Mutex<HashMap<String, watch::Receiver<State>>>;

/// The flights of one process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct SingleFlight {
    flights: Arc<Flights>,
}

/// Who a caller is in a flight.
pub enum Role {
    /// The first: it works, and lands the result.
    Leader(Leader),
    /// It waits.
    Follower(Follower),
}

/// The duty to land a flight. Dropped without landing, the flight is abandoned.
#[derive(Debug)]
#[must_use]
pub struct Leader {
    name: String,
    flights: Arc<Flights>,
    state: watch::Sender<State>,
}

/// A place in somebody else's flight.
#[derive(Debug)]
#[must_use]
pub struct Follower {
    state: watch::Receiver<State>,
}

/// How a flight ended for a follower.
#[derive(Debug)]
pub enum Outcome<T> {
    /// With a result.
    Landed(T),
    /// Without one: the leader is gone. Try again.
    Abandoned,
    /// With a result of another type than this follower wants.
    Foreign,
}

impl SingleFlight {
    /// Joins the flight called `name`, or leads it if there is none.
    pub fn join_or_lead(&self, name: &str) -> Role {
        match self.lock().entry(name.to_owned()) {
            Entry::Occupied(flight) => Role::Follower(Follower { state: flight.get().clone() }),
            Entry::Vacant(place) => {
                let (state, followers) = watch::channel(State::Flying);
                place.insert(followers);
                Role::Leader(self.leader(name, state))
            }
        }
    }

    /// Leads a flight of a new name. If there was one of that name, nobody joins it any more.
    pub fn lead(&self, name: &str) -> Leader {
        let (state, followers) = watch::channel(State::Flying);
        self.lock().insert(name.to_owned(), followers);
        self.leader(name, state)
    }

    /// Joins the flight called `name`, if there is one.
    pub fn join(&self, name: &str) -> Option<Follower> {
        self.lock().get(name).map(|state| Follower { state: state.clone() })
    }

    fn leader(&self, name: &str, state: watch::Sender<State>) -> Leader {
        Leader { name: name.to_owned(), flights: Arc::clone(&self.flights), state }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<State>>> {
        lock(&self.flights)
    }
}

impl Leader {
    /// Gives the result to all followers and ends the flight.
    pub fn land<T: Send + Sync + 'static>(self, result: T) {
        // First off the list, so that nobody joins a flight that is over.
        self.leave();
        self.state.send_replace(State::Landed(Arc::new(result)));
    }
}

impl Leader {
    fn leave(&self) {
        let mut flights = lock(&self.flights);
        // Somebody may lead a newer flight of this name: that one stays.
        let mine = |state: &watch::Receiver<State>| state.same_channel(&self.state.subscribe());
        if flights.get(&self.name).is_some_and(mine) {
            flights.remove(&self.name);
        }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.leave();
        // The sender goes with us, which wakes the followers.
    }
}

impl Follower {
    /// Waits for the flight to end. May be dropped at any time.
    pub async fn outcome<T: Clone + 'static>(mut self) -> Outcome<T> {
        match self.state.wait_for(|state| matches!(state, State::Landed(_))).await {
            Ok(landed) => match &*landed {
                State::Landed(result) => match result.downcast_ref::<T>() {
                    Some(result) => Outcome::Landed(result.clone()),
                    None => Outcome::Foreign,
                },
                State::Flying => Outcome::Abandoned,
            },
            Err(_sender_dropped) => Outcome::Abandoned,
        }
    }
}

fn lock(flights: &Flights) -> MutexGuard<'_, HashMap<String, watch::Receiver<State>>> {
    // The map is whole after each of its operations, also where a thread panicked.
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn followers_get_what_the_leader_lands() {
        let flights = SingleFlight::default();
        let leader = flights.lead("a");
        let follower = flights.join("a").unwrap();
        leader.land(7);
        assert!(matches!(follower.outcome::<i32>().await, Outcome::Landed(7)));
        assert!(flights.join("a").is_none(), "a landed flight is not remembered");
    }

    #[tokio::test]
    async fn a_dropped_leader_wakes_its_followers_and_frees_its_place() {
        let flights = SingleFlight::default();
        let leader = flights.lead("a");
        let follower = flights.join("a").unwrap();
        drop(leader);
        assert!(matches!(follower.outcome::<i32>().await, Outcome::Abandoned));
        drop(flights.lead("a"));
    }

    #[tokio::test]
    async fn another_type_is_told_from_the_wanted_one() {
        let flights = SingleFlight::default();
        let leader = flights.lead("a");
        let follower = flights.join("a").unwrap();
        leader.land("text");
        assert!(matches!(follower.outcome::<i32>().await, Outcome::Foreign));
    }

    #[tokio::test]
    async fn landing_does_not_end_the_next_flight_of_the_same_name() {
        let flights = SingleFlight::default();
        let first = flights.lead("a");
        let second = flights.lead("a");
        drop(first);
        assert!(flights.join("a").is_some());
        second.land(1);
    }
}
