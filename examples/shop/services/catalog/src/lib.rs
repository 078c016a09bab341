//! The catalogue: what is for sale, and at which price. What it answers is listed in
//! [`shop_contracts::catalog`].
//!
//! A product's page is read a thousand times for each time that it changes, so it is the first
//! tenant of the cache: `read` is where `pattern.cache` is decided. Lists, searches and quotes
//! are not cached: a quote must be right, and a list has too many forms to be asked for twice.
//!
//! - `read`: one product, through the cache.
//! - `store`: the SQL.
//! - `routes`: HTTP.

mod read;
mod routes;
mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use shop_cache::Cache;
use shop_contracts::catalog::Counters;
use shop_flags::Flags;
use shop_service::health::{self, Dependency};
use shop_storage::{Database, Error, Migration, Options};

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    description: "products",
    sql: include_str!("../migrations/0001_products.sql"),
}];

/// The catalogue. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Catalog {
    database: Database,
    cache: Cache,
    flags: Flags,
    loads: Arc<AtomicU64>,
    cached: Arc<Cached>,
}

/// What came of the reads that went through the cache.
#[derive(Debug, Default)]
pub(crate) struct Cached {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
}

impl Catalog {
    /// The catalogue with its database at the place `storage`, read through `cache`.
    ///
    /// # Errors
    /// Those of [`Database::open`].
    pub async fn open(storage: &str, cache: Cache, flags: Flags) -> Result<Catalog, Error> {
        let database = Database::open(storage, "catalog", MIGRATIONS, Options::default()).await?;
        Ok(Catalog { database, cache, flags, loads: Arc::default(), cached: Arc::default() })
    }

    /// Its HTTP API.
    pub fn router(&self) -> Router {
        routes::router(Arc::new(self.clone()))
    }

    /// What it leans on.
    pub fn needs(&self) -> Vec<Dependency> {
        vec![health::database(&self.database)]
    }

    /// Its database, for those who look how full it is.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// How often its database was read, and how often for one product.
    pub fn counted(&self) -> (u64, u64) {
        (self.database.reads(), self.loads.load(Ordering::Relaxed))
    }

    /// Reads through the cache that were answered without a load of their own, and with one. Who has
    /// waited for another's load is among the first: the database was not asked for them.
    pub fn cached(&self) -> [(&'static str, u64); 2] {
        let Cached { hits, misses } = &*self.cached;
        [("hit", hits.load(Ordering::Relaxed)), ("miss", misses.load(Ordering::Relaxed))]
    }

    async fn counters(&self) -> Result<Counters, Error> {
        let products = store::count(&self.database).await?;
        Ok(Counters {
            database_reads: self.database.reads(),
            product_loads: self.loads.load(Ordering::Relaxed),
            products,
        })
    }
}
