//! What both shops have around them: the supplier's list, the payment provider, the mail server.
//!
//! Three companies that are not the shop. The microservices and the monolith meet the same ones,
//! so that a comparison of the two compares their architecture and nothing else.
//!
//! - [`supplier`]: what there is to sell, drawn from a seed;
//! - [`payment`]: takes money, a second at a time, and keeps books of its own;
//! - [`mail`]: delivers mail, two seconds each, and keeps what it delivered.
//!
//! They live in this process and keep their state in memory, behind handles whose clones share it.
//! That is what makes them *outside*: when a transaction of the shop rolls back, or a service is
//! restarted within its process, they have not forgotten what they did. Their trouble is a value,
//! [`Weather`], given with each call: the caller's switches decide, and nothing here reads them.

pub mod mail;
pub mod payment;
pub mod supplier;
mod weather;

pub use weather::{FLAKY_PERCENT, Weather};
