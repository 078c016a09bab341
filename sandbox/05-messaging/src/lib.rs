//! Messages on RabbitMQ that are neither lost nor done twice.
//!
//! A tour, one lesson a module:
//!
//! - [`publish_consume`] (05.1): exchange, queue, binding, and an acknowledgement after the work.
//! - [`confirms`] (05.4): a publish that has succeeded is on the broker's disk, and in a queue.
//! - [`dead_letters`] (05.5): what cannot be dealt with is put aside with its reason.
//! - [`idempotent_consumer`] (05.6): a message that comes twice has one effect.
//!
//! Below them lies what they share: a [`Broker`], which is a connection that comes back, a
//! [`Topology`] to declare, the [`Message`], and the [`Event`] that it may carry.

pub mod broker;
pub mod confirms;
pub mod dead_letters;
mod error;
pub mod event;
pub mod idempotent_consumer;
mod message;
pub mod publish_consume;
pub mod topology;

pub use broker::Broker;
pub use error::Error;
pub use event::Event;
/// The client, for those who declare, publish and consume by hand.
pub use lapin;
pub use message::Message;
pub use topology::{Queue, Topology};
