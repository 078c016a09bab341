//! The bus port: events kept durably until they are acknowledged.
//!
//! A service that has something to say [publishes](Bus::publish) an [`Event`] and does not know who
//! listens. A service that listens [subscribes](Bus::subscribe) a queue of its own, and every event
//! whose type matches one of the queue's bindings is copied into it. The copy stays there until a
//! consumer has answered for it.
//!
//! ```text
//!                               order.*.v1    +--------------------+     consumer
//!   publish(order.placed.v1) --------+------->| queue "inventory"  |---> consumer   one of them
//!                                    |        +--------------------+
//!                                    |                 | rejected, or delivered too often
//!                                    |                 v
//!                                    |        +--------------------+
//!                                    |        | "inventory.dlq"    |---> dead_letters, redrive
//!                                    |        +--------------------+
//!                                    #        +--------------------+
//!                                    +------->| queue "audit"      |---> consumer
//!                                             +--------------------+
//! ```
//!
//! The trait asks for what AMQP 0-9-1 with RabbitMQ's quorum queues can do, and for nothing else,
//! so that both sides can be held to one suite of tests:
//!
//! | here | RabbitMQ |
//! | --- | --- |
//! | [`Bus::publish`] returned `Ok` | a persistent message, and the publisher confirm has come |
//! | [`Subscription::prefetch`] | `basic.qos` |
//! | [`Delivery::ack`] | `basic.ack` |
//! | [`Delivery::requeue`] | `basic.reject` with `requeue`; from 4.3 on, `basic.nack` would not count |
//! | [`Delivery::reject`] | `basic.reject` without, into the queue's dead-letter exchange |
//! | [`Delivery::attempt`] | the header `x-delivery-count`, and one |
//! | [`Subscription::deliveries`] | `x-delivery-limit`, and one |
//! | [`DeadLetter`] | the header `x-death` |
//! | [`Bus::depth`] | the `message-count` of a passive `queue.declare` |
//!
//! There are two sides: [`Embedded`], in this process and on SQLite, and [`Rabbitmq`].
//!
//! # What a consumer has to live with
//!
//! **At least once.** An acknowledgement can be lost, a consumer can die between its work and the
//! acknowledgement. So every event may come again, and [`Event::id`] tells that it does.
//!
//! **In order, once.** First deliveries of a queue are in the order of publishing. With several
//! consumers, or after a redelivery, that says nothing about the order in which work is finished.

mod delivery;
mod embedded;
mod error;
mod rabbitmq;
mod subscription;
mod topic;

use std::pin::Pin;

pub use delivery::{DeadLetter, Delivery, Reason};
pub use embedded::Embedded;
pub use error::Error;
pub use rabbitmq::Rabbitmq;
pub use shop_contracts::event::Event;
pub use subscription::Subscription;

/// What an operation of the port comes to. Boxed, so that a service can hold an `Arc<dyn Bus>` and
/// not know the side; beside a write to a disk, the box costs nothing.
pub type Soon<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A topic exchange with durable queues.
pub trait Bus: Send + Sync {
    /// Puts an event into every queue that has a binding for its type.
    ///
    /// When it returns `Ok`, the event is in all of them and outlives this process. An event for
    /// which there is no queue is gone: **declare queues before those who publish start.**
    ///
    /// # Errors
    /// It is in none of them, or in all of them and nobody knows: publish the same event again, and
    /// let consumers look at its id. The same holds for a future that is dropped. Never is it in
    /// some queues and not in others.
    fn publish<'a>(&'a self, event: &'a Event) -> Soon<'a, ()>;

    /// Declares a queue, its bindings and its dead-letter queue, and consumes from it.
    ///
    /// A queue stays, with what is in it, when nobody consumes from it. Declaring it again adds
    /// the bindings that are new and takes none away.
    ///
    /// # Errors
    /// [`Error`]. The queue may have been declared. [`Error::Defect`] where it is there already with
    /// another number of deliveries: a queue keeps what it was declared with.
    fn subscribe<'a>(&'a self, subscription: Subscription<'a>) -> Soon<'a, Box<dyn Consumer>>;

    /// What lies in a queue's dead-letter queue, the oldest first: a message may arrive there a moment
    /// after it has left its queue. It stays there. Two who look at the
    /// same time in two processes may each see a part.
    ///
    /// # Errors
    /// [`Error`].
    fn dead_letters<'a>(&'a self, queue: &'a str) -> Soon<'a, Vec<DeadLetter>>;

    /// Puts everything from a queue's dead-letter queue back into the queue, in its order, as if it
    /// had never been delivered. Says how many there were. Where they stand among those that wait
    /// already is not promised.
    ///
    /// # Errors
    /// [`Error`]: it is not known how many were moved. None is lost, and one may be in both queues: its
    /// consumer knows it by its id.
    fn redrive<'a>(&'a self, queue: &'a str) -> Soon<'a, u64>;

    /// How many messages of a queue are in nobody's hands: the backlog that its consumers have not
    /// even looked at. What RabbitMQ has pushed to a consumer, up to its prefetch, is in its hands.
    /// Of the queue's dead letters where it is asked for `<queue>.dlq`; 0 where there is no such queue.
    ///
    /// # Errors
    /// [`Error`].
    fn depth<'a>(&'a self, queue: &'a str) -> Soon<'a, u64>;
}

/// One consumer of a queue.
///
/// When it is dropped, and every [`Delivery`] that it gave out is answered or dropped as well,
/// whatever it had not acknowledged is free for the others. When its process dies, `kill -9`
/// included, likewise.
pub trait Consumer: Send {
    /// The next message; waits until there is one, and until fewer than the prefetch are
    /// unanswered.
    ///
    /// May be dropped at any time, as in a timeout or a `select!`: nothing is lost by it, and the
    /// next call goes on where it was.
    ///
    /// # Errors
    /// [`Error`]. Ask again; where the bus is out of reach, after a while.
    fn next(&mut self) -> Soon<'_, Delivery>;
}
