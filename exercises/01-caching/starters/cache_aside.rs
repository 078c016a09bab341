//! 01.2 · Cache-aside
//!
//! Build a cache beside a database. The shop's product pages read through it; when an editor
//! changes a price, the database is changed first and then the cache is told.
//!
//! Your cache has to keep four promises, and the checks will try to break each of them:
//!
//! 1. No reader leaves an old value behind after a write was acknowledged. Not even a reader that
//!    read the old row before the write, and comes to store it long after.
//! 2. When Redis is down or hangs, the database answers, and nobody sees an error of Redis.
//! 3. Nothing lives for ever, wherever a connection breaks.
//! 4. A hit costs one round trip.
//!
//! The contract with all its details is the trait `CacheAside`:
//! sandbox/01-caching/src/cache_aside.rs. Write `get` and `invalidate`; `open` is done, unless you
//! want more fields. The connection that it opens reconnects by itself and times out: see
//! crates/connection/src/lib.rs.
//!
//! A first step: GET; on nothing, `load.await`, SET with EX; return the value. Then run the checks
//! and read the first timeline.

use caching::Value;
use caching::cache_aside::{CacheAside, Error, Options};
use redis::RedisError;
use redis::aio::ConnectionManager;

/// Your cache.
#[allow(dead_code)] // until get and invalidate use the fields
pub struct MyCache {
    redis: ConnectionManager,
    options: Options,
}

impl CacheAside for MyCache {
    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        let redis = caching::connection::open(url, options.timeout)?;
        Ok(MyCache { redis, options })
    }

    async fn get<V: Value, E: Send>(
        &self,
        _key: &str,
        _load: impl Future<Output = Result<V, E>> + Send,
    ) -> Result<V, Error<E>> {
        todo!("ask Redis, then the database, then leave a copy behind")
    }

    async fn invalidate(&self, _key: &str) -> Result<(), RedisError> {
        todo!("forget what stands at the key, and whoever is about to fill it")
    }
}
