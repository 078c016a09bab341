//! What every service is made of, so that each holds only what it is about.
//!
//! - [`door`]: in which trace a request is answered.
//! - [`serve`]: listening, and stopping without losing what is under way.
//! - [`input`]: what comes in is checked before a handler sees it.
//! - [`failure`]: what goes wrong goes out as a problem, and into the log where it is our fault.
//! - [`token`], [`password`]: who is asking.
//! - [`turns`]: one at a time for each order.
//! - [`health`]: how a service is, and what it leans on.
//! - [`progress`]: how an order comes along, as server-sent events.
//! - [`tempo`]: how fast it is; a fault makes it slow.
//! - [`operate`]: the routes that all services have.

pub mod door;
pub mod failure;
pub mod health;
pub mod input;
pub mod operate;
pub mod password;
pub mod progress;
pub mod serve;
pub mod tempo;
pub mod token;
pub mod turns;

pub use door::Door;
pub use failure::{Answer, Failure};
pub use health::Healthy;
pub use input::{Body, Document, Path, Query};
pub use serve::{Closing, Running, Stop, complete, here, listen, serve, serve_locally};
