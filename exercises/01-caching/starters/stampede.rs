//! 01.5 · Stampede
//!
//! The hottest key of the shop expires while hundreds read it. Build the cache that lets one of
//! them ask the database while the others wait, or get what was true a moment ago.
//!
//! Your cache has to do five things, and the checks will try to break each of them:
//!
//! 1. In one process, all callers of a cold key share one load.
//! 2. With `Scope::Fleet`, all callers of all processes at this Redis share one load.
//! 3. Whoever loads may fail, be cancelled, panic or be killed with its process: those who wait
//!    are told the error, or another of them loads. Nobody hangs, and no error is remembered.
//! 4. A value past its `ttl` is served at once for as long as `stale` says, while one load
//!    refreshes it; and shortly before its `ttl` some reader refreshes it by the rule XFetch.
//! 5. Whoever comes after a write does not get what was loaded before it.
//!
//! The contract with all its details is the trait `ProtectedCache`:
//! sandbox/01-caching/src/stampede.rs. What lesson 01.2 taught about leases is of use here, and
//! so is sandbox/01-caching/src/lease.rs; how you let the callers in one process wait for each
//! other is for you to find. Begin with `get` for one process, and with `refresh_early`, which is
//! one line.

use caching::Value;
use caching::stampede::{Error, Options, ProtectedCache};
use redis::RedisError;
use redis::aio::ConnectionManager;
use std::time::Duration;

/// Your cache.
#[allow(dead_code)] // until get and invalidate use the fields
pub struct MyCache {
    redis: ConnectionManager,
    options: Options,
}

impl ProtectedCache for MyCache {
    fn open(url: &str, options: Options) -> Result<Self, RedisError> {
        let redis = caching::connection::open(url, options.timeout)?;
        Ok(MyCache { redis, options })
    }

    async fn get<V: Value + Clone, E: Send + Sync + 'static>(
        &self,
        _key: &str,
        _load: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> Result<V, Error<E>> {
        todo!("let one caller load while the others wait")
    }

    async fn invalidate(&self, _key: &str) -> Result<(), RedisError> {
        todo!("forget what stands at the key, and whoever is about to fill it")
    }

    fn refresh_early(_remaining: Duration, _load_took: Duration, _beta: f64, _dice: f64) -> bool {
        todo!("throw the die")
    }
}
