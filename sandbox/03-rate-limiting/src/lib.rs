//! Rate limiting on Redis: who may spend how much, decided in one round trip.
//!
//! A tour, one lesson a module:
//!
//! - [`limiter`]: what every limiter here promises.
//! - [`http_limits`] (03.7): a tower layer that asks a limiter, and tells HTTP what it said.

pub mod http_limits;
pub mod limiter;
