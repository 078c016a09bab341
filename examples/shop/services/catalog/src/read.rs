//! One product, through the cache: where the switch `pattern.cache` is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::{RawValue, to_raw_value};
use shop_cache::Protection;
use shop_contracts::id::ProductId;
use shop_contracts::{Kind, Problem};
use shop_flags::{FaultCache, FaultCatalogDb, PatternCache};
use shop_service::Failure;

use crate::{Cached, Catalog, store};

/// What the fault `fault.catalog_db` adds to a read.
const SLOW: Duration = Duration::from_millis(200);

impl Catalog {
    /// The product, as the JSON that is answered.
    pub(crate) async fn product(self: &Arc<Self>, id: ProductId) -> Result<Bytes, Failure> {
        // ANCHOR: switch
        let protection = match self.flags.get::<PatternCache>() {
            PatternCache::Off => None,
            PatternCache::CacheAside => Some(Protection::Aside),
            PatternCache::Stampede => Some(Protection::Coalesced),
        };
        let own = Arc::new(AtomicBool::new(false));
        let load = Arc::clone(self).load(id, Arc::clone(&own));
        let document = match (protection, self.flags.get::<FaultCache>()) {
            // A cache that is down is as good as none: the database answers.
            (None, _) | (_, FaultCache::Down) => load.await.map_err(Arc::new).map(text),
            (Some(protection), FaultCache::Off) => {
                let read = self.cache.get(protection, &key(id), load).await;
                self.cached.count(own.load(Ordering::Relaxed));
                read
            }
        };
        // ANCHOR_END: switch
        document.map_err(Arc::unwrap_or_clone)
    }

    /// What the database says. `own` tells its reader that it was asked on their behalf.
    async fn load(
        self: Arc<Self>,
        id: ProductId,
        own: Arc<AtomicBool>,
    ) -> Result<Box<RawValue>, Failure> {
        own.store(true, Ordering::Relaxed);
        self.loads.fetch_add(1, Ordering::Relaxed);
        if self.flags.get::<FaultCatalogDb>() == FaultCatalogDb::Slow {
            tokio::time::sleep(SLOW).await;
        }
        match store::product(&self.database, id).await? {
            Some(product) => to_raw_value(&product).map_err(|_| Problem::internal().into()),
            None => Err(Failure::new(Kind::NotFound, format!("there is no product {id}"))),
        }
    }

    /// Makes the cache forget a product that has changed. To be called after the commit.
    ///
    /// The change stands, whatever becomes of this: a cache that cannot be told may show the old
    /// product until its copy ends, [`shop_cache::Options::ttl`] later.
    pub(crate) async fn forget(&self, id: ProductId) {
        for attempt in 1..=3 {
            match self.cache.invalidate(&key(id)).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%id, attempt, %error, "an old copy may be shown"),
            }
        }
    }
}

impl Cached {
    fn count(&self, loaded: bool) {
        let counter = if loaded { &self.misses } else { &self.hits };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn key(id: ProductId) -> String {
    format!("product:{id}")
}

fn text(document: Box<RawValue>) -> Bytes {
    Bytes::from(String::from(Box::<str>::from(document)))
}
