//! What a service tells of itself, so that somebody who was not there can find out what happened.
//!
//! A tour, one lesson a module:
//!
//! - [`correlation_ids`] (07.1): every line that is logged for a request carries the request's id,
//!   in every service that works for it.
//! - [`spans`] (07.3): one request is one tree of spans; which step took the time, and who waited for
//!   it.
//!
//! And what they share:
//!
//! - [`lines`]: a log of one JSON object a line.
//!
//! Nothing here sets a global default: a program does that, once, in its `main`.

pub mod correlation_ids;
pub mod lines;
pub mod spans;
