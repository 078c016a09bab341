//! 05.4 · Publisher confirms.
//!
//! To write into a socket is no success. The broker may die before it reads, or before it writes to
//! its disk; a message that no queue wants is dropped without a word. A channel in confirm mode
//! answers each publish when the message is safe, and `mandatory` has the broker send back what it
//! cannot route.
//!
//! - [`Publisher`] is the contract. [`Confirmed`] is the reference.
//! - `line` has the channel and knows what is on its way there. It also finds out which message was
//!   sent back, which is harder than it looks.
//!
//! Sources: RabbitMQ, [Consumer Acknowledgements and Publisher
//! Confirms](https://www.rabbitmq.com/docs/confirms), [Publishers](https://www.rabbitmq.com/docs/publishers)
//! on unroutable messages.

mod line;

use crate::broker::{self, Broker};
use crate::{Error, Message};
use line::{Letter, Line, Order};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, oneshot};

/// The contract: a publisher whose `Ok` means that the message is safe.
///
/// It is for many callers at once. They share a channel or a few, which stay open, and may leave at
/// any moment: also while they connect.
pub trait Publisher: Send + Sync + Sized + 'static {
    /// A publisher to the broker at `url`. Connects at the first call.
    ///
    /// # Errors
    /// Only for a `url` that cannot be read.
    fn open(url: &str, options: Options) -> Result<Self, Error>;

    /// Publishes to `exchange` under the message's key, and waits until the broker has confirmed
    /// that it lies in every queue that wants it. It is published once, whatever becomes of it: whether
    /// to do so again is for the caller to say, who has the id. Then it is asked anew; what became of
    /// the same message before says nothing.
    ///
    /// # Errors
    /// [`NotConfirmed`].
    fn publish(
        &self,
        exchange: &str,
        message: &Message,
    ) -> impl Future<Output = Result<(), NotConfirmed>> + Send;

    /// Publishes all of them in their order, without waiting for one before the next is sent. What
    /// became of each, in the same order: also where the connection is lost in the middle of it, or a
    /// confirm does not come, what had been confirmed is known.
    fn publish_all(
        &self,
        exchange: &str,
        messages: &[Message],
    ) -> impl Future<Output = Vec<Result<(), NotConfirmed>>> + Send;
}

/// How a publisher behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long to wait for connecting, for room in the window, and for each confirm. A batch as a
    /// whole may take longer.
    pub timeout: Duration,
    /// How many messages may be on their way unconfirmed, of all callers together. As one is
    /// confirmed, there is room for the next. 0 is taken for 1, and `usize::MAX` is no window at all.
    pub window: usize,
}

impl Default for Options {
    /// Some hundred keep a broker busy; what is unconfirmed lies in memory on both sides.
    fn default() -> Options {
        Options { timeout: Duration::from_secs(5), window: 256 }
    }
}

/// Why a message may not be where it should be.
#[derive(Debug, thiserror::Error)]
pub enum NotConfirmed {
    /// No queue wants it: the broker gave it back. It is nowhere.
    #[error("no queue wants `{key}`")]
    Unroutable {
        /// The routing key.
        key: String,
    },
    /// The broker could not keep it: a queue is full, or a disk. It may be in some of the queues.
    #[error("the broker refused it")]
    Refused,
    /// Nobody knows: the answer did not come. Publish the same message again, with the same id.
    #[error("it is not known whether it was published: {0}")]
    Unknown(#[from] Error),
}

/// The reference: one channel for all callers, opened at the first call and again after it was lost.
///
/// When a message is not confirmed in time, the channel and its connection are given up, as nobody
/// knows any more what is on them: all that is on its way there is [`NotConfirmed::Unknown`]. The
/// next call has a new one. Nothing is published twice unless a caller does so.
///
/// A caller who is dropped takes nothing along: what was sent is sent, and its room in the window
/// is free when it is confirmed or given up.
///
/// # Panics
/// As lapin does, where an exchange, a key or an id is longer than AMQP's 255 bytes.
pub struct Confirmed {
    broker: Broker,
    options: Options,
    window: Arc<Semaphore>,
    line: Mutex<Option<Line>>,
}

// ANCHOR: publish
impl Publisher for Confirmed {
    fn open(url: &str, options: Options) -> Result<Confirmed, Error> {
        let name = "publisher".to_owned();
        let connection =
            broker::Options { name, timeout: options.timeout, ..broker::Options::default() };
        Ok(Confirmed::on(Broker::open(url, connection)?, options))
    }

    async fn publish(&self, exchange: &str, message: &Message) -> Result<(), NotConfirmed> {
        told(self.send(exchange, message).await?).await
    }

    async fn publish_all(
        &self,
        exchange: &str,
        messages: &[Message],
    ) -> Vec<Result<(), NotConfirmed>> {
        let mut sent = Vec::with_capacity(messages.len());
        let mut nobody_there = None;
        for message in messages {
            match self.send(exchange, message).await {
                Ok(answer) => sent.push(answer),
                // The others would each wait for as long, and for nothing.
                Err(error) => {
                    nobody_there = Some(error);
                    break;
                }
            }
        }
        let mut became = Vec::with_capacity(messages.len());
        for answer in sent {
            became.push(told(answer).await);
        }
        if let Some(error) = nobody_there {
            became.resize_with(messages.len(), || Err(error.clone().into()));
        }
        became
    }
}

type Answer = oneshot::Receiver<Result<(), NotConfirmed>>;

impl Confirmed {
    /// Puts the message on the wire when there is room in the window.
    async fn send(&self, exchange: &str, message: &Message) -> Result<Answer, Error> {
        let letter = Arc::new(Letter::new(exchange, message));
        let timeout = self.options.timeout;
        let room = tokio::time::timeout(timeout, Arc::clone(&self.window).acquire_owned()).await;
        let room = room.map_err(|_| Error::Slow(timeout))?.expect("nobody closes it");
        let (tell, answer) = oneshot::channel();
        // Written down under the lock, so that those who come one after the other are sent so.
        let mut line = tokio::time::timeout(timeout, self.line.lock())
            .await
            .map_err(|_| Error::Slow(timeout))?;
        if !line.as_ref().is_some_and(Line::is_up) {
            *line = None;
            *line = Some(Line::open(&self.broker).await?);
        }
        if let Some(line) = line.as_ref() {
            line.take(Order { letter, tell, room });
        }
        Ok(answer)
    }
}
// ANCHOR_END: publish

impl Confirmed {
    /// A publisher on a connection that there is already. Not one on which somebody consumes: see
    /// [`Broker`].
    pub fn on(broker: Broker, options: Options) -> Confirmed {
        let window = Arc::new(Semaphore::new(options.window.clamp(1, Semaphore::MAX_PERMITS)));
        Confirmed { broker, options, window, line: Mutex::default() }
    }
}

/// What became of it. A line that ends without a word has been lost.
async fn told(answer: Answer) -> Result<(), NotConfirmed> {
    answer.await.unwrap_or_else(|_| Err(NotConfirmed::Unknown(line::lost())))
}
