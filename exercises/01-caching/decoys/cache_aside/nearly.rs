//! Wrong answers to cache-aside that know about late readers, and forget one thing. The head of
//! each says what, and which check finds out.

use caching::Value;
use caching::cache_aside::{CacheAside, Error, Options};
use caching_exercises::cache_aside::check;
use grading::Decoy;
use redis::aio::ConnectionManager;
use redis::{AsyncCommands, RedisError, RedisResult, Script};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub(super) fn all() -> Vec<Decoy> {
    grading::decoys![check;
        LeaseWithoutName: two_readers,
        SetThenVerify: late_refill,
        VersionForgotten: redis_forgets,
        TombstoneForTheTtl: after_a_write,
        CopyInProcess: after_a_write,
        StoresWithoutLease: lost_lookup,
        WholeSeconds: short_ttl,
        TimeoutIsDone: invalidate_tells,
        VersionsInMemory: writer_elsewhere,
    ]
}

/// Stores `ARGV[2]` for `ARGV[3]` of the unit `ARGV[4]` if the lease `ARGV[1]` stands.
const FILL_IF_MINE: &str = "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[1], ARGV[2], ARGV[4], ARGV[3])
    redis.call('DEL', KEYS[2])
    return 1";

/// The same if any lease stands.
const FILL_IF_LEASED: &str = "if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
    redis.call('SET', KEYS[1], ARGV[2], ARGV[4], ARGV[3])
    redis.call('DEL', KEYS[2])
    return 1";

/// The same if the version, 0 where there is none, is still `ARGV[1]`.
const FILL_IF_VERSION: &str = "if (redis.call('GET', KEYS[2]) or '0') ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[1], ARGV[2], ARGV[4], ARGV[3])
    return 1";

/// The same if no tombstone stands; `ARGV[1]` means nothing.
const FILL_IF_NO_TOMBSTONE: &str = "if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
    redis.call('SET', KEYS[1], ARGV[2], ARGV[4], ARGV[3])
    return 1";

/// What they have in common: a key, and another beside it that tells whether a fill is too late.
struct Guarded {
    redis: ConnectionManager,
    options: Options,
}

impl Guarded {
    fn open(url: &str, options: Options) -> RedisResult<Guarded> {
        Ok(Guarded { redis: caching::connection::open(url, options.timeout)?, options })
    }

    async fn read(&self, key: &str) -> RedisResult<Option<Vec<u8>>> {
        self.redis.clone().get(key).await
    }

    /// Takes the lease, called `name`.
    async fn lease(&self, key: &str, name: &str) -> bool {
        let lease = self.options.lease.as_millis() as u64;
        let mut set = redis::cmd("SET");
        set.arg(guard(key)).arg(name).arg("NX").arg("PX").arg(lease);
        let taken: RedisResult<Option<String>> = set.query_async(&mut self.redis.clone()).await;
        matches!(taken, Ok(Some(_)))
    }

    async fn fill(&self, script: &str, key: &str, told: &str, json: &[u8]) -> bool {
        let ttl = self.ttl().as_millis() as u64;
        self.fill_for(script, key, told, json, ttl, "PX").await
    }

    async fn fill_for(
        &self,
        script: &str,
        key: &str,
        told: &str,
        json: &[u8],
        ttl: u64,
        unit: &str,
    ) -> bool {
        let script = Script::new(script);
        let mut fill = script.key(key);
        fill.key(guard(key)).arg(told).arg(json).arg(ttl).arg(unit);
        fill.invoke_async(&mut self.redis.clone()).await.unwrap_or(false)
    }

    /// What most of them do; `name` is the lease's.
    async fn get_leased<V: Value, E: Send>(
        &self,
        key: &str,
        script: &str,
        name: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        let stored = self.read(key).await;
        if let Some(value) = readable(&stored) {
            return Ok(value);
        }
        let leased = stored.is_ok() && self.lease(key, name).await;
        let value = load.await.map_err(Error::Load)?;
        if let (true, Ok(json)) = (leased, serde_json::to_vec(&value)) {
            self.fill(script, key, name, &json).await;
        }
        Ok(value)
    }

    /// The version of what stands in the database, as far as Redis knows: 0 before the first write.
    async fn version(&self, key: &str) -> Option<String> {
        let version: RedisResult<Option<String>> = self.redis.clone().get(guard(key)).await;
        version.ok().map(|version| version.unwrap_or("0".to_owned()))
    }

    async fn next_version(&self, key: &str) -> RedisResult<()> {
        let mut both = redis::pipe();
        both.atomic().incr(guard(key), 1).ignore().expire(guard(key), 3_600).ignore();
        both.del(key).ignore().query_async(&mut self.redis.clone()).await
    }

    async fn forget(&self, key: &str) -> RedisResult<()> {
        self.redis.clone().del(&[key.to_owned(), guard(key)]).await
    }

    fn ttl(&self) -> Duration {
        self.options.ttl.mul_f64(1.0 - self.options.jitter * rand::random::<f64>())
    }
}

fn guard(key: &str) -> String {
    format!("{{{key}}}:guard")
}

fn name() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn readable<V: Value>(stored: &RedisResult<Option<Vec<u8>>>) -> Option<V> {
    serde_json::from_slice(stored.as_ref().ok()?.as_ref()?).ok()
}

/// A lease that is broken by the writer, and looked at in the script that stores. But all leases
/// are called "1": when the next reader has taken one, the late reader takes it for its own.
/// Rejected by `two_readers`.
struct LeaseWithoutName(Guarded);

impl CacheAside for LeaseWithoutName {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Guarded::open(url, options).map(LeaseWithoutName)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        self.0.get_leased(key, FILL_IF_LEASED, "1", load).await
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.0.forget(key).await
    }
}

/// Stores first, then looks whether somebody wrote meanwhile, and takes it back. In between, the
/// old value is served; and a reader that dies in between never takes it back. Rejected by
/// `late_refill`.
struct SetThenVerify(Guarded);

impl CacheAside for SetThenVerify {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Guarded::open(url, options).map(SetThenVerify)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        let cache = &self.0;
        if let Some(value) = readable(&cache.read(key).await) {
            return Ok(value);
        }
        let before = cache.version(key).await;
        let value = load.await.map_err(Error::Load)?;
        if let (Some(before), Ok(json)) = (before, serde_json::to_vec(&value)) {
            let (mut redis, ttl) = (cache.redis.clone(), cache.ttl().as_millis() as u64);
            let _: RedisResult<()> = redis.pset_ex(key, json, ttl).await;
            if cache.version(key).await != Some(before) {
                let _: RedisResult<()> = redis.del(key).await;
            }
        }
        Ok(value)
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.0.next_version(key).await
    }
}

/// A version that each write counts up, compared in the script that stores. But a counter that
/// Redis forgets, by a restart, an eviction or its TTL, begins at 0 again, where the late reader
/// saw it. Rejected by `redis_forgets`.
struct VersionForgotten(Guarded);

impl CacheAside for VersionForgotten {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Guarded::open(url, options).map(VersionForgotten)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        if let Some(value) = readable(&self.0.read(key).await) {
            return Ok(value);
        }
        let before = self.0.version(key).await;
        let value = load.await.map_err(Error::Load)?;
        if let (Some(before), Ok(json)) = (before, serde_json::to_vec(&value)) {
            self.0.fill(FILL_IF_VERSION, key, &before, &json).await;
        }
        Ok(value)
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.0.next_version(key).await
    }
}

/// A tombstone that stands as long as an entry lives, so that no reader is late enough. Nor is
/// any reader early enough: what was written is not cached for a minute. Rejected by
/// `after_a_write`.
struct TombstoneForTheTtl(Guarded);

impl CacheAside for TombstoneForTheTtl {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Guarded::open(url, options).map(TombstoneForTheTtl)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        if let Some(value) = readable(&self.0.read(key).await) {
            return Ok(value);
        }
        let value = load.await.map_err(Error::Load)?;
        if let Ok(json) = serde_json::to_vec(&value) {
            self.0.fill(FILL_IF_NO_TOMBSTONE, key, "", &json).await;
        }
        Ok(value)
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        let ttl = self.0.options.ttl.as_millis() as u64;
        let mut both = redis::pipe();
        both.atomic().pset_ex(guard(key), 1, ttl).ignore().del(key).ignore();
        both.query_async(&mut self.0.redis.clone()).await
    }
}

/// Keeps a copy in the process, to spare Redis the transfer, and asks Redis only whether the entry
/// is still there. It is: somebody else has written and filled it anew. Rejected by
/// `after_a_write`.
struct CopyInProcess {
    cache: Guarded,
    copies: Mutex<HashMap<String, Vec<u8>>>,
}

impl CopyInProcess {
    fn copies(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<u8>>> {
        self.copies.lock().expect("nobody panics with it")
    }
}

impl CacheAside for CopyInProcess {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Ok(CopyInProcess { cache: Guarded::open(url, options)?, copies: Mutex::default() })
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        let copy = self.copies().get(key).cloned();
        if let Some(value) = readable(&Ok(copy))
            && self.cache.redis.clone().exists(key).await.unwrap_or(false)
        {
            return Ok(value);
        }
        let stored = self.cache.read(key).await;
        if let Some(value) = readable(&stored) {
            return Ok(value);
        }
        let name = name();
        let leased = stored.is_ok() && self.cache.lease(key, &name).await;
        let value = load.await.map_err(Error::Load)?;
        if let (true, Ok(json)) = (leased, serde_json::to_vec(&value))
            && self.cache.fill(FILL_IF_MINE, key, &name, &json).await
        {
            self.copies().insert(key.to_owned(), json);
        }
        Ok(value)
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.copies().remove(key);
        self.cache.forget(key).await
    }
}

/// Stores under a lease, and without one where Redis failed when it was asked: "then nobody else
/// can hold it". By the time that the load is done, Redis works, and somebody has written.
/// Rejected by `lost_lookup`.
struct StoresWithoutLease(Guarded);

impl CacheAside for StoresWithoutLease {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Guarded::open(url, options).map(StoresWithoutLease)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        let cache = &self.0;
        if cache.read(key).await.is_ok() {
            return cache.get_leased(key, FILL_IF_MINE, &name(), load).await;
        }
        let value = load.await.map_err(Error::Load)?;
        if let Ok(json) = serde_json::to_vec(&value) {
            let ttl = cache.ttl().as_millis() as u64;
            let _: RedisResult<()> = cache.redis.clone().pset_ex(key, json, ttl).await;
        }
        Ok(value)
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.0.forget(key).await
    }
}

/// EX with `as_secs()`. A TTL of 400 ms is 0 s, which Redis refuses: nothing is cached, and
/// nobody is told. Rejected by `short_ttl`.
struct WholeSeconds(Guarded);

impl CacheAside for WholeSeconds {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Guarded::open(url, options).map(WholeSeconds)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        let stored = self.0.read(key).await;
        if let Some(value) = readable(&stored) {
            return Ok(value);
        }
        let name = name();
        let leased = stored.is_ok() && self.0.lease(key, &name).await;
        let value = load.await.map_err(Error::Load)?;
        if let (true, Ok(json)) = (leased, serde_json::to_vec(&value)) {
            let seconds = self.0.ttl().as_secs();
            self.0.fill_for(FILL_IF_MINE, key, &name, &json, seconds, "EX").await;
        }
        Ok(value)
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.0.forget(key).await
    }
}

/// Reports a refused connection and takes a timeout for done: "it was sent, after all". Rejected
/// by `invalidate_tells`.
struct TimeoutIsDone(Guarded);

impl CacheAside for TimeoutIsDone {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Guarded::open(url, options).map(TimeoutIsDone)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        self.0.get_leased(key, FILL_IF_MINE, &name(), load).await
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.0.forget(key).await.or_else(|error: RedisError| match error.is_timeout() {
            true => Ok(()),
            false => Err(error),
        })
    }
}

/// A version of each key, in this process's memory: `invalidate` raises it, and what was loaded
/// under an older one is not stored. It works on a laptop. In production a writer runs in another
/// process, whose memory nobody here reads. Rejected by `writer_elsewhere`.
struct VersionsInMemory(Guarded);

static VERSIONS: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// How many times `key` was invalidated, as far as this process knows.
fn version(key: &str) -> u64 {
    let versions = VERSIONS.lock().unwrap_or_else(PoisonError::into_inner);
    versions.get(key).copied().unwrap_or(0)
}

fn raise_version(key: &str) {
    let mut versions = VERSIONS.lock().unwrap_or_else(PoisonError::into_inner);
    *versions.entry(key.to_owned()).or_default() += 1;
}

impl CacheAside for VersionsInMemory {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        Guarded::open(url, options).map(VersionsInMemory)
    }

    async fn get<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        if let Some(value) = readable(&self.0.read(key).await) {
            return Ok(value);
        }
        let before = version(key);
        let value = load.await.map_err(Error::Load)?;
        if let (true, Ok(json)) = (before == version(key), serde_json::to_vec(&value)) {
            let ttl = self.0.ttl().as_millis() as u64;
            let _: RedisResult<()> = self.0.redis.clone().pset_ex(key, json, ttl).await;
        }
        Ok(value)
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        raise_version(key);
        self.0.forget(key).await
    }
}
