//! The RabbitMQ side: a topic exchange, and quorum queues behind it.
//!
//! # What is declared
//!
//! The exchange `shop.events` by whoever publishes or subscribes first, a queue and its `.dlq` by
//! whoever subscribes. All of it is durable, and what is there already is left as it is: nobody has
//! to be started first.
//!
//! # After a loss
//!
//! There are two connections, one for publishing and one for consuming: see [`Broker`]. Whoever
//! finds theirs broken says [`Error::Unavailable`], and begins anew at the next call: with the
//! declarations, the prefetch, the subscription. What a consumer held is free for others by then,
//! and an answer to it is [`Error::Lost`].
//!
//! # What RabbitMQ counts
//!
//! It pushes messages to a consumer up to its prefetch, so a message may lie in this process before
//! anybody asks for it. If the consumer goes then, the attempt counts all the same. A dropped
//! consumer says goodbye behind its owner's back; this handle does nothing else before that is done.

mod consumer;
mod dead;
mod depth;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use messaging::broker::Options;
use messaging::confirms::{self, Confirmed, NotConfirmed, Publisher};
use messaging::{Broker, Message, Queue, Topology};
use shop_contracts::event::{EXCHANGE, Event, MEDIA_TYPE};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::oneshot;

use crate::{Bus, Consumer, DeadLetter, Error, Soon, Subscription};
use consumer::Subscribed;

/// Something that a destructor could not wait for.
type Goodbye = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The bus on a broker. Clones are handles to the same.
#[derive(Clone)]
pub struct Rabbitmq {
    shared: Arc<Shared>,
}

struct Shared {
    publishing: Broker,
    consuming: Broker,
    /// On the first of these.
    publisher: Confirmed,
    /// Whether the exchange is there, as far as is known.
    declared: tokio::sync::Mutex<bool>,
    /// Who looks at dead letters has them in hand: one at a time.
    looker: tokio::sync::Mutex<()>,
    /// What dropped consumers and deliveries have to say to the broker, one after the other.
    leaving: UnboundedSender<Goodbye>,
}

impl Rabbitmq {
    /// The bus on the broker at `url`, as `amqp://user:password@host:port/vhost`, for the program
    /// called `name` in the broker's list of connections. Asks whether it is there. To be called in the
    /// runtime that it is used in: a task there says what destructors cannot.
    ///
    /// # Errors
    /// [`Error::Defect`] for a `url` that cannot be read, [`Error::Unavailable`] where nobody
    /// answers or the login is refused.
    pub async fn open(url: &str, name: &str) -> Result<Rabbitmq, Error> {
        let connection = |what: &str| {
            let name = format!("{name}, {what}");
            Broker::open(url, Options { name, ..Options::default() })
        };
        let (publishing, consuming) = (connection("publishing")?, connection("consuming")?);
        let (leaving, mut goodbyes) = mpsc::unbounded_channel::<Goodbye>();
        // Ends with the last handle. In their order: what a consumer held is put back after it has
        // cancelled, or it would be pushed to it again.
        tokio::spawn(async move {
            while let Some(goodbye) = goodbyes.recv().await {
                goodbye.await;
            }
        });
        let publisher = Confirmed::on(publishing.clone(), confirms::Options::default());
        let shared = Shared {
            publishing,
            consuming,
            publisher,
            declared: tokio::sync::Mutex::default(),
            looker: tokio::sync::Mutex::default(),
            leaving,
        };
        shared.declare().await?;
        Ok(Rabbitmq { shared: Arc::new(shared) })
    }
}

impl Bus for Rabbitmq {
    fn publish<'a>(&'a self, event: &'a Event) -> Soon<'a, ()> {
        Box::pin(async move {
            let body = serde_json::to_vec(event).map_err(|error| Error::Defect(Box::new(error)))?;
            let mut message = Message::new(event.id, &event.kind, body);
            message.correlation = Some(event.correlation.to_string());
            message.content_type = Some(MEDIA_TYPE.to_owned());
            // In the headers as well: for consumers who are not ours, and read no event.
            let trace = [("traceparent", &event.trace.parent), ("tracestate", &event.trace.state)];
            for (name, value) in trace {
                message.headers.extend(value.clone().map(|value| (name.to_owned(), value)));
            }
            self.shared.goodbyes().await;
            self.shared.declare().await?;
            match self.shared.send(EXCHANGE, &message).await {
                // One that no queue wants is gone: as the port has it.
                Err(NotConfirmed::Unroutable { .. }) => Ok(()),
                sent => Ok(sent?),
            }
        })
    }

    fn subscribe<'a>(&'a self, subscription: Subscription<'a>) -> Soon<'a, Box<dyn Consumer>> {
        Box::pin(async move {
            self.shared.goodbyes().await;
            let topology = Topology {
                exchange: EXCHANGE.to_owned(),
                queues: vec![Queue {
                    deliveries: subscription.deliveries,
                    ..Queue::new(subscription.queue, subscription.bindings)
                }],
            };
            let shared = Arc::clone(&self.shared);
            let consumer = Subscribed::open(shared, topology, subscription.prefetch).await?;
            Ok(Box::new(consumer) as Box<dyn Consumer>)
        })
    }

    fn dead_letters<'a>(&'a self, queue: &'a str) -> Soon<'a, Vec<DeadLetter>> {
        Box::pin(async move { self.shared.dead_letters(queue).await })
    }

    fn redrive<'a>(&'a self, queue: &'a str) -> Soon<'a, u64> {
        Box::pin(async move { self.shared.redrive(queue).await })
    }

    fn depth<'a>(&'a self, queue: &'a str) -> Soon<'a, u64> {
        Box::pin(async move { self.shared.depth(queue).await })
    }
}

impl Shared {
    /// Publishes, and waits for the confirm.
    async fn send(&self, exchange: &str, message: &Message) -> Result<(), NotConfirmed> {
        let sent = self.publisher.publish(exchange, message).await;
        if matches!(sent, Err(NotConfirmed::Unknown(_))) {
            // Whatever it was that was lost, the exchange may be lost with it.
            *self.declared.lock().await = false;
        }
        sent
    }

    /// Declares the exchange, unless it is known to be there.
    async fn declare(&self) -> Result<(), Error> {
        let mut declared = self.declared.lock().await;
        if !*declared {
            let channel = self.publishing.channel().await?;
            let topology = Topology { exchange: EXCHANGE.to_owned(), queues: Vec::new() };
            self.publishing.answer(topology.declare(&channel)).await?;
            *declared = true;
        }
        Ok(())
    }

    /// Leaves it to the task that can wait.
    fn leave(&self, goodbye: impl Future<Output = ()> + Send + 'static) {
        // Without its runtime there is nobody who could say it; the broker notices by itself.
        let _ = self.leaving.send(Box::pin(goodbye));
    }

    /// Waits until all has been said that was left to be said.
    async fn goodbyes(&self) {
        let (said, all) = oneshot::channel();
        self.leave(async {
            let _ = said.send(());
        });
        let _ = all.await;
    }
}

impl fmt::Debug for Rabbitmq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rabbitmq").field("at", &self.shared.publishing).finish_non_exhaustive()
    }
}

impl From<NotConfirmed> for Error {
    fn from(why: NotConfirmed) -> Error {
        match why {
            NotConfirmed::Unknown(error) => error.into(),
            NotConfirmed::Refused | NotConfirmed::Unroutable { .. } => {
                Error::Unavailable(Box::new(why))
            }
        }
    }
}

impl From<messaging::Error> for Error {
    fn from(error: messaging::Error) -> Error {
        use messaging::lapin::protocol::{AMQPErrorKind, AMQPSoftError};
        let defect = match &error {
            messaging::Error::Url(_) => true,
            // There is a queue of this name with other properties.
            messaging::Error::Broker(error) => matches!(
                error.kind(),
                messaging::lapin::ErrorKind::ProtocolError(said)
                    if *said.kind() == AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED)
            ),
            messaging::Error::Slow(_) => false,
        };
        let cause = Box::new(error);
        if defect { Error::Defect(cause) } else { Error::Unavailable(cause) }
    }
}
