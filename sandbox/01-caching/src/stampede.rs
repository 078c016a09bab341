//! 01.5 · Stampede: when the hottest key expires, one caller loads and the others wait.
//!
//! Two hundred readers of one key, and it expires. Each of them misses, each asks the database the
//! same question, and the database, which the cache was to spare, gets it two hundred times in one
//! moment. The contract [`ProtectedCache`] names what protects it, [`CoalescingCache`] does it:
//!
//! | who reads | what happens |
//! | --- | --- |
//! | many callers in one process | one loads, the others wait for it: [single flight](crate::single_flight) |
//! | many processes | one holds the [lease](crate::lease), the others poll for its value |
//! | readers of an entry about to expire | one of them [refreshes early](crate::early), in the background |
//! | readers of an entry past its time | all get the stale value at once, one refreshes it |
//!
//! Waiting makes new traps, and these are closed too:
//!
//! - A leader that is cancelled, panics or is killed: its followers take over.
//! - A load that fails: its error goes to those who waited, and is forgotten.
//! - A flight that began before a write: whoever comes after the write must not join it. So a
//!   flight bears the name of its lease, and is joined only by those who saw that lease standing.
//!
//! What it does not promise:
//!
//! - **One load for ever-so-slow loads.** After [`Options::lease`] the next caller tries: a load
//!   that takes longer may have company.
//! - **One load in the fleet without Redis.** While Redis is down it is one in each process.
//! - **Freshness for a process that cannot reach Redis.** It cannot know of a write, so its callers
//!   may share a load that began before one.
//! - **A bound on the load.** Give `load` a timeout of its own.

use crate::Value;
use crate::early;
use crate::lease::{self, Found, Lease};
use crate::metrics::{Metrics, Snapshot};
use crate::single_flight::{Follower, Leader, Outcome, Role, SingleFlight};
use redis::aio::ConnectionManager;
use redis::{AsyncCommands, RedisError};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

// ANCHOR: contract
/// The contract: a cache that protects its database.
pub trait ProtectedCache: Send + Sync + Sized + 'static {
    /// A cache on the Redis at `url`. Connects at the first command.
    ///
    /// # Errors
    /// Only for a `url` that cannot be read.
    fn open(url: &str, options: Options) -> Result<Self, RedisError>;

    /// The value at `key`: from Redis in one round trip, or from `load`, which runs once for all
    /// who wait for it; how widely "all" is meant, [`Options::scope`] says.
    ///
    /// Within [`Options::ttl`] the value is fresh; near its end a reader may begin a refresh, see
    /// [`refresh_early`](ProtectedCache::refresh_early). Within [`Options::stale`] after that, it
    /// is returned at once all the same, while one load in the background refreshes it. Later it
    /// is gone.
    ///
    /// A caller may be dropped at any moment, its process may be killed, its `load` may panic:
    /// those who waited for it are served by another's `load`.
    ///
    /// # Errors
    /// [`Error::Load`] if `load` failed, for the caller whose `load` it was and for those who
    /// waited for it. It is not remembered: the next call loads again.
    fn get<V: Value + Clone, E: Send + Sync + 'static>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> impl Future<Output = Result<V, Error<E>>> + Send;

    /// Forgets what stands at `key`. When this has returned `Ok`, no later `get` returns a value
    /// whose load began before this call.
    ///
    /// # Errors
    /// When Redis could not be told. The old value may then be served until its end.
    fn invalidate(&self, key: &str) -> impl Future<Output = Result<(), RedisError>> + Send;

    /// XFetch: whether a reader should refresh an entry that is fresh for another `remaining` and
    /// whose last load took `load_took`. `beta` is the eagerness, 0 for never; `dice` is uniform
    /// in (0, 1]. With `beta` above 0, the share of readers that refresh is
    /// `exp(-remaining / (beta * load_took))`.
    fn refresh_early(remaining: Duration, load_took: Duration, beta: f64, dice: f64) -> bool;
}

/// Who shares one load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The callers in this process. Other processes may load at the same time.
    Process,
    /// All callers of all processes at this Redis. Those of other processes poll for the value, so
    /// they get it a few milliseconds late.
    Fleet,
}

/// How a protected cache behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long a value is fresh.
    pub ttl: Duration,
    /// How long after that it may still be returned while one caller refreshes it; zero for not
    /// at all.
    pub stale: Duration,
    /// How eagerly to refresh before the end; 1 is a good choice, 0 is never.
    pub beta: f64,
    /// Who shares one load.
    pub scope: Scope,
    /// How long a load may take. After this the next caller tries, and a leader that was killed
    /// is given up.
    pub lease: Duration,
    /// How long to wait for Redis to connect, and then for it to answer, before the database is
    /// asked.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            ttl: Duration::from_secs(60),
            stale: Duration::from_secs(10),
            beta: 1.0,
            scope: Scope::Fleet,
            lease: Duration::from_secs(5),
            timeout: Duration::from_millis(100),
        }
    }
}

/// Why a value could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error<E> {
    /// The load failed. Those who waited for it share its error.
    #[error("the load failed: {0}")]
    Load(Arc<E>),
    /// Redis failed. A cache that keeps its promises never returns this from
    /// [`ProtectedCache::get`]: it asks the database instead.
    #[error("Redis failed: {0}")]
    Redis(#[from] RedisError),
}
// ANCHOR_END: contract

/// What stands in Redis: the value, and what [`early`] needs to know about it.
///
/// The end of its freshness is a time of day, written by one machine and read by others. If their
/// clocks differ by a second, refreshes come a second early or late; the end of the entry itself
/// is by the clock of Redis.
#[derive(Serialize, Deserialize)]
struct Stored<V> {
    fresh_until_ms: u64,
    load_took_ms: u64,
    value: V,
}

/// The reference: callers are coalesced by flights in a process and by leases between them.
///
/// A hit is one `GET`. A miss is a `GET`, a script that returns the value or the lease's holder
/// or grants the lease, the load, and a script that stores the value if the lease still stands.
#[derive(Clone, Debug)]
pub struct CoalescingCache {
    redis: ConnectionManager,
    options: Options,
    flights: SingleFlight,
    /// Begins each token of this process, so that its own leases can be told from others'.
    process: String,
    metrics: Arc<Metrics>,
}

/// What a round of waiting came to.
enum Round<V, E, L> {
    Answered(Result<V, Error<E>>),
    /// Nobody has the value and nobody is about to: again, with the load that was not used.
    Again(L),
}

impl CoalescingCache {
    /// Hits, misses, loads, latency, since the cache was opened.
    pub fn metrics(&self) -> Snapshot {
        self.metrics.snapshot()
    }

    /// A value that can still be read, and how long it is fresh: nothing once it is stale.
    fn read<V: Value>(bytes: &[u8]) -> Option<(Stored<V>, Option<Duration>)> {
        let stored: Stored<V> = serde_json::from_slice(bytes).ok()?;
        let fresh = stored.fresh_until_ms.checked_sub(now_ms()).filter(|left| *left > 0);
        Some((stored, fresh.map(Duration::from_millis)))
    }

    /// One try to get a value that Redis did not have.
    async fn load_or_wait<V: Value + Clone, E: Send + Sync + 'static, L>(
        &self,
        key: &str,
        load: L,
    ) -> Round<V, E, L>
    where
        L: Future<Output = Result<V, E>> + Send,
    {
        // ANCHOR: flight
        // The flight is named after the lease before the lease is granted: those who are told
        // "this one holds it" must find the flight.
        let (token, flight) = self.new_flight();
        match Lease::read_or_acquire(&self.redis, key, token.clone(), self.options.lease).await {
            Ok(Found::Granted(lease)) => {
                Round::Answered(self.lead(flight, Some(lease), key, load).await)
            }
            Ok(Found::Value(bytes)) => match Self::read(&bytes) {
                Some((stored, _)) => Round::Answered(Ok(stored.value)),
                // Unreadable. Whoever gets the lease replaces it.
                None => match Lease::acquire(&self.redis, key, token, self.options.lease).await {
                    Ok(Some(lease)) => {
                        Round::Answered(self.lead(flight, Some(lease), key, load).await)
                    }
                    Ok(None) => again_later(load).await,
                    Err(error) => self.without_redis(key, load, &error).await,
                },
            },
            Ok(Found::Leased(holder)) => match self.flights.join(&holder) {
                // The holder is in this process, and its lease stood when we asked: no write has
                // come between the beginning of its load and of our call.
                Some(follower) => self.follow(follower, load).await,
                // It was, and has landed: the value is there, or the lease is free.
                None if holder.starts_with(&self.process) => again_later(load).await,
                None => match self.options.scope {
                    Scope::Fleet => {
                        self.outwait(&holder, key).await;
                        Round::Again(load)
                    }
                    Scope::Process => self.share(&holder, key, load).await,
                },
            },
            Err(error) => self.without_redis(key, load, &error).await,
        }
        // ANCHOR_END: flight
    }

    /// Redis is out of reach: one load in this process, stored nowhere.
    async fn without_redis<V: Value + Clone, E: Send + Sync + 'static, L>(
        &self,
        key: &str,
        load: L,
        error: &RedisError,
    ) -> Round<V, E, L>
    where
        L: Future<Output = Result<V, E>> + Send,
    {
        self.lost(error);
        self.share(&format!("without redis: {key}"), key, load).await
    }

    /// Joins the flight called `name`, or leads it without a lease.
    async fn share<V: Value + Clone, E: Send + Sync + 'static, L>(
        &self,
        name: &str,
        key: &str,
        load: L,
    ) -> Round<V, E, L>
    where
        L: Future<Output = Result<V, E>> + Send,
    {
        match self.flights.join_or_lead(name) {
            Role::Leader(flight) => Round::Answered(self.lead(flight, None, key, load).await),
            Role::Follower(follower) => self.follow(follower, load).await,
        }
    }

    /// Waits until another process's lease has ended, one way or the other: it stored the value, gave
    /// up, was invalidated, or died. One caller of this process polls for all: two hundred would ask
    /// Redis forty thousand times a second.
    async fn outwait(&self, holder: &str, key: &str) {
        match self.flights.join_or_lead(&format!("until it ends: {holder}")) {
            // Dropped at the end, or when its caller is: that wakes the others, who look again.
            Role::Leader(_poller) => loop {
                pause().await;
                match lease::holder(&self.redis, key).await {
                    Ok(Some(now)) if now == holder => {}
                    _ => return,
                }
            },
            Role::Follower(follower) => {
                let _ = tokio::time::timeout(self.options.lease, follower.outcome::<()>()).await;
            }
        }
    }

    /// Waits for another caller's load.
    async fn follow<V: Value + Clone, E: Send + Sync + 'static, L>(
        &self,
        follower: Follower,
        load: L,
    ) -> Round<V, E, L>
    where
        L: Future<Output = Result<V, E>> + Send,
    {
        self.metrics.shared();
        let outcome = follower.outcome::<Result<V, Arc<E>>>();
        match tokio::time::timeout(self.options.lease, outcome).await {
            Ok(Outcome::Landed(result)) => Round::Answered(result.map_err(Error::Load)),
            // A leader that hangs is given up when its lease is.
            Ok(Outcome::Abandoned) | Err(_) => again_later(load).await,
            // The same key, read as two types: each loads for itself.
            Ok(Outcome::Foreign) => {
                let result = load.await;
                self.metrics.load(result.is_ok());
                Round::Answered(result.map_err(|error| Error::Load(Arc::new(error))))
            }
        }
    }

    /// Loads, stores if there is a `lease` and it still stands, and gives the result to all who
    /// follow. Dropped on the way, it abandons the flight and gives the lease back.
    async fn lead<V: Value + Clone, E: Send + Sync + 'static>(
        &self,
        flight: Leader,
        lease: Option<Lease>,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        let began = Instant::now();
        let result = load.await.map_err(Arc::new);
        self.metrics.load(result.is_ok());
        if let (Ok(value), Some(lease)) = (&result, lease) {
            self.store(key, lease, value, began.elapsed()).await;
        }
        flight.land(result.clone());
        result.map_err(Error::Load)
    }

    async fn store<V: Value>(&self, key: &str, lease: Lease, value: &V, took: Duration) {
        let Options { ttl, stale, .. } = self.options;
        let stored = Stored {
            fresh_until_ms: now_ms().saturating_add(millis(ttl)),
            load_took_ms: millis(took),
            value,
        };
        match serde_json::to_vec(&stored) {
            Ok(bytes) => match lease.fill(&bytes, ttl.saturating_add(stale)).await {
                Ok(true) => {}
                Ok(false) => self.metrics.refused_fill(),
                Err(error) => self.lost(&error),
            },
            // The caller's value is good, it only cannot be kept.
            Err(error) => tracing::warn!(key, %error, "a value that JSON cannot hold"),
        }
    }

    /// Whether what stands at `key` is fresh for longer than `seen`.
    async fn is_newer<V: Value>(&self, key: &str, seen: u64) -> bool {
        let stored: Result<Option<Vec<u8>>, RedisError> = self.redis.clone().get(key).await;
        let now = stored.ok().flatten().and_then(|bytes| Self::read::<V>(&bytes));
        now.is_some_and(|(stored, _)| stored.fresh_until_ms > seen)
    }

    fn new_flight(&self) -> (String, Leader) {
        let token = format!("{}:{}", self.process, lease::new_token());
        let flight = self.flights.lead(&token);
        (token, flight)
    }

    /// Refreshes in the background what was fresh until `seen`, unless somebody does already or
    /// has done so.
    fn refresh<V: Value + Clone, E: Send + Sync + 'static>(
        &self,
        key: &str,
        seen: u64,
        load: impl Future<Output = Result<V, E>> + Send + 'static,
    ) {
        // ANCHOR: refresh
        // Two hundred readers of a stale value ask for two hundred refreshes. The first in this
        // process asks for the lease, the first in the fleet gets it.
        let Role::Leader(only_one) = self.flights.join_or_lead(&format!("refresh: {key}")) else {
            return;
        };
        let (cache, key) = (self.clone(), key.to_owned());
        tokio::spawn(async move {
            let (token, flight) = cache.new_flight();
            match Lease::acquire(&cache.redis, &key, token, cache.options.lease).await {
                // A reader that was slow to look at its answer may come when another's refresh is
                // done and its lease is free again. While we hold the lease, nobody stores.
                Ok(Some(_)) if cache.is_newer::<V>(&key, seen).await => {}
                Ok(Some(lease)) => {
                    // If it fails, the value stays stale and the next reader tries again.
                    let _ = cache.lead(flight, Some(lease), &key, load).await;
                }
                Ok(None) => {}
                Err(error) => cache.lost(&error),
            }
            drop(only_one);
        });
        // ANCHOR_END: refresh
    }

    /// A Redis error ends here. The caller gets its answer from the database.
    fn lost(&self, error: &RedisError) {
        self.metrics.redis_error();
        tracing::warn!(%error, "the cache is out of reach, the database answers");
    }
}

impl ProtectedCache for CoalescingCache {
    fn open(url: &str, options: Options) -> Result<CoalescingCache, RedisError> {
        let redis = connection::open(url, options.timeout)?;
        let (flights, process, metrics) =
            (SingleFlight::default(), lease::new_token(), Arc::default());
        Ok(CoalescingCache { redis, options, flights, process, metrics })
    }

    async fn get<V: Value + Clone, E: Send + Sync + 'static>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> Result<V, Error<E>> {
        let began = Instant::now();
        let stored: Result<Option<Vec<u8>>, RedisError> = self.redis.clone().get(key).await;
        let mut round = match stored {
            Ok(Some(bytes)) => match Self::read(&bytes) {
                Some((stored, Some(remaining))) => {
                    let (took, dice) = (Duration::from_millis(stored.load_took_ms), dice());
                    if Self::refresh_early(remaining, took, self.options.beta, dice) {
                        self.refresh::<V, E>(key, stored.fresh_until_ms, load);
                    }
                    self.metrics.hit(began.elapsed());
                    return Ok(stored.value);
                }
                Some((stored, None)) => {
                    self.refresh::<V, E>(key, stored.fresh_until_ms, load);
                    self.metrics.stale_hit(began.elapsed());
                    return Ok(stored.value);
                }
                None => Round::Again(load),
            },
            Ok(None) => Round::Again(load),
            Err(error) if lease::is_foreign(&error) => Round::Again(load),
            Err(error) => self.without_redis(key, load, &error).await,
        };
        let answer = loop {
            round = match round {
                Round::Answered(answer) => break answer,
                Round::Again(load) => self.load_or_wait(key, load).await,
            };
        };
        self.metrics.miss(began.elapsed());
        answer
    }

    async fn invalidate(&self, key: &str) -> Result<(), RedisError> {
        lease::invalidate(&self.redis, key).await
    }

    fn refresh_early(remaining: Duration, load_took: Duration, beta: f64, dice: f64) -> bool {
        early::refresh_early(remaining, load_took, beta, dice)
    }
}

async fn again_later<V, E, L>(load: L) -> Round<V, E, L> {
    pause().await;
    Round::Again(load)
}

/// 2 to 10 ms, at random, so that those who wait do not ask in step. Polling, and not pub/sub: a
/// message that is missed is missed for good, and a timer would be needed all the same.
async fn pause() {
    tokio::time::sleep(Duration::from_micros(rand::random_range(2_000..10_000))).await;
}

/// Uniform in (0, 1]: `random` may return 0, and never 1.
fn dice() -> f64 {
    1.0 - rand::random::<f64>()
}

fn now_ms() -> u64 {
    // A clock before 1970 makes everything look fresh until its end, and no worse.
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, millis)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
