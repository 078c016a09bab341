//! Wrong answers to cache-aside, as people write them in good faith. The head of each says what
//! is wrong and which check finds out.

mod nearly;

use caching::Value;
use caching::cache_aside::{CacheAside, Error, Options};
use caching_exercises::cache_aside::check;
use grading::Decoy;
use redis::aio::{ConnectionManager, MultiplexedConnection};
use redis::{AsyncCommands, RedisError, RedisResult};
use std::time::Duration;

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    let mut all = grading::decoys![check;
        NeverCaches: hit_is_one_round_trip,
        ExistsThenGet: hit_is_one_round_trip,
        SameTtl: ttl_is_spread,
        SetThenExpire: no_entry_without_ttl,
        RedisErrorReturned: redis_down,
        ConnectsOnce: redis_down,
        NoTimeout: redis_stalls,
        PlainDelete: slow_reader,
        DelayedDoubleDelete: slow_reader,
        VersionComparedInClient: late_refill,
        TombstoneExpires: slow_reader,
        WatchOnSharedConnection: slow_reader,
        FlushesEverything: only_its_key,
        ErrorCached: error_is_not_cached,
        InvalidationShrugged: invalidate_tells,
        UnreadableReturned: unreadable_entry,
        LockWithoutTtl: cancelled_reader,
    ];
    all.extend(nearly::all());
    all
}

/// What the decoys have in common: a connection, and the steps that everybody knows.
struct Plain {
    redis: ConnectionManager,
    options: Options,
}

impl Plain {
    fn open(url: &str, options: Options) -> RedisResult<Plain> {
        Ok(Plain { redis: caching::connection::open(url, options.timeout)?, options })
    }

    /// The value at `key`. Everything that goes wrong is a miss.
    async fn read<V: Value>(&self, key: &str) -> Option<V> {
        let stored: Option<Vec<u8>> = self.redis.clone().get(key).await.ok()?;
        serde_json::from_slice(&stored?).ok()
    }

    async fn store<V: Value>(&self, key: &str, value: &V) {
        if let Ok(json) = serde_json::to_vec(value) {
            let ttl = self.ttl().as_millis() as u64;
            let _: RedisResult<()> = self.redis.clone().pset_ex(key, json, ttl).await;
        }
    }

    async fn delete(&self, key: &str) -> RedisResult<()> {
        self.redis.clone().del(key).await
    }

    fn ttl(&self) -> Duration {
        self.options.ttl.mul_f64(1.0 - self.options.jitter * rand::random::<f64>())
    }
}

/// The laziest answer: the database, always. No value is ever old. Rejected by
/// `hit_is_one_round_trip`.
struct NeverCaches;

impl CacheAside for NeverCaches {
    fn open(_: &str, _: Options) -> RedisResult<Self> {
        Ok(NeverCaches)
    }

    async fn get<V: Value, E: Send>(
        &self,
        _: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        load.await.map_err(Error::Load)
    }

    async fn invalidate(&self, _: &str) -> RedisResult<()> {
        Ok(())
    }
}

/// The textbook: GET, load, SET with a TTL; DEL after the write. A reader that has read the old
/// row before the write stores it after the DEL. Rejected by `slow_reader`.
struct PlainDelete(Plain);

impl CacheAside for PlainDelete {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Plain::open(url, options).map(PlainDelete)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        if let Some(value) = self.0.read(key).await {
            return Ok(value);
        }
        let value = load.await.map_err(Error::Load)?;
        self.0.store(key, &value).await;
        Ok(value)
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.0.delete(key).await
    }
}

/// Looks whether the key is there before it asks for it: twice the price of a hit, and the entry
/// may expire in between. Rejected by `hit_is_one_round_trip`.
struct ExistsThenGet(PlainDelete);

impl CacheAside for ExistsThenGet {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        PlainDelete::open(url, options).map(ExistsThenGet)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        let plain = &self.0.0;
        if plain.redis.clone().exists(key).await.unwrap_or(false)
            && let Some(value) = plain.read(key).await
        {
            return Ok(value);
        }
        let value = load.await.map_err(Error::Load)?;
        plain.store(key, &value).await;
        Ok(value)
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.0.invalidate(key).await
    }
}

/// The same TTL for all. What was written together expires together, and is missed together.
/// Rejected by `ttl_is_spread`.
struct SameTtl(PlainDelete);

impl CacheAside for SameTtl {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        PlainDelete::open(url, Options { jitter: 0.0, ..options }).map(SameTtl)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        self.0.get(key, load).await
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.0.invalidate(key).await
    }
}

/// SET, then EXPIRE. If the connection breaks between the two, the entry lives for ever. Rejected
/// by `no_entry_without_ttl`.
struct SetThenExpire(Plain);

impl CacheAside for SetThenExpire {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Plain::open(url, options).map(SetThenExpire)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        if let Some(value) = self.0.read(key).await {
            return Ok(value);
        }
        let value = load.await.map_err(Error::Load)?;
        if let Ok(json) = serde_json::to_vec(&value) {
            let mut redis = self.0.redis.clone();
            if redis.set::<_, _, ()>(key, json).await.is_ok() {
                let _: RedisResult<()> = redis.expire(key, self.0.ttl().as_secs() as i64).await;
            }
        }
        Ok(value)
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.0.delete(key).await
    }
}

/// `?` on a command of Redis: when the cache is down, so is the shop. Rejected by `redis_down`.
struct RedisErrorReturned(Plain);

impl CacheAside for RedisErrorReturned {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Plain::open(url, options).map(RedisErrorReturned)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        let stored: Option<String> = self.0.redis.clone().get(key).await?;
        if let Some(value) = stored.and_then(|json| serde_json::from_str(&json).ok()) {
            return Ok(value);
        }
        let value = load.await.map_err(Error::Load)?;
        self.0.store(key, &value).await;
        Ok(value)
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.0.delete(key).await
    }
}

/// One multiplexed connection, made at the first use and kept. The database answers when it is
/// broken, but it never mends: after one restart of Redis nothing is cached any more. Rejected by
/// `redis_down`.
struct ConnectsOnce {
    client: redis::Client,
    connection: tokio::sync::OnceCell<MultiplexedConnection>,
    options: Options,
}

impl ConnectsOnce {
    async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        let connect = || self.client.get_multiplexed_async_connection();
        self.connection.get_or_try_init(connect).await.cloned()
    }
}

impl CacheAside for ConnectsOnce {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        let client = redis::Client::open(url)?;
        Ok(ConnectsOnce { client, connection: tokio::sync::OnceCell::new(), options })
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        let Ok(mut redis) = self.connection().await else {
            return load.await.map_err(Error::Load);
        };
        let stored: Option<String> = redis.get(key).await.unwrap_or(None);
        if let Some(value) = stored.and_then(|json| serde_json::from_str(&json).ok()) {
            return Ok(value);
        }
        let value = load.await.map_err(Error::Load)?;
        if let Ok(json) = serde_json::to_string(&value) {
            let ttl = self.options.ttl.as_secs();
            let _: RedisResult<()> = redis.set_ex(key, json, ttl).await;
        }
        Ok(value)
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.connection().await?.del(key).await
    }
}

/// Waits for Redis as long as Redis likes. A server that hangs, or a firewall that swallows
/// packets, stops every reader. Rejected by `redis_stalls`.
struct NoTimeout(PlainDelete);

impl CacheAside for NoTimeout {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        let patient = Options { timeout: Duration::from_secs(3_600), ..options };
        PlainDelete::open(url, patient).map(NoTimeout)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        self.0.get(key, load).await
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.0.invalidate(key).await
    }
}

/// Deletes, and deletes again half a second later, to catch the late reader. In between, the old
/// value is served; a reader that is later still is never caught. Rejected by `slow_reader`.
struct DelayedDoubleDelete(PlainDelete);

impl CacheAside for DelayedDoubleDelete {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        PlainDelete::open(url, options).map(DelayedDoubleDelete)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        self.0.get(key, load).await
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.0.invalidate(key).await?;
        let (mut redis, key) = (self.0.0.redis.clone(), key.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let _: RedisResult<()> = redis.del(key).await;
        });
        Ok(())
    }
}

/// A version beside each key: the reader compares it after its load and stores only if nobody
/// wrote meanwhile. But it compares in the client, and between its comparison and its SET there
/// is room for a write. Rejected by `late_refill`.
struct VersionComparedInClient(Plain);

impl VersionComparedInClient {
    async fn version(&self, key: &str) -> Option<u64> {
        let version: Option<u64> = self.0.redis.clone().get(format!("{key}:version")).await.ok()?;
        Some(version.unwrap_or(0))
    }
}

impl CacheAside for VersionComparedInClient {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Plain::open(url, options).map(VersionComparedInClient)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        if let Some(value) = self.0.read(key).await {
            return Ok(value);
        }
        let before = self.version(key).await;
        let value = load.await.map_err(Error::Load)?;
        if before.is_some() && before == self.version(key).await {
            self.0.store(key, &value).await;
        }
        Ok(value)
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        let version = format!("{key}:version");
        let mut both = redis::pipe();
        both.atomic().incr(&version, 1).ignore();
        both.expire(&version, 3_600).ignore().del(key).ignore();
        both.query_async(&mut self.0.redis.clone()).await
    }
}

/// The writer leaves a tombstone for as long as a lease, and nobody fills while it stands; the
/// check and the SET are one script. But a reader that is later than the tombstone lives fills.
/// Rejected by `slow_reader`.
struct TombstoneExpires(Plain);

impl CacheAside for TombstoneExpires {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Plain::open(url, options).map(TombstoneExpires)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        if let Some(value) = self.0.read(key).await {
            return Ok(value);
        }
        let value = load.await.map_err(Error::Load)?;
        if let Ok(json) = serde_json::to_vec(&value) {
            let script = redis::Script::new(
                "if redis.call('EXISTS', KEYS[2]) == 0 then
                     redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
                 end",
            );
            let mut fill = script.key(key);
            fill.key(format!("{key}:tombstone")).arg(json).arg(self.0.ttl().as_millis() as u64);
            let _: RedisResult<()> = fill.invoke_async(&mut self.0.redis.clone()).await;
        }
        Ok(value)
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        let lease = self.0.options.lease.as_millis() as u64;
        let mut both = redis::pipe();
        both.atomic().pset_ex(format!("{key}:tombstone"), 1, lease).ignore().del(key).ignore();
        both.query_async(&mut self.0.redis.clone()).await
    }
}

/// WATCH before the load, MULTI and EXEC after it: right on a connection of one's own. On a
/// shared one, another page's EXEC ends the WATCH of this one. Rejected by `slow_reader`.
struct WatchOnSharedConnection(Plain);

impl CacheAside for WatchOnSharedConnection {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Plain::open(url, options).map(WatchOnSharedConnection)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        if let Some(value) = self.0.read(key).await {
            return Ok(value);
        }
        let mut redis = self.0.redis.clone();
        let mut watch = redis::cmd("WATCH");
        let watched: RedisResult<()> = watch.arg(key).query_async(&mut redis).await;
        let value = load.await.map_err(Error::Load)?;
        if let (Ok(()), Ok(json)) = (watched, serde_json::to_vec(&value)) {
            let mut fill = redis::pipe();
            fill.atomic().pset_ex(key, json, self.0.ttl().as_millis() as u64).ignore();
            let _: RedisResult<Option<()>> = fill.query_async(&mut redis).await;
        }
        Ok(value)
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        // A DEL of what is not there does not touch a WATCH; a SET does.
        let mut both = redis::pipe();
        both.atomic().set_ex(key, "", 1).ignore().del(key).ignore();
        both.query_async(&mut self.0.redis.clone()).await
    }
}

/// Forgets everything, so nothing old can be left. Nor anything else: each price change empties
/// the cache of the whole shop. Rejected by `only_its_key`.
struct FlushesEverything(PlainDelete);

impl CacheAside for FlushesEverything {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        PlainDelete::open(url, options).map(FlushesEverything)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        self.0.get(key, load).await
    }

    async fn invalidate(&self, _: &str) -> RedisResult<()> {
        redis::cmd("FLUSHDB").query_async(&mut self.0.0.redis.clone()).await
    }
}

/// Remembers that a load failed, to spare the database. Now the failure outlives its cause.
/// Rejected by `error_is_not_cached`.
struct ErrorCached(Plain);

impl CacheAside for ErrorCached {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Plain::open(url, options).map(ErrorCached)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        let mut redis = self.0.redis.clone();
        let failed = format!("{key}:failed");
        if redis.exists(&failed).await.unwrap_or(false) {
            let remembered = (redis::ErrorKind::Client, "the last load failed");
            return Err(Error::Redis(RedisError::from(remembered)));
        }
        if let Some(value) = self.0.read(key).await {
            return Ok(value);
        }
        match load.await {
            Ok(value) => {
                self.0.store(key, &value).await;
                Ok(value)
            }
            Err(error) => {
                let _: RedisResult<()> = redis.set_ex(&failed, 1, 30).await;
                Err(Error::Load(error))
            }
        }
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.0.delete(key).await
    }
}

/// Throws the result of DEL away. The writer tells its user "done" while the old value lives on.
/// Rejected by `invalidate_tells`.
struct InvalidationShrugged(PlainDelete);

impl CacheAside for InvalidationShrugged {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        PlainDelete::open(url, options).map(InvalidationShrugged)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        self.0.get(key, load).await
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        let _ = self.0.invalidate(key).await;
        Ok(())
    }
}

/// Takes an entry that it cannot read for an error. After the next deployment that changes a
/// field, every cached page is an error until its TTL. Rejected by `unreadable_entry`.
struct UnreadableReturned(Plain);

impl CacheAside for UnreadableReturned {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Plain::open(url, options).map(UnreadableReturned)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        let stored: RedisResult<Option<String>> = self.0.redis.clone().get(key).await;
        if let Ok(Some(json)) = stored {
            return serde_json::from_str(&json).map_err(|_| {
                let unreadable = (redis::ErrorKind::UnexpectedReturnType, "the entry is no value");
                Error::Redis(RedisError::from(unreadable))
            });
        }
        let value = load.await.map_err(Error::Load)?;
        self.0.store(key, &value).await;
        Ok(value)
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.0.delete(key).await
    }
}

/// Guards the fill by a lock without a TTL, and gives it back after the fill. A reader that is
/// cancelled or killed never does, and its key is never cached again. Rejected by
/// `cancelled_reader`.
struct LockWithoutTtl(Plain);

impl CacheAside for LockWithoutTtl {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Plain::open(url, options).map(LockWithoutTtl)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        if let Some(value) = self.0.read(key).await {
            return Ok(value);
        }
        let mut redis = self.0.redis.clone();
        let lock = format!("{key}:lock");
        let locked = redis.set_nx(&lock, 1).await.unwrap_or(false);
        let value = load.await.map_err(Error::Load)?;
        if locked {
            self.0.store(key, &value).await;
            let _: RedisResult<()> = redis.del(&lock).await;
        }
        Ok(value)
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.0.delete(key).await
    }
}
