//! Caching on Redis: a second copy of the truth, and how to keep it honest.
//!
//! A tour, one lesson a module:
//!
//! - [`cache_aside`] (01.2): ask the cache, then the database, then leave a copy behind, in such a
//!   way that no slow reader puts an old value back after a write, and that losing Redis costs
//!   speed and nothing else.
//! - [`stampede`] (01.5): when the hottest key expires, one caller loads and the others wait, in
//!   one process and across all of them.
//!
//! What both stand on:
//!
//! - [`lease`]: the promise at a key that lets exactly one load fill it, and no late one.
//! - [`single_flight`]: callers in one process share one load, and survive its leader.
//! - [`early`]: when to refresh before the end, without asking anybody.
//! - [`metrics`]: hits, misses, loads, latency.

pub use connection;

pub mod cache_aside;
pub mod early;
pub mod lease;
pub mod metrics;
pub mod single_flight;
pub mod stampede;

/// What can be cached: anything that serde can write and read back.
pub trait Value: serde::Serialize + serde::de::DeserializeOwned + Send + Sync + 'static {}

impl<T: serde::Serialize + serde::de::DeserializeOwned + Send + Sync + 'static> Value for T {}
