//! Distributed locks on Redis and PostgreSQL, and the ways to need none.
//!
//! A tour, one lesson a module:
//!
//! - [`lease`] (02.2): a lock that ends by itself, and what it does not promise.
//! - [`fencing`] (02.4): a resource that refuses who is late.

pub mod fencing;
pub mod lease;
