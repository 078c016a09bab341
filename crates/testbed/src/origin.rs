//! The database behind a cache, with a counter at its door (F9).
//!
//! A lesson about caching asks one thing of its database: how often was it read? So the origin
//! counts its loads, can hold them at a gate, can fail, and can take as long as it is told. It
//! lives in memory on purpose: the lesson's server is Redis, and that one is real.

use crate::gate::Gate;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The origin was told to fail: see [`Origin::fail`].
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the database is down")]
pub struct OriginDown;

/// What the origin tells its observer, in the order in which it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginEvent<V> {
    /// A load began and read this row. What is read here is what the load will return, however
    /// long it takes: that is how a slow reader comes to hold an old value.
    Read(String, Option<V>),
    /// A load failed because the origin is down.
    Failed(String),
    /// A row was written.
    Wrote(String, V),
}

type Observer<V> = Box<dyn Fn(OriginEvent<V>) + Send + Sync>;

/// A table of rows by key. Clones are the same table.
pub struct Origin<V> {
    shared: Arc<Shared<V>>,
}

struct Shared<V> {
    rows: Mutex<HashMap<String, V>>,
    loads: AtomicU64,
    down: AtomicBool,
    latency: Mutex<Duration>,
    gate: Mutex<Option<Gate>>,
    observer: Option<Observer<V>>,
}

impl<V: Clone> Origin<V> {
    /// An empty table that answers at once.
    pub fn new() -> Origin<V> {
        Origin::with_observer_option(None)
    }

    /// An empty table that tells `observer` of each read and write.
    pub fn observed(observer: impl Fn(OriginEvent<V>) + Send + Sync + 'static) -> Origin<V> {
        Origin::with_observer_option(Some(Box::new(observer)))
    }

    fn with_observer_option(observer: Option<Observer<V>>) -> Origin<V> {
        Origin {
            shared: Arc::new(Shared {
                rows: Mutex::new(HashMap::new()),
                loads: AtomicU64::new(0),
                down: AtomicBool::new(false),
                latency: Mutex::new(Duration::ZERO),
                gate: Mutex::new(None),
                observer,
            }),
        }
    }

    /// Commits a row.
    pub fn write(&self, key: &str, value: V) {
        lock(&self.shared.rows).insert(key.to_owned(), value.clone());
        self.tell(OriginEvent::Wrote(key.to_owned(), value));
    }

    /// Reads a row: the snapshot is taken at once, the answer comes after the latency and, while
    /// loads are held, after the gate has opened.
    ///
    /// # Errors
    /// [`OriginDown`] while the origin is told to fail.
    pub async fn load(&self, key: &str) -> Result<Option<V>, OriginDown> {
        self.shared.loads.fetch_add(1, Ordering::SeqCst);
        let down = self.shared.down.load(Ordering::SeqCst);
        let row = lock(&self.shared.rows).get(key).cloned();
        self.tell(match down {
            true => OriginEvent::Failed(key.to_owned()),
            false => OriginEvent::Read(key.to_owned(), row.clone()),
        });
        let latency = *lock(&self.shared.latency);
        if latency > Duration::ZERO {
            tokio::time::sleep(latency).await;
        }
        let gate = lock(&self.shared.gate).clone();
        if let Some(gate) = gate {
            gate.pass().await;
        }
        if down { Err(OriginDown) } else { Ok(row) }
    }

    /// How many loads have begun.
    pub fn loads(&self) -> u64 {
        self.shared.loads.load(Ordering::SeqCst)
    }

    /// From now on each load takes at least this long.
    pub fn set_latency(&self, latency: Duration) {
        *lock(&self.shared.latency) = latency;
    }

    /// From now on loads fail (`true`) or work again (`false`).
    pub fn fail(&self, down: bool) {
        self.shared.down.store(down, Ordering::SeqCst);
    }

    /// From now on each load, its row already read, waits at the returned gate.
    pub fn hold_loads(&self) -> Gate {
        let gate = Gate::shut();
        *lock(&self.shared.gate) = Some(gate.clone());
        gate
    }

    /// Loads that begin from now on are no longer held.
    pub fn stop_holding(&self) {
        *lock(&self.shared.gate) = None;
    }

    fn tell(&self, event: OriginEvent<V>) {
        if let Some(observer) = &self.shared.observer {
            observer(event);
        }
    }
}

impl<V: Clone> Default for Origin<V> {
    fn default() -> Origin<V> {
        Origin::new()
    }
}

impl<V> Clone for Origin<V> {
    fn clone(&self) -> Origin<V> {
        Origin { shared: Arc::clone(&self.shared) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic elsewhere leaves plain values behind, never half of one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
