//! What a service tells of itself, so that somebody who was not there can find out what happened.
//!
//! A tour, one lesson a module:
//!
//! - [`correlation_ids`] (07.1): every line that is logged for a request carries the request's id,
//!   in every service that works for it.
//! - [`structured_logs`] (07.2): lines that a machine can search, and that give nobody away.
//!
//! And what they share:
//!
//! - [`lines`]: a log of one JSON object a line, or for people on a terminal.
//!
//! Nothing here sets a global default: a program does that, once, in its `main`.

pub mod correlation_ids;
pub mod lines;
pub mod structured_logs;
