//! USE: the utilisation, the saturation and the errors of something there are only so many of.
//!
//! Utilisation alone misleads: at ten of ten places a pool may be just right, or have a thousand
//! waiting. Saturation, the waiting, is what customers feel.

use super::family::{Labels, Make};
use super::{ABANDONED, Clock, Counters, Gauges, IN_USE, Registry, WAITING};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Seconds, with their fractions, that only grow.
type Seconds = Counter<f64, AtomicU64>;

/// The families of all pools of a registry.
pub(super) struct Families {
    size: Gauges<1>,
    in_use: Gauges<1>,
    waiting: Gauges<1>,
    abandoned: Counters<1>,
    busy: Family<Labels<1>, Seconds, Make<Seconds>>,
}

impl Families {
    pub(super) fn of(registry: &Registry) -> Families {
        let gauges = |name, help| registry.gauges(name, help, ["pool"]);
        let busy = Family::new_with_constructor(Make::by(Seconds::default));
        // A gauge is looked at every fifteen seconds, and sees an instant of them. This one, as a
        // rate and by the size, is the utilisation of all the time between.
        let help = "How long places were taken, when they are given back";
        let (name, full) = ("pool_busy", "pool_busy_seconds");
        registry.register(name, full, help, Some(Unit::Seconds), busy.clone());
        Families {
            size: gauges("pool_size", "Places that there are"),
            in_use: gauges(IN_USE, "Places that are taken"),
            waiting: gauges(WAITING, "Those who wait for a place"),
            abandoned: registry.counters(ABANDONED, "Who stopped waiting without one", ["pool"]),
            busy,
        }
    }
}

/// So many places, for whoever comes first. A clone is the same pool.
#[derive(Clone)]
pub struct Pool {
    places: Arc<Semaphore>,
    uses: Uses,
}

#[derive(Clone)]
struct Uses {
    in_use: Gauge,
    waiting: Gauge,
    abandoned: Counter,
    busy: Seconds,
    clock: Clock,
}

impl Pool {
    pub(super) fn new(families: &Families, name: &str, size: usize, clock: Clock) -> Pool {
        families.size.with([name]).set(i64::try_from(size).unwrap_or(i64::MAX));
        let uses = Uses {
            in_use: families.in_use.with([name]),
            waiting: families.waiting.with([name]),
            abandoned: families.abandoned.with([name]),
            busy: families.busy.get_or_create_owned(&Labels::new(["pool"], [name])),
            clock,
        };
        Pool { places: Arc::new(Semaphore::new(size)), uses }
    }

    // ANCHOR: take
    /// Waits for a place, as long as it takes; whoever waits longest gets the next one.
    ///
    /// Dropped while it waits, it has given up: that is counted, and no place is lost.
    pub async fn take(&self) -> Place {
        let free = Arc::clone(&self.places).try_acquire_owned();
        let permit = match free {
            Ok(permit) => permit,
            Err(_) => {
                let waits = Waits::begin(&self.uses);
                let permit = Arc::clone(&self.places).acquire_owned().await;
                waits.ends();
                permit.expect("the pool is never closed")
            }
        };
        self.uses.in_use.inc();
        Place { uses: self.uses.clone(), since: self.uses.clock.now(), _permit: permit }
    }
    // ANCHOR_END: take
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("free", &self.places.available_permits()).finish()
    }
}

/// Somebody who waits. Dropped before the end, they have given up.
struct Waits<'a> {
    uses: &'a Uses,
    gave_up: bool,
}

impl Waits<'_> {
    fn begin(uses: &Uses) -> Waits<'_> {
        uses.waiting.inc();
        Waits { uses, gave_up: true }
    }

    fn ends(mut self) {
        self.gave_up = false;
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.uses.waiting.dec();
        if self.gave_up {
            self.uses.abandoned.inc();
        }
    }
}

/// A place that is taken. Dropped, it is given back, also by a panic.
pub struct Place {
    uses: Uses,
    since: Duration,
    // Given back after `drop` below: more places than there are never seem to be taken.
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.uses.in_use.dec();
        let took = self.uses.clock.now().saturating_sub(self.since);
        self.uses.busy.inc_by(took.as_secs_f64());
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("since", &self.since).finish_non_exhaustive()
    }
}
