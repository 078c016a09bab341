//! Distributed locks on Redis and PostgreSQL, and the ways to need none.
//!
//! A tour, one lesson a module:
//!
//! - [`lease`] (02.2): a lock that ends by itself, and what it does not promise.
//! - [`fencing`] (02.4): a resource that refuses who is late.
//! - [`lock_free`] (02.6): nothing oversold and nothing lost, by one atomic step.

pub use connection;

mod backoff;
pub mod fencing;
pub mod lease;
pub mod lock_free;
