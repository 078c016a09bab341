//! What a service tells of itself, so that somebody who was not there can find out what happened.
//!
//! A tour, one lesson a module:
//!
//! - [`correlation_ids`] (07.1): every line that is logged for a request carries the request's id,
//!   in every service that works for it.
//! - [`structured_logs`] (07.2): lines that a machine can search, and that give nobody away.
//! - [`spans`] (07.3): one request is one tree of spans; which step took the time, and who waited for
//!   it.
//! - [`propagation`] (07.4): one order is one trace, over HTTP, an outbox and a queue.
//! - [`metrics`] (07.5): how often, how badly, how long, and how full, as Prometheus reads them.
//!
//! And what they share:
//!
//! - [`around`]: a service each call of which goes through something.
//! - [`lines`]: a log of one JSON object a line, or for people on a terminal.
//! - `telemetry`: one set-up for a program, by OpenTelemetry's SDK; a feature of that name.
//!
//! Nothing here sets a global default: a program does that, once, in its `main`.

pub mod around;
pub mod correlation_ids;
pub mod lines;
pub mod metrics;
pub mod propagation;
pub mod spans;
pub mod structured_logs;
#[cfg(feature = "telemetry")]
pub mod telemetry;
