//! 05.5 · Dead letters.
//!
//! A message that cannot be dealt with has three ways to go. Back into the queue, for ever: it comes
//! again at once, and whoever meets it does nothing else. Acknowledged, with a line in a log: it is
//! gone. Or, after as many deliveries as the queue allows, into a queue of its own with the reason
//! written on it, from where somebody sends it back when the fault is mended.
//!
//! The broker can do the last by itself (`basic.reject`, and the delivery limit of quorum queues).
//! But it knows only `rejected` and `delivery_limit`, and not what the consumer knew: why. So here
//! the consumer publishes the letter itself, with the words on it; and **acknowledges the message
//! when that publish is confirmed, and never before.** One that dies in between leaves a letter and
//! a message, of the same id: twice is harmless (lesson 05.6), nowhere is not. The broker's own way
//! stays behind it, for those who cannot speak any more: a message that kills its consumer is
//! dead-lettered by the limit, without words.
//!
//! Sources: RabbitMQ, [Dead letter exchanges](https://www.rabbitmq.com/docs/dlx) and
//! [Quorum queues, poison messages](https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling).

use crate::confirms::NotConfirmed;
use crate::{Broker, Error, Queue, Topology, broker};
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions};
use lapin::types::FieldTable;
use lapin::{Channel, ExchangeKind};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

mod crew;
mod letter;
mod round;
mod sender;
mod subscription;

pub use letter::{DeadLetter, Reason, attempt, closed, opened};
pub use round::Round;

use crate::Message;
use crew::Crew;
use sender::Sender;
use subscription::{Over, subscribe};

/// The contract: a queue whose poison is put aside, with its reason, and can be sent back.
pub trait Ward: Send + Sync + Sized + 'static {
    /// A ward for `queue` behind the topic exchange `exchange`, on the broker at `url`. Connects
    /// when it is first used.
    ///
    /// # Errors
    /// Only for a `url` that cannot be read.
    fn open(url: &str, exchange: &str, queue: Queue, options: Options) -> Result<Self, Error>;

    /// Works off what comes to the queue, up to `options.prefetch` messages at once, until `until`
    /// is over. What becomes of a message is the work's [`Verdict`]. A panic is a
    /// [`Verdict::Again`], before there is a future or while it is polled.
    ///
    /// A message is delivered `queue.deliveries` times at most, those included in which a consumer
    /// died over it. Then, or at once after a [`Verdict::Never`], it lies in the dead-letter queue:
    /// its bytes and its envelope as they were, with the reason. Others go on meanwhile.
    ///
    /// At no step is a message neither in the queue nor in the dead-letter queue. It may be in both,
    /// after something was lost in between.
    ///
    /// It does not end with its connection: it connects and declares again, and goes on. When
    /// `until` is over it begins nothing more, gives back what was not begun and what waits in its
    /// pause, finishes what is under way, and returns.
    ///
    /// # Errors
    /// [`Error::Broker`] if the queue is there and otherwise (406): no later attempt would help.
    fn consume<W, F>(
        &self,
        work: W,
        until: impl Future<Output = ()> + Send,
    ) -> impl Future<Output = Result<Drained, Error>> + Send
    where
        W: Fn(Delivered) -> F + Send + Sync + 'static,
        F: Future<Output = Verdict> + Send + 'static;

    /// What lies in the dead-letter queue, the oldest first, whoever put it there. It stays there,
    /// in its order. Two who look at the same time in two processes may each see a part.
    ///
    /// # Errors
    /// [`Error`], in time.
    fn dead_letters(&self) -> impl Future<Output = Result<Vec<DeadLetter>, Error>> + Send;

    /// Puts those that are `wanted` back into the queue, one by one and in their order, as they were
    /// published: under their own key, without what was written on them, their deliveries counted
    /// from 1. No other queue gets them. Says how many; the others stay. One that dies again
    /// meanwhile is not sent back again.
    ///
    /// # Errors
    /// [`NotConfirmed`], in time: some may have moved. None is lost, and one may be in both queues.
    /// Call it again.
    fn redrive(
        &self,
        wanted: impl Fn(&DeadLetter) -> bool + Send + Sync,
    ) -> impl Future<Output = Result<u64, NotConfirmed>> + Send;
}

/// How a ward behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it is called in the broker's list of connections.
    pub name: String,
    /// How long to wait for each answer of the broker.
    pub timeout: Duration,
    /// How many messages are worked on at once. A process that dies takes an attempt from all that
    /// it had been sent, so those that crash should have a small one.
    pub prefetch: u16,
    /// How long a message that failed is kept before it goes back. Without it, poison comes again
    /// a thousand times a second. Meanwhile it takes one place of the prefetch. Longer pauses, and
    /// such as grow, are lesson 05.7's.
    pub pause: Duration,
}

impl Default for Options {
    fn default() -> Options {
        let (timeout, pause) = (Duration::from_secs(5), Duration::from_millis(200));
        Options { name: "ward".to_owned(), timeout, prefetch: 16, pause }
    }
}

/// A message, as it comes out of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// What was published.
    pub message: Message,
    /// How many-eth delivery this is, from 1: see [`attempt`].
    pub attempt: u32,
}

/// What a consumer says of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The work is done, and its result is safe.
    Done,
    /// It failed, for this reason, and may succeed later.
    Again(String),
    /// It can never succeed, for this reason: the content cannot be read, the order does not exist.
    Never(String),
}

/// What a consumer did until it was told to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Deliveries that were worked off.
    pub done: u64,
    /// Deliveries that failed and went back to the queue.
    pub again: u64,
    /// Deliveries after which the message was put aside.
    pub dead: u64,
}

/// The reference.
pub struct RabbitWard {
    inside: Arc<Inside>,
    /// Who looks at dead letters has them in hand: one at a time.
    looking: Mutex<()>,
}

struct Inside {
    /// Where messages come from, and where dead letters are looked at.
    taking: Broker,
    /// A connection of its own: see [`Broker`].
    sender: Sender,
    place: Arc<Place>,
    options: Options,
}

impl Inside {
    /// Through the dead letters, of a queue that may not be declared yet.
    async fn round(&self) -> Result<Round<'_>, Error> {
        let channel = self.taking.channel().await?;
        self.taking.answer(self.place.declare(&channel)).await?;
        Round::begin(&self.taking, channel, self.place.queue().dead()).await
    }
}

/// The queue, and what belongs to it.
struct Place {
    topology: Topology,
}

impl Place {
    fn queue(&self) -> &Queue {
        &self.topology.queues[0]
    }

    // ANCHOR: back
    /// The way back. Through the first exchange, every other queue would get the message a second
    /// time; through the default one it would come with the queue's name for its key.
    fn back(&self) -> String {
        format!("{}.redrive", self.queue().name)
    }

    async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        self.topology.declare(channel).await?;
        let (back, queue) = (self.back(), self.queue().name.as_str());
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let (to_all, none) = (ExchangeKind::Fanout, FieldTable::default());
        channel.exchange_declare(back.as_str().into(), to_all, durable, none.clone()).await?;
        let options = QueueBindOptions::default();
        channel.queue_bind(queue.into(), back.as_str().into(), "".into(), options, none).await
    }
    // ANCHOR_END: back
}

impl Ward for RabbitWard {
    fn open(
        url: &str,
        exchange: &str,
        queue: Queue,
        options: Options,
    ) -> Result<RabbitWard, Error> {
        let connection = |what| {
            let (name, timeout) = (format!("{} {what}", options.name), options.timeout);
            Broker::open(url, broker::Options { name, timeout, ..broker::Options::default() })
        };
        let topology = Topology { exchange: exchange.to_owned(), queues: vec![queue] };
        let place = Arc::new(Place { topology });
        let sender = Sender::new(connection("buries")?, Arc::clone(&place));
        let inside = Inside { taking: connection("takes")?, sender, place, options };
        Ok(RabbitWard { inside: Arc::new(inside), looking: Mutex::default() })
    }

    async fn consume<W, F>(
        &self,
        work: W,
        until: impl Future<Output = ()> + Send,
    ) -> Result<Drained, Error>
    where
        W: Fn(Delivered) -> F + Send + Sync + 'static,
        F: Future<Output = Verdict> + Send + 'static,
    {
        const LONGEST: Duration = Duration::from_secs(5);
        let mut until = pin!(until);
        let mut crew = Crew::of(Arc::clone(&self.inside), work);
        let mut pause = Duration::from_millis(50);
        loop {
            match subscribe(&self.inside, &mut crew, &mut pause, until.as_mut()).await {
                Over::Told => break,
                Over::Refused(error) => {
                    crew.ends().await;
                    return Err(error);
                }
                Over::Cancelled => tracing::warn!("the broker has ended the subscription"),
                Over::Lost(error) => tracing::warn!(%error, "the consumer has lost its broker"),
            }
            tokio::select! {
                biased;
                () = until.as_mut() => break,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST),
            }
        }
        Ok(crew.ends().await)
    }

    // ANCHOR: look
    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, Error> {
        let looking = self.looking.lock().await;
        let mut round = self.inside.round().await?;
        let mut letters = Vec::new();
        while let Some(got) = round.next().await? {
            letters.push(DeadLetter::read(&got));
        }
        round.end().await?;
        drop(looking);
        Ok(letters)
    }
    // ANCHOR_END: look

    // ANCHOR: redrive
    async fn redrive(
        &self,
        wanted: impl Fn(&DeadLetter) -> bool + Send + Sync,
    ) -> Result<u64, NotConfirmed> {
        let looking = self.looking.lock().await;
        let (back, mut moved) = (self.inside.place.back(), 0);
        let mut round = self.inside.round().await?;
        while let Some(got) = round.next().await? {
            let letter = DeadLetter::read(&got);
            if !wanted(&letter) {
                continue;
            }
            let (key, envelope) = (&letter.message.key, letter::opened(&got));
            // First there, then no longer here: in between it is twice, and never nowhere.
            self.inside.sender.send(&back, key, &got.data, envelope).await?;
            round.took(&got).await?;
            moved += 1;
        }
        round.end().await?;
        drop(looking);
        Ok(moved)
    }
    // ANCHOR_END: redrive
}
