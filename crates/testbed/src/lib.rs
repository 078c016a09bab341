//! Real servers, faults on the wire, and load: what the lessons are tried against.
//!
//! - [`server`] is how a server is found or started, and why it never outlives its owner.
//! - [`redis`] is a Redis of one's own, with the faults that a server can play by itself.
//! - [`postgres`] is a PostgreSQL of one's own in the same way, or a database of a shared one.
//! - [`rabbitmq`] is a RabbitMQ virtual host of one's own, or a whole broker.
//! - [`place`] is a place for one test's database, on SQLite or PostgreSQL.
//! - [`process`] stops a process and wakes it again, whoever has started it.
//! - [`proxy`] stands between a client and its Redis and makes the faults happen: it holds a
//!   request until another has overtaken it, drops a request or only its reply, stalls, refuses.
//! - [`together()`] does many things at once, for what must happen once.
//! - [`gate`] is the barrier that makes two clients meet where they would break each other.
//! - [`origin`] is the database behind a cache, with a counter at its door.
//! - [`ratios`] times two operations in turns, for benchmarks whose figures travel.
//! - [`load`] sends seeded requests at a constant rate, and measures them honestly.

pub mod gate;
pub mod load;
pub mod origin;
pub mod place;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod rabbitmq;
pub mod ratios;
pub mod redis;
pub mod server;
mod together;

pub use server::missing::Missing;
pub use together::together;
