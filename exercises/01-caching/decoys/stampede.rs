//! Wrong answers to the stampede, as people write them in good faith. The head of each says what
//! is wrong and which check finds out.

mod nearly;

use caching::Value;
use caching::single_flight::{Outcome, Role, SingleFlight};
use caching::stampede::{CoalescingCache, Error, Options, ProtectedCache};
use caching_exercises::stampede::check;
use grading::Decoy;
use redis::aio::ConnectionManager;
use redis::{AsyncCommands, RedisResult};
use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    let mut all = grading::decoys![check;
        Unprotected: one_load_in_process,
        OneProcessOnly: one_load_in_fleet,
        BlindWithoutRedis: redis_down,
        GhostLeader: cancelled_leader,
        LockNeverReleased: killed_leader,
        ErrorRemembered: failed_load,
        FollowersRetry: failed_load,
        JoinsOldFlight: write_during_load,
        EveryoneRefreshes: stale_while_revalidate,
        WaitsForTheRefresh: stale_while_revalidate,
        StaleForEver: hard_end,
        RefreshesAtThreshold: early_formula,
        NeverEarly: early_refresh,
    ];
    all.extend(nearly::all());
    all
}

/// What the decoys have in common: plain cache-aside, without any protection.
#[derive(Clone)]
struct Plain {
    redis: ConnectionManager,
    options: Options,
}

impl Plain {
    fn open(url: &str, options: Options) -> RedisResult<Plain> {
        Ok(Plain { redis: caching::connection::open(url, options.timeout)?, options })
    }

    async fn read<V: Value>(&self, key: &str) -> Option<V> {
        let stored: Option<Vec<u8>> = self.redis.clone().get(key).await.ok()?;
        serde_json::from_slice(&stored?).ok()
    }

    async fn store<V: Value>(&self, key: &str, value: &V, ttl: Duration) {
        if let Ok(json) = serde_json::to_vec(value) {
            let ttl = ttl.as_millis() as u64;
            let _: RedisResult<()> = self.redis.clone().pset_ex(key, json, ttl).await;
        }
    }

    async fn load_and_store<V: Value, E>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>>,
    ) -> Result<V, Arc<E>> {
        let value = load.await.map_err(Arc::new)?;
        self.store(key, &value, self.options.ttl).await;
        Ok(value)
    }

    async fn delete(&self, key: &str) -> RedisResult<()> {
        self.redis.clone().del(key).await
    }
}

/// Cache-aside, and hope. Rejected by `one_load_in_process`.
struct Unprotected(Plain);

impl ProtectedCache for Unprotected {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Plain::open(url, options).map(Unprotected)
    }

    async fn get<V: Value + Clone, E: Send + Sync + 'static>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> Result<V, Error<E>> {
        match self.0.read(key).await {
            Some(value) => Ok(value),
            None => self.0.load_and_store(key, load).await.map_err(Error::Load),
        }
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.0.delete(key).await
    }

    fn refresh_early(remaining: Duration, took: Duration, beta: f64, dice: f64) -> bool {
        caching::early::refresh_early(remaining, took, beta, dice)
    }
}

/// A good single flight, and no word to the other processes: each of them loads, and there are
/// forty of them. Rejected by `one_load_in_fleet`.
struct OneProcessOnly {
    plain: Plain,
    flights: SingleFlight,
}

impl ProtectedCache for OneProcessOnly {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Ok(OneProcessOnly { plain: Plain::open(url, options)?, flights: SingleFlight::default() })
    }

    async fn get<V: Value + Clone, E: Send + Sync + 'static>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> Result<V, Error<E>> {
        loop {
            if let Some(value) = self.plain.read(key).await {
                return Ok(value);
            }
            match self.flights.join_or_lead(key) {
                Role::Leader(flight) => {
                    let result = self.plain.load_and_store(key, load).await;
                    flight.land(result.clone());
                    return result.map_err(Error::Load);
                }
                Role::Follower(follower) => {
                    if let Outcome::Landed(result) = follower.outcome::<Result<V, Arc<E>>>().await {
                        return result.map_err(Error::Load);
                    }
                }
            }
        }
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.plain.delete(key).await
    }

    fn refresh_early(remaining: Duration, took: Duration, beta: f64, dice: f64) -> bool {
        caching::early::refresh_early(remaining, took, beta, dice)
    }
}

/// Single flight by the name of the key, and a lease between processes, all right but for one
/// thing: who comes after a write joins the flight that began before it. Rejected by
/// `write_during_load`.
struct JoinsOldFlight {
    cache: CoalescingCache,
    flights: SingleFlight,
}

impl ProtectedCache for JoinsOldFlight {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        let cache = CoalescingCache::open(url, options)?;
        Ok(JoinsOldFlight { cache, flights: SingleFlight::default() })
    }

    async fn get<V: Value + Clone, E: Send + Sync + 'static>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> Result<V, Error<E>> {
        loop {
            match self.flights.join_or_lead(key) {
                Role::Leader(flight) => {
                    let result = self.cache.get(key, load).await;
                    if let Ok(value) = &result {
                        flight.land(value.clone());
                    }
                    return result;
                }
                Role::Follower(follower) => {
                    if let Outcome::Landed(value) = follower.outcome::<V>().await {
                        return Ok(value);
                    }
                }
            }
        }
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.cache.invalidate(key).await
    }

    fn refresh_early(remaining: Duration, took: Duration, beta: f64, dice: f64) -> bool {
        caching::early::refresh_early(remaining, took, beta, dice)
    }
}

/// A set of keys being loaded, and a bell that the leader rings at the end. A leader that is
/// dropped never rings. Rejected by `cancelled_leader`.
struct GhostLeader {
    plain: Plain,
    loading: Mutex<HashMap<String, Arc<Notify>>>,
}

impl ProtectedCache for GhostLeader {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Ok(GhostLeader { plain: Plain::open(url, options)?, loading: Mutex::default() })
    }

    async fn get<V: Value + Clone, E: Send + Sync + 'static>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> Result<V, Error<E>> {
        loop {
            if let Some(value) = self.plain.read(key).await {
                return Ok(value);
            }
            let bell = {
                let mut loading = self.loading.lock().expect("nobody panics with it");
                match loading.get(key) {
                    Some(bell) => Some(Arc::clone(bell).notified_owned()),
                    None => {
                        loading.insert(key.to_owned(), Arc::default());
                        None
                    }
                }
            };
            match bell {
                Some(bell) => bell.await,
                None => {
                    let result = self.plain.load_and_store(key, load).await;
                    let bell = self.loading.lock().expect("nobody panics with it").remove(key);
                    bell.inspect(|bell| bell.notify_waiters());
                    return result.map_err(Error::Load);
                }
            }
        }
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.plain.delete(key).await
    }

    fn refresh_early(remaining: Duration, took: Duration, beta: f64, dice: f64) -> bool {
        caching::early::refresh_early(remaining, took, beta, dice)
    }
}

/// A lock in Redis by SETNX, deleted after the load. Its holder is killed, and the lock stays:
/// everybody polls for a value that nobody loads. Rejected by `killed_leader`.
struct LockNeverReleased(Plain);

impl ProtectedCache for LockNeverReleased {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Plain::open(url, options).map(LockNeverReleased)
    }

    async fn get<V: Value + Clone, E: Send + Sync + 'static>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> Result<V, Error<E>> {
        let mut redis = self.0.redis.clone();
        let lock = format!("{key}:lock");
        loop {
            if let Some(value) = self.0.read(key).await {
                return Ok(value);
            }
            if redis.set_nx(&lock, 1).await.unwrap_or(true) {
                let result = self.0.load_and_store(key, load).await;
                let _: RedisResult<()> = redis.del(&lock).await;
                return result.map_err(Error::Load);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.0.delete(key).await
    }

    fn refresh_early(remaining: Duration, took: Duration, beta: f64, dice: f64) -> bool {
        caching::early::refresh_early(remaining, took, beta, dice)
    }
}

/// One cell for each key, set once, an error as well as a value. The failure outlives its cause.
/// Rejected by `failed_load`.
struct ErrorRemembered {
    plain: Plain,
    cells: Mutex<HashMap<String, Arc<Cell>>>,
}

type Cell = tokio::sync::OnceCell<Arc<dyn Any + Send + Sync>>;

impl ProtectedCache for ErrorRemembered {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Ok(ErrorRemembered { plain: Plain::open(url, options)?, cells: Mutex::default() })
    }

    async fn get<V: Value + Clone, E: Send + Sync + 'static>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> Result<V, Error<E>> {
        if let Some(value) = self.plain.read(key).await {
            return Ok(value);
        }
        let cell = {
            let mut cells = self.cells.lock().expect("nobody panics with it");
            Arc::clone(cells.entry(key.to_owned()).or_default())
        };
        let first = || async {
            let result = self.plain.load_and_store(key, load).await;
            Arc::new(result) as Arc<dyn Any + Send + Sync>
        };
        let result = cell.get_or_init(first).await.downcast_ref::<Result<V, Arc<E>>>();
        result.cloned().expect("one type for each key").map_err(Error::Load)
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.cells.lock().expect("nobody panics with it").remove(key);
        self.plain.delete(key).await
    }

    fn refresh_early(remaining: Duration, took: Duration, beta: f64, dice: f64) -> bool {
        caching::early::refresh_early(remaining, took, beta, dice)
    }
}

/// A mutex around the load: the next caller looks again and finds the value. After a failure it
/// finds none, and loads, and so does the next: while the database is down, the crowd knocks one
/// after the other. Rejected by `failed_load`.
struct FollowersRetry {
    plain: Plain,
    turn: tokio::sync::Mutex<()>,
}

impl ProtectedCache for FollowersRetry {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Ok(FollowersRetry {
            plain: Plain::open(url, options)?,
            turn: tokio::sync::Mutex::default(),
        })
    }

    async fn get<V: Value + Clone, E: Send + Sync + 'static>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> Result<V, Error<E>> {
        if let Some(value) = self.plain.read(key).await {
            return Ok(value);
        }
        let _turn = self.turn.lock().await;
        match self.plain.read(key).await {
            Some(value) => Ok(value),
            None => self.plain.load_and_store(key, load).await.map_err(Error::Load),
        }
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.plain.delete(key).await
    }

    fn refresh_early(remaining: Duration, took: Duration, beta: f64, dice: f64) -> bool {
        caching::early::refresh_early(remaining, took, beta, dice)
    }
}

/// Protected by Redis alone: when Redis goes, two hundred callers go to the database. Rejected by
/// `redis_down`.
struct BlindWithoutRedis {
    cache: CoalescingCache,
    plain: Plain,
}

impl ProtectedCache for BlindWithoutRedis {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        let cache = CoalescingCache::open(url, options)?;
        Ok(BlindWithoutRedis { cache, plain: Plain::open(url, options)? })
    }

    async fn get<V: Value + Clone, E: Send + Sync + 'static>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> Result<V, Error<E>> {
        let up: RedisResult<String> =
            redis::cmd("PING").query_async(&mut self.plain.redis.clone()).await;
        match up {
            Ok(_) => self.cache.get(key, load).await,
            Err(_) => load.await.map_err(|error| Error::Load(Arc::new(error))),
        }
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.cache.invalidate(key).await
    }

    fn refresh_early(remaining: Duration, took: Duration, beta: f64, dice: f64) -> bool {
        caching::early::refresh_early(remaining, took, beta, dice)
    }
}

/// Serves the stale value and refreshes it in the background, once for each reader. Rejected by
/// `stale_while_revalidate`.
struct EveryoneRefreshes {
    plain: Plain,
    fresh_until: Mutex<HashMap<String, Instant>>,
}

impl ProtectedCache for EveryoneRefreshes {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Ok(EveryoneRefreshes { plain: Plain::open(url, options)?, fresh_until: Mutex::default() })
    }

    async fn get<V: Value + Clone, E: Send + Sync + 'static>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> Result<V, Error<E>> {
        let Options { ttl, stale, .. } = self.plain.options;
        let (plain, key) = (self.plain.clone(), key.to_owned());
        let stored = plain.read::<V>(&key).await;
        let fresh_until = self.fresh_until.lock().expect("nobody panics").get(&key).copied();
        if let (Some(value), Some(until)) = (&stored, fresh_until)
            && Instant::now() < until
        {
            return Ok(value.clone());
        }
        self.fresh_until.lock().expect("nobody panics").insert(key.clone(), Instant::now() + ttl);
        if let Some(stale_value) = stored {
            self.fresh_until.lock().expect("nobody panics").remove(&key);
            tokio::spawn(async move {
                if let Ok(value) = load.await {
                    plain.store(&key, &value, ttl + stale).await;
                }
            });
            return Ok(stale_value);
        }
        let value = load.await.map_err(|error| Error::Load(Arc::new(error)))?;
        plain.store(&key, &value, ttl + stale).await;
        Ok(value)
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.plain.delete(key).await
    }

    fn refresh_early(remaining: Duration, took: Duration, beta: f64, dice: f64) -> bool {
        caching::early::refresh_early(remaining, took, beta, dice)
    }
}

/// A cache that is right but for what it is told: the wrong answers below change its options, or
/// its one decision.
macro_rules! coalescing_but {
    ($(#[$doc:meta])* $name:ident, options: $options:expr, early: $early:expr) => {
        $(#[$doc])*
        struct $name(CoalescingCache);

        impl ProtectedCache for $name {
            fn open(url: &str, options: Options) -> RedisResult<Self> {
                let change: fn(Options) -> Options = $options;
                CoalescingCache::open(url, change(options)).map($name)
            }

            async fn get<V: Value + Clone, E: Send + Sync + 'static>(
                &self,
                key: &str,
                load: impl Future<Output = Result<V, E>> + Send + 'static,
            ) -> Result<V, Error<E>> {
                self.0.get(key, load).await
            }

            async fn invalidate(&self, key: &str) -> RedisResult<()> {
                self.0.invalidate(key).await
            }

            fn refresh_early(
                remaining: Duration,
                took: Duration,
                beta: f64,
                dice: f64,
            ) -> bool {
                let early: fn(Duration, Duration, f64, f64) -> bool = $early;
                early(remaining, took, beta, dice)
            }
        }
    };
}

coalescing_but! {
    /// No stale answers: whoever meets an expired value waits for the database, one load for all
    /// of them, but all of them wait. Rejected by `stale_while_revalidate`.
    WaitsForTheRefresh,
    options: |options| Options { stale: Duration::ZERO, ..options },
    early: caching::early::refresh_early
}

coalescing_but! {
    /// Keeps stale values for a day, in case. When the refreshes fail, the shop sells at
    /// yesterday's prices. Rejected by `hard_end`.
    StaleForEver,
    options: |options| Options { stale: Duration::from_secs(86_400), ..options },
    early: caching::early::refresh_early
}

coalescing_but! {
    /// Refreshes when less than a tenth of a minute is left: no die, so all readers refresh in
    /// the same moment, only a little earlier. Rejected by `early_formula`.
    RefreshesAtThreshold,
    options: |options| options,
    early: |remaining, _, beta, _| beta > 0.0 && remaining < Duration::from_secs(6)
}

coalescing_but! {
    /// Knows the formula and never asks it. Rejected by `early_refresh`.
    NeverEarly,
    options: |options| Options { beta: 0.0, ..options },
    early: caching::early::refresh_early
}
