//! Rate limiting on Redis: who may spend how much, decided in one round trip.
//!
//! A tour, one lesson a module:
//!
//! - [`limiter`]: what every limiter here promises.

pub mod limiter;
