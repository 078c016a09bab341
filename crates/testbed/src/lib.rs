//! Real servers, faults on the wire, and load: what the lessons are tried against.
//!
//! - [`proxy`] stands between a client and its Redis and makes the faults happen: it holds a
//!   request until another has overtaken it, drops a request or only its reply, stalls, refuses.
//! - [`gate`] is the barrier that makes two clients meet where they would break each other.
//! - [`origin`] is the database behind a cache, with a counter at its door.

pub mod gate;
pub mod origin;
pub mod proxy;
