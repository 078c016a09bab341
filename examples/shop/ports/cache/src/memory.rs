//! The embedded side: moka, and the lease of lesson 01.2 in a map.
//!
//! moka's own `get_with` coalesces loads, but a load that began before an invalidation stores its
//! value after it, and the old price is back until its end. So here, too, a reader may store only
//! while its lease stands, and an invalidation takes the lease away. Looking, leasing and storing
//! happen under one lock, for which nobody waits longer than a map takes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use caching::single_flight::{Follower, Leader, Outcome, SingleFlight};
use serde_json::value::RawValue;

use crate::{Options, Protection};

#[derive(Debug)]
pub(crate) struct Memory {
    copies: moka::sync::Cache<String, Bytes>,
    leases: Arc<Mutex<Leases>>,
    flights: SingleFlight,
    patience: Duration,
}

/// Who loads which key. Bounded by the number of loads under way.
#[derive(Debug, Default)]
struct Leases {
    by_key: HashMap<String, u64>,
    granted: u64,
}

/// The right to store a copy at `key`, while it stands. Gone when dropped.
struct Lease {
    key: String,
    token: u64,
    leases: Arc<Mutex<Leases>>,
}

enum Found {
    Copy(Bytes),
    Lease(Lease, Leader),
    Flight(Follower),
    /// Somebody who does not share loads.
    Alone,
}

impl Memory {
    pub(crate) fn new(options: Options) -> Memory {
        Memory {
            copies: moka::sync::Cache::builder()
                .max_capacity(options.capacity)
                .time_to_live(options.ttl)
                .build(),
            leases: Arc::default(),
            flights: SingleFlight::default(),
            patience: options.lease,
        }
    }

    pub(crate) async fn get<E: Send + Sync + 'static>(
        &self,
        protection: Protection,
        key: &str,
        load: impl Future<Output = Result<Box<RawValue>, E>> + Send + 'static,
    ) -> Result<Bytes, Arc<E>> {
        if let Some(copy) = self.copies.get(key) {
            return Ok(copy);
        }
        let load = async { load.await.map(crate::text).map_err(Arc::new) };
        loop {
            match self.find(protection, key) {
                Found::Copy(copy) => return Ok(copy),
                Found::Alone => return load.await,
                Found::Lease(lease, flight) => {
                    let result = load.await;
                    if let Ok(copy) = &result {
                        self.store(lease, copy.clone());
                    }
                    flight.land(result.clone());
                    return result;
                }
                Found::Flight(flight) => {
                    let landed = flight.outcome::<Result<Bytes, Arc<E>>>();
                    match tokio::time::timeout(self.patience, landed).await {
                        Ok(Outcome::Landed(result)) => return result,
                        Ok(Outcome::Abandoned) => {}
                        // A leader that hangs is given up when its lease would be; the same key,
                        // loaded with another error, is not ours to read.
                        Ok(Outcome::Foreign) | Err(_) => return load.await,
                    }
                }
            }
        }
    }

    fn find(&self, protection: Protection, key: &str) -> Found {
        let mut leases = lock(&self.leases);
        // Again: it may have been stored since.
        if let Some(copy) = self.copies.get(key) {
            return Found::Copy(copy);
        }
        if let Some(token) = leases.by_key.get(key) {
            return match (protection, self.flights.join(&token.to_string())) {
                (Protection::Coalesced, Some(flight)) => Found::Flight(flight),
                _ => Found::Alone,
            };
        }
        leases.granted += 1;
        let token = leases.granted;
        leases.by_key.insert(key.to_owned(), token);
        // Under the lock, so that whoever sees the lease finds its flight.
        let flight = self.flights.lead(&token.to_string());
        Found::Lease(Lease { key: key.to_owned(), token, leases: Arc::clone(&self.leases) }, flight)
    }

    fn store(&self, lease: Lease, copy: Bytes) {
        let leases = lock(&self.leases);
        if leases.by_key.get(&lease.key) == Some(&lease.token) {
            self.copies.insert(lease.key.clone(), copy);
        }
        drop(leases);
        drop(lease);
    }

    pub(crate) fn invalidate(&self, key: &str) {
        let mut leases = lock(&self.leases);
        leases.by_key.remove(key);
        self.copies.invalidate(key);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut leases = lock(&self.leases);
        // After an invalidation somebody else may hold it.
        if leases.by_key.get(&self.key) == Some(&self.token) {
            leases.by_key.remove(&self.key);
        }
    }
}

fn lock(leases: &Mutex<Leases>) -> MutexGuard<'_, Leases> {
    // Whole after each of its operations, also where a thread panicked.
    leases.lock().unwrap_or_else(PoisonError::into_inner)
}
