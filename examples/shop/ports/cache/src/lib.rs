//! The cache port: a second copy of what a database would answer.
//!
//! Two sides stand behind one type, [`Cache`]:
//!
//! | side | place | who shares it |
//! | --- | --- | --- |
//! | moka, embedded | `memory:` | this process |
//! | Redis, by the patterns of `sandbox/01-caching` | `redis://…` | every process |
//!
//! What is kept are JSON documents, as they will be answered: a hit copies bytes and looks at
//! nothing. How far a read protects the database, [`Protection`] says, for each read, so that it
//! can be switched while the shop runs.
//!
//! Both sides promise the same, and one suite of tests asks it of both:
//!
//! - After [`Cache::invalidate`] has returned `Ok`, no later read gets what was loaded before it,
//!   however late that was stored.
//! - With [`Protection::Coalesced`], those who miss a key at the same time cause one load.
//! - A load that fails is not remembered. A reader may be dropped at any moment.
//! - When Redis is slow or gone, the load answers, after at most [`Options::timeout`] twice over.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use caching::cache_aside::{self, CacheAside, LeasedCache};
use caching::stampede::{self, CoalescingCache, ProtectedCache, Scope};
use serde_json::value::RawValue;

mod memory;

use memory::Memory;

/// How far a read protects the database. The variants of the switch `pattern.cache`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Each reader that misses loads: lesson 01.2.
    Aside,
    /// One loads, the others wait for it: lesson 01.5.
    Coalesced,
}

/// How a cache behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long a copy may be read.
    pub ttl: Duration,
    /// How many copies the embedded side keeps; what is read least goes first. Redis has a limit
    /// of its own, `maxmemory`.
    pub capacity: u64,
    /// How long a load may take. After this the next reader tries.
    pub lease: Duration,
    /// How long to wait for Redis to connect, and then for it to answer.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            ttl: Duration::from_secs(60),
            capacity: 20_000,
            lease: Duration::from_secs(5),
            timeout: Duration::from_millis(100),
        }
    }
}

/// Why there is no cache, or why it did not forget.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The place is none. It is not named: it may hold a password.
    #[error("this is no place for a cache; it should be memory: or redis://HOST:PORT")]
    Place,
    /// Redis could not be told.
    #[error("Redis did not take it: {0}")]
    Redis(#[from] redis::RedisError),
}

/// A cache. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Cache {
    side: Arc<Side>,
}

#[derive(Debug)]
enum Side {
    Memory(Memory),
    Redis { aside: LeasedCache, coalesced: Box<CoalescingCache> },
}

impl Cache {
    /// The cache at the place `url`. Redis is connected to by the first read, so that a service
    /// starts without it.
    ///
    /// # Errors
    /// [`Error::Place`].
    pub fn open(url: &str, options: Options) -> Result<Cache, Error> {
        let side = if url == "memory:" {
            Side::Memory(Memory::new(options))
        } else {
            let place = |_| Error::Place;
            Side::Redis {
                aside: LeasedCache::open(url, aside(options)).map_err(place)?,
                coalesced: Box::new(CoalescingCache::open(url, coalesced(options)).map_err(place)?),
            }
        };
        Ok(Cache { side: Arc::new(side) })
    }

    /// The document at `key`: a copy, or what `load` gives, of which a copy is left behind.
    ///
    /// # Errors
    /// That of the load: this reader's own, or that of the one it waited for.
    pub async fn get<E: Send + Sync + 'static>(
        &self,
        protection: Protection,
        key: &str,
        load: impl Future<Output = Result<Box<RawValue>, E>> + Send + 'static,
    ) -> Result<Bytes, Arc<E>> {
        let document = match &*self.side {
            Side::Memory(memory) => return memory.get(protection, key, load).await,
            Side::Redis { aside, coalesced } => match protection {
                Protection::Aside => {
                    aside.get(&name(protection, key), load).await.map_err(|error| match error {
                        cache_aside::Error::Load(error) => Arc::new(error),
                        // Its contract: it asks the database instead.
                        cache_aside::Error::Redis(_) => unreachable!("reads outlive Redis"),
                    })
                }
                Protection::Coalesced => {
                    coalesced.get(&name(protection, key), load).await.map_err(|error| match error {
                        stampede::Error::Load(error) => error,
                        stampede::Error::Redis(_) => unreachable!("reads outlive Redis"),
                    })
                }
            },
        };
        document.map(text)
    }

    /// Forgets what stands at `key`. To be called after the database's commit and before anybody
    /// is told of it.
    ///
    /// # Errors
    /// [`Error::Redis`]: the old copy may be read until its end.
    pub async fn invalidate(&self, key: &str) -> Result<(), Error> {
        match &*self.side {
            Side::Memory(memory) => memory.invalidate(key),
            // The switch may have been set differently before, here or in another process.
            Side::Redis { aside, coalesced } => {
                aside.invalidate(&name(Protection::Aside, key)).await?;
                coalesced.invalidate(&name(Protection::Coalesced, key)).await?;
            }
        }
        Ok(())
    }
}

fn text(document: Box<RawValue>) -> Bytes {
    Bytes::from(String::from(Box::<str>::from(document)))
}

/// The two patterns store in forms of their own, so each has keys of its own.
fn name(protection: Protection, key: &str) -> String {
    match protection {
        Protection::Aside => format!("shop:aside:{key}"),
        Protection::Coalesced => format!("shop:coalesced:{key}"),
    }
}

fn aside(options: Options) -> cache_aside::Options {
    let Options { ttl, lease, timeout, .. } = options;
    cache_aside::Options { ttl, lease, timeout, ..Default::default() }
}

fn coalesced(options: Options) -> stampede::Options {
    let Options { ttl, lease, timeout, .. } = options;
    // Nothing stale, as on the other side: a price that was changed is not shown again.
    let stale = Duration::ZERO;
    stampede::Options { ttl, stale, scope: Scope::Fleet, lease, timeout, ..Default::default() }
}
