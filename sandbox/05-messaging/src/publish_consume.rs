//! 05.1 · Publish and consume.
//!
//! A producer publishes to an exchange; bindings say which queues get a copy; a consumer has what
//! it was sent until it acknowledges. Everything here follows from the last of these. A message
//! whose consumer acknowledged it and then died is gone, so the acknowledgement comes after the
//! work. Then a consumer that dies in between leaves work that is done and not acknowledged, and it
//! is done again: at least once. There is no third way: lesson 05.6 makes the second time harmless.
//!
//! What is not acknowledged comes back by itself when its channel ends. So whoever loses a
//! connection has nothing to save and nothing to say. It begins again as at its start: declare, set
//! the prefetch, subscribe.
//!
//! Sources: RabbitMQ, [Consumer acknowledgements](https://www.rabbitmq.com/docs/confirms) and
//! [Consumers](https://www.rabbitmq.com/docs/consumers).

use crate::confirms::NotConfirmed;
use crate::{Broker, Error, Message, Topology};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

mod crew;
mod pause;
mod sender;
mod subscription;

pub use crate::broker::Options;
pub use pause::Pause;

use crew::Crew;
use sender::Sender;
use subscription::{Over, Subscription};

/// The contract: a way to publish messages and to work them off, which loses none.
pub trait Courier: Send + Sync + Sized + 'static {
    /// A courier at the broker at `url`. Connects when it is first used, so a program starts also
    /// while the broker is away.
    ///
    /// # Errors
    /// Only for a `url` that cannot be read.
    fn open(url: &str, topology: Topology, options: Options) -> Result<Self, Error>;

    /// Publishes to the topology's exchange under the message's key. Declares the topology before,
    /// as no consumer may have been there yet. `Ok` means that the broker has it, in each queue that
    /// wants it. A key that no queue wants may be an error or not.
    ///
    /// # Errors
    /// [`NotConfirmed`]: it is not known to be there. Publish it again, with the same id. In time
    /// also when the broker hangs; and after an error all works again, on a new connection.
    fn publish(&self, message: &Message) -> impl Future<Output = Result<(), NotConfirmed>> + Send;

    /// Works off what comes to `queue`, up to `prefetch` messages at once, until `until` is over.
    ///
    /// A message is acknowledged when `work` has ended well. If it fails, or panics (before there is
    /// a future or while it is polled), the message goes back to the queue at once, and is delivered
    /// again: as often as the queue allows.
    ///
    /// It does not end with its connection. Whatever is lost, the connection, the channel, the
    /// broker, the queue itself, it declares and subscribes again, with pauses that grow while
    /// nobody answers. Work that is under way then goes on; its message is delivered again, perhaps
    /// to this consumer while the first is still at it.
    ///
    /// When `until` is over it begins nothing more: it unsubscribes, gives back what has come and was
    /// not begun, finishes what is under way, acknowledges it, and returns. Work that never ends
    /// holds it up. Dropped instead, it breaks off all work, and its messages go back.
    ///
    /// # Errors
    /// [`Error::Broker`] if the queue, or another of the topology, is there and otherwise (406): no
    /// later attempt would help.
    fn consume<W, F>(
        &self,
        queue: &str,
        prefetch: u16,
        work: W,
        until: impl Future<Output = ()> + Send,
    ) -> impl Future<Output = Result<Drained, Error>> + Send
    where
        W: Fn(Delivered) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Failed>> + Send + 'static;
}

/// A message, as it comes out of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// What was published.
    pub message: Message,
    /// How many-eth delivery this is, from 1. More than 1 means that somebody had it before, and
    /// perhaps did the work: see [`attempt`].
    pub attempt: u32,
}

/// Work that was not done, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failed(pub String);

/// What a consumer did until it was told to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Deliveries that were worked off.
    pub done: u64,
    /// Deliveries whose work failed or panicked.
    pub failed: u64,
}

/// How many-eth delivery this is. A quorum queue counts what came back to it, in a header; a classic
/// queue only says that somebody had the message before.
pub fn attempt(delivery: &lapin::message::Delivery) -> u32 {
    let headers = delivery.properties.headers().as_ref();
    let count = headers.and_then(|headers| headers.inner().get("x-delivery-count"));
    let back =
        count.and_then(|count| count.as_long_long_int().or(count.as_long_int().map(i64::from)));
    let back = back.and_then(|back| u32::try_from(back).ok());
    back.unwrap_or(u32::from(delivery.redelivered)).saturating_add(1)
}

/// The reference.
pub struct RabbitCourier {
    sender: Sender,
    consumers: Broker,
    topology: Arc<Topology>,
}

impl RabbitCourier {
    /// Says goodbye to the broker. Before a program ends, it spares lapin's own thread to be cut off
    /// in the middle of it.
    pub async fn close(&self) {
        self.sender.close().await;
        self.consumers.close().await;
    }
}

impl Courier for RabbitCourier {
    fn open(url: &str, topology: Topology, options: Options) -> Result<RabbitCourier, Error> {
        // A connection for each direction: a broker that is short of memory or disk stops reading
        // from connections that publish, and would hear no acknowledgement there either.
        let connection = |what| {
            let name = format!("{} {what}", options.name);
            Broker::open(url, Options { name, ..options.clone() })
        };
        let topology = Arc::new(topology);
        let sender = Sender::new(connection("publishes")?, Arc::clone(&topology));
        Ok(RabbitCourier { sender, consumers: connection("consumes")?, topology })
    }

    async fn publish(&self, message: &Message) -> Result<(), NotConfirmed> {
        self.sender.publish(message).await
    }

    async fn consume<W, F>(
        &self,
        queue: &str,
        prefetch: u16,
        work: W,
        until: impl Future<Output = ()> + Send,
    ) -> Result<Drained, Error>
    where
        W: Fn(Delivered) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Failed>> + Send + 'static,
    {
        let wanted = Subscription {
            broker: &self.consumers,
            topology: &self.topology,
            queue,
            // In AMQP, 0 means without limit.
            prefetch: prefetch.max(1),
        };
        let mut until = pin!(until);
        let mut crew = Crew::of(work);
        let mut pause = Pause::default();
        // ANCHOR: again
        loop {
            match wanted.serve(&mut crew, &mut pause, until.as_mut()).await {
                Over::Told => break,
                Over::Refused(error) => {
                    crew.ends().await;
                    return Err(error);
                }
                Over::Cancelled => tracing::warn!(queue, "the broker has ended the subscription"),
                Over::Lost(error) => {
                    tracing::warn!(queue, %error, "the consumer has lost its broker");
                }
            }
            tokio::select! {
                biased;
                () = until.as_mut() => break,
                () = pause.next() => {}
            }
        }
        // ANCHOR_END: again
        Ok(crew.ends().await)
    }
}
