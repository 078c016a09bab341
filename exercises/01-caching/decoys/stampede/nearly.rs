//! Wrong answers to the stampede that share and refresh, and forget one thing. The head of each
//! says what, and which check finds out.

use caching::Value;
use caching::stampede::{CoalescingCache, Error, Options, ProtectedCache};
use caching_exercises::stampede::check;
use grading::Decoy;
use redis::aio::ConnectionManager;
use redis::{AsyncCommands, RedisResult, Script};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

pub(super) fn all() -> Vec<Decoy> {
    grading::decoys![check;
        LeaseWithoutName: two_readers,
        RefreshWithoutLease: write_during_refresh,
        RefreshInEachProcess: stale_while_revalidate,
        RefreshFlagStuck: failed_refresh,
        LoadNeverTimed: early_refresh,
        EndOnlyInValue: hard_end,
        NoTimeout: redis_stalls,
        InvalidationShrugged: invalidate_tells,
    ]
}

/// A value and the end of its freshness, in milliseconds since 1970.
type Timed<V> = (u64, V);

/// How the decoys below differ.
trait Flaw: Send + Sync + 'static {
    /// Whether Redis forgets an entry at its end.
    const EXPIRES: bool = true;
    /// Whether a refresh takes the lease, so that one process refreshes.
    const LEASED_REFRESH: bool = true;
    /// Whether a refresh stores only while its lease stands.
    const GUARDED_REFRESH: bool = true;
    /// Whether a refresh that failed lets the next one begin.
    const FLAG_FALLS: bool = true;
    /// Whether leases have names of their own.
    const NAMED: bool = true;
    /// What a load is taken to take, for those that refresh early without having timed it.
    const LOAD_IS_SAID_TO_TAKE: Duration = Duration::ZERO;
}

/// What they have in common: a lease in Redis that the others poll for, and one refresh of a stale
/// value at a time.
struct Leased<F> {
    redis: ConnectionManager,
    options: Options,
    refreshing: Arc<Mutex<HashSet<String>>>,
    flaw: std::marker::PhantomData<F>,
}

impl<F: Flaw> Clone for Leased<F> {
    fn clone(&self) -> Leased<F> {
        let (redis, refreshing) = (self.redis.clone(), Arc::clone(&self.refreshing));
        Leased { redis, options: self.options, refreshing, flaw: self.flaw }
    }
}

impl<F: Flaw> Leased<F> {
    fn refreshing(&self) -> MutexGuard<'_, HashSet<String>> {
        self.refreshing.lock().expect("nobody panics with it")
    }

    async fn read<V: Value>(&self, key: &str) -> Option<Timed<V>> {
        let stored: Option<Vec<u8>> = self.redis.clone().get(key).await.ok()?;
        serde_json::from_slice(&stored?).ok()
    }

    /// The name of the lease, if it is free.
    async fn lease(&self, key: &str) -> Option<String> {
        let name = if F::NAMED { format!("{:x}", rand::random::<u128>()) } else { "1".to_owned() };
        let lease = self.options.lease.as_millis() as u64;
        let mut set = redis::cmd("SET");
        set.arg(lock(key)).arg(&name).arg("NX").arg("PX").arg(lease);
        let taken: Option<String> = set.query_async(&mut self.redis.clone()).await.ok()?;
        taken.map(|_| name)
    }

    /// Stores `value`; where there is a `lease`, only while one of its name stands.
    async fn store<V: Value>(&self, key: &str, value: V, lease: Option<&str>) {
        let Options { ttl, stale, .. } = self.options;
        let fresh_until = now() + ttl.as_millis() as u64;
        let Ok(json) = serde_json::to_vec(&(fresh_until, value)) else { return };
        let script = Script::new(
            "if ARGV[1] ~= '' and redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
             redis.call('SET', KEYS[1], ARGV[2])
             if ARGV[3] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
             redis.call('DEL', KEYS[2])
             return 1",
        );
        let life = if F::EXPIRES { (ttl + stale).as_millis() as u64 } else { 0 };
        let mut fill = script.key(key);
        fill.key(lock(key)).arg(lease.unwrap_or_default()).arg(json).arg(life);
        let _: RedisResult<()> = fill.invoke_async(&mut self.redis.clone()).await;
    }

    fn refresh<V: Value, E: Send>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send + 'static,
    ) {
        if !self.refreshing().insert(key.to_owned()) {
            return;
        }
        let (cache, key) = (self.clone(), key.to_owned());
        tokio::spawn(async move {
            let lease = if F::LEASED_REFRESH { cache.lease(&key).await } else { None };
            let mut stored = false;
            if lease.is_some() || !F::LEASED_REFRESH {
                let loaded = load.await;
                if let Ok(value) = loaded {
                    let guard = lease.as_deref().filter(|_| F::GUARDED_REFRESH);
                    cache.store(&key, value, guard).await;
                    stored = true;
                }
            }
            if stored || F::FLAG_FALLS {
                cache.refreshing().remove(&key);
            }
        });
    }
}

impl<F: Flaw> ProtectedCache for Leased<F> {
    fn open(url: &str, options: Options) -> RedisResult<Self> {
        let redis = caching::connection::open(url, options.timeout)?;
        Ok(Leased { redis, options, refreshing: Arc::default(), flaw: std::marker::PhantomData })
    }

    async fn get<V: Value + Clone, E: Send + Sync + 'static>(
        &self,
        key: &str,
        load: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> Result<V, Error<E>> {
        loop {
            match self.read::<V>(key).await {
                Some((fresh_until, value)) if now() < fresh_until => {
                    let remaining = Duration::from_millis(fresh_until.saturating_sub(now()));
                    let dice = 1.0 - rand::random::<f64>();
                    let took = F::LOAD_IS_SAID_TO_TAKE;
                    if Self::refresh_early(remaining, took, self.options.beta, dice) {
                        self.refresh(key, load);
                    }
                    return Ok(value);
                }
                Some((fresh_until, value))
                    if now() < fresh_until + self.options.stale.as_millis() as u64 =>
                {
                    self.refresh(key, load);
                    return Ok(value);
                }
                _ => {}
            }
            if let Some(lease) = self.lease(key).await {
                let value = load.await.map_err(|error| Error::Load(Arc::new(error)))?;
                self.store(key, value.clone(), Some(&lease)).await;
                return Ok(value);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn invalidate(&self, key: &str) -> RedisResult<()> {
        self.redis.clone().del(&[key.to_owned(), lock(key)]).await
    }

    fn refresh_early(remaining: Duration, took: Duration, beta: f64, dice: f64) -> bool {
        caching::early::refresh_early(remaining, took, beta, dice)
    }
}

fn lock(key: &str) -> String {
    format!("{{{key}}}:lock")
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

struct Nameless;

/// All leases are called "1": when the next reader has taken one, the late reader takes it for its
/// own, and stores. Rejected by `two_readers`.
type LeaseWithoutName = Leased<Nameless>;
impl Flaw for Nameless {
    const NAMED: bool = false;
}

struct Unguarded;

/// A miss stores under its lease, and a refresh simply stores: "the entry is there already". A
/// write in the middle has deleted it. Rejected by `write_during_refresh`.
type RefreshWithoutLease = Leased<Unguarded>;
impl Flaw for Unguarded {
    const GUARDED_REFRESH: bool = false;
}

struct Untimed;

/// Knows the formula, and puts a second in for what the load took: who could time it? Now what
/// loads in a millisecond is loaded again and again. Rejected by `early_refresh`.
type LoadNeverTimed = Leased<Untimed>;
impl Flaw for Untimed {
    const LOAD_IS_SAID_TO_TAKE: Duration = Duration::from_secs(1);
}

struct Unleased;

/// One refresh in each process, and there are forty of them. Rejected by
/// `stale_while_revalidate`.
type RefreshInEachProcess = Leased<Unleased>;
impl Flaw for Unleased {
    const LEASED_REFRESH: bool = false;
}

struct Stuck;

/// A flag says that a refresh is under way, and falls when it has stored. After one that failed,
/// this process refreshes the key no more. Rejected by `failed_refresh`.
type RefreshFlagStuck = Leased<Stuck>;
impl Flaw for Stuck {
    const FLAG_FALLS: bool = false;
}

struct Kept;

/// The end stands in the value, so nobody is served too old a price; and Redis keeps every key
/// that was ever read. Rejected by `hard_end`.
type EndOnlyInValue = Leased<Kept>;
impl Flaw for Kept {
    const EXPIRES: bool = false;
}

/// Defines a decoy that is right but for its options or its invalidation.
macro_rules! right_but {
    ($(#[$doc:meta])* $name:ident, options: $options:expr, invalidated: $invalidated:expr) => {
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
                let told: fn(RedisResult<()>) -> RedisResult<()> = $invalidated;
                told(self.0.invalidate(key).await)
            }

            fn refresh_early(remaining: Duration, took: Duration, beta: f64, dice: f64) -> bool {
                caching::early::refresh_early(remaining, took, beta, dice)
            }
        }
    };
}

right_but! {
    /// Waits for Redis as long as Redis likes. A server that hangs stops every reader. Rejected
    /// by `redis_stalls`.
    NoTimeout,
    options: |options| Options { timeout: Duration::from_secs(3_600), ..options },
    invalidated: |told| told
}

right_but! {
    /// Throws the result of DEL away. The writer tells its user "done" while the old value lives
    /// on. Rejected by `invalidate_tells`.
    InvalidationShrugged,
    options: |options| options,
    invalidated: |_| Ok(())
}
