//! Rate limiting on Redis: who may spend how much, decided in one round trip.
//!
//! A tour, one lesson a module:
//!
//! - [`token_bucket`] (03.4): a burst at once, and then a rate, of which no fraction is lost.
//! - [`gcra`] (03.6): the same in one number, in Redis for all processes or in memory for one.
//! - [`http_limits`] (03.7): a tower layer that asks a limiter, and tells HTTP what it said.
//!
//! What both stand on:
//!
//! - [`limiter`]: what every limiter here promises.
//! - [`metrics`]: what was allowed and refused, and how often blindly.
//! - [`connection`]: a connection that fails fast and comes back.

pub use ::connection;

pub mod gcra;
pub mod http_limits;
pub mod limiter;
pub mod metrics;
mod script;
pub mod token_bucket;
