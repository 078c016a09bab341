//! 01.2 · Cache-aside: ask the cache, then the database, then leave a copy behind.
//!
//! The pattern is three lines long, and most of its implementations are wrong in the same four
//! ways. The contract [`CacheAside`] names the promises, [`LeasedCache`] keeps them:
//!
//! | promise | how |
//! | --- | --- |
//! | No reader leaves an old value behind after a write was acknowledged | a [lease](crate::lease) that the writer's invalidation breaks |
//! | Losing Redis costs speed, not answers | each Redis error is a miss; the database answers |
//! | Nothing lives for ever | value and TTL are written by one command |
//! | A million entries written together do not expire together | [jitter](Options::jitter) |
//!
//! What it does not promise:
//!
//! - **Read-your-writes while Redis cannot be told.** If [`CacheAside::invalidate`] fails, the old
//!   value may be served until its TTL. The error says so; retry it, or answer the writer with it.
//! - **Freshness behind a replica.** If `load` reads a replica that lags behind the writer's
//!   commit, the copy is as old as the replica. Load from the primary, or invalidate late.
//! - **One load a miss.** Two hundred readers who miss together load two hundred times, and one
//!   of them fills. That is the next lesson, [stampede](crate::stampede).

use crate::Value;
use crate::lease::{self, Lease};
use crate::metrics::{Metrics, Snapshot};
use redis::aio::ConnectionManager;
use redis::{AsyncCommands, RedisError};
use std::future::Future;
use std::time::{Duration, Instant};

// ANCHOR: contract
/// The contract: a cache beside a database.
///
/// A value comes from [`get`](CacheAside::get), which is given the way to load it. Who changes the
/// database calls [`invalidate`](CacheAside::invalidate) after the commit and before telling
/// anybody that the change is done.
pub trait CacheAside: Send + Sync + Sized + 'static {
    /// A cache on the Redis at `url`. Connects at the first command, so that a program can start
    /// while Redis is down.
    ///
    /// # Errors
    /// Only for a `url` that cannot be read.
    fn open(url: &str, options: Options) -> Result<Self, RedisError>;

    /// The value at `key`: from Redis in one round trip, or else from `load`, in which case a copy
    /// is left behind for the next reader.
    ///
    /// `load` is a future, and futures do nothing until they are awaited: on a hit it never runs.
    /// When Redis is down, slow, or holds something that cannot be read, `load` answers. The
    /// caller may be dropped at any moment; nothing it began may stop later readers from being
    /// served or the key from being cached.
    ///
    /// # Errors
    /// [`Error::Load`] if `load` failed. It is not remembered: the next call loads again.
    fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> impl Future<Output = Result<V, Error<E>>> + Send;

    /// Forgets what stands at `key`. When this has returned `Ok`, no later `get` returns a value
    /// that was loaded before this call, whoever loaded it and however late it is stored.
    ///
    /// # Errors
    /// When Redis could not be told. The old value may then be served until its TTL.
    fn invalidate(&self, key: &str) -> impl Future<Output = Result<(), RedisError>> + Send;
}

/// How a cache behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The longest that an entry lives. Every key that the cache writes expires.
    pub ttl: Duration,
    /// The share of `ttl`, from 0 to 1, by which an entry's life may be shorter, at random. With
    /// 0.1, entries live between 90 % and 100 % of `ttl`.
    pub jitter: f64,
    /// How long a reader waits for Redis to connect, and then for it to answer, before the
    /// database is asked.
    pub timeout: Duration,
    /// How long a reader may take to load and still store what it loaded. Longer than the slowest
    /// load; it also bounds how long a reader that was killed keeps its key from being cached.
    pub lease: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            ttl: Duration::from_secs(60),
            jitter: 0.1,
            timeout: Duration::from_millis(100),
            lease: Duration::from_secs(5),
        }
    }
}

/// Why a value could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error<E> {
    /// The load failed; this is its error.
    #[error("the load failed: {0}")]
    Load(E),
    /// Redis failed. A cache that keeps its promises never returns this from
    /// [`CacheAside::get`]: it asks the database instead.
    #[error("Redis failed: {0}")]
    Redis(#[from] RedisError),
}
// ANCHOR_END: contract

/// The reference: cache-aside with leases.
///
/// A hit is one `GET`. A miss is a `GET`, a `SET NX` for the lease, the load, and a script that
/// stores the value if the lease still stands. Values are JSON, so that `redis-cli` shows them.
#[derive(Debug)]
pub struct LeasedCache {
    redis: ConnectionManager,
    options: Options,
    metrics: Metrics,
}

impl LeasedCache {
    /// Hits, misses, loads, latency, since the cache was opened.
    pub fn metrics(&self) -> Snapshot {
        self.metrics.snapshot()
    }

    /// What the caller gets on a miss. It is stored if there is a `lease` and it still stands.
    async fn load_and_fill<V: Value, E: Send>(
        &self,
        key: &str,
        lease: Option<Lease>,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        // ANCHOR: fill
        let loaded = load.await;
        self.metrics.load(loaded.is_ok());
        // On an error the lease is dropped here, and so given back: the next reader may fill.
        let value = loaded.map_err(Error::Load)?;
        if let Some(lease) = lease {
            match serde_json::to_vec(&value) {
                Ok(bytes) => self.fill(lease, &bytes).await,
                // The caller's value is good, it only cannot be kept.
                Err(error) => tracing::warn!(key, %error, "a value that JSON cannot hold"),
            }
        }
        Ok(value)
        // ANCHOR_END: fill
    }

    async fn acquire(&self, key: &str) -> Result<Option<Lease>, RedisError> {
        Lease::acquire(&self.redis, key, lease::new_token(), self.options.lease).await
    }

    async fn fill(&self, lease: Lease, bytes: &[u8]) {
        let ttl = jittered(self.options.ttl, self.options.jitter);
        match lease.fill(bytes, ttl).await {
            Ok(true) => {}
            Ok(false) => self.metrics.refused_fill(),
            Err(error) => self.lost(&error),
        }
    }

    /// A Redis error ends here. The caller gets its answer from the database.
    fn lost(&self, error: &RedisError) {
        self.metrics.redis_error();
        tracing::warn!(%error, "the cache is out of reach, the database answers");
    }
}

impl CacheAside for LeasedCache {
    fn open(url: &str, options: Options) -> Result<LeasedCache, RedisError> {
        let redis = connection::open(url, options.timeout)?;
        Ok(LeasedCache { redis, options, metrics: Metrics::default() })
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        // ANCHOR: get
        let began = Instant::now();
        let stored: Result<Option<Vec<u8>>, RedisError> = self.redis.clone().get(key).await;
        let lease = match stored {
            Ok(Some(bytes)) => match serde_json::from_slice(&bytes) {
                Ok(value) => {
                    self.metrics.hit(began.elapsed());
                    return Ok(value);
                }
                // Written by another version of this program. A miss, or each deployment would
                // be an outage.
                Err(_) => self.acquire(key).await,
            },
            Ok(None) => self.acquire(key).await,
            Err(error) if lease::is_foreign(&error) => self.acquire(key).await,
            // Redis has just failed. To ask it for a lease as well would only double the wait.
            Err(error) => Err(error),
        };
        // No lease, for whatever reason: the caller is served all the same, only nothing is
        // stored. Another reader that holds the lease will do it.
        let lease = lease.unwrap_or_else(|error| {
            self.lost(&error);
            None
        });
        let result = self.load_and_fill(key, lease, load).await;
        self.metrics.miss(began.elapsed());
        result
        // ANCHOR_END: get
    }

    async fn invalidate(&self, key: &str) -> Result<(), RedisError> {
        lease::invalidate(&self.redis, key).await
    }
}

/// Entries that were written together must not expire together, or their readers miss together.
pub(crate) fn jittered(ttl: Duration, jitter: f64) -> Duration {
    // `max` before `min`, and not `clamp`: this takes a jitter that is no number for none.
    #[allow(clippy::manual_clamp)]
    let jitter = jitter.max(0.0).min(1.0);
    let share = 1.0 - jitter * rand::random::<f64>();
    // A TTL of `Duration::MAX` may be rounded up to more than a Duration holds.
    Duration::try_from_secs_f64(ttl.as_secs_f64() * share).unwrap_or(ttl)
}
