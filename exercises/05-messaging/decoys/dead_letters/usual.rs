//! What most of the wrong answers get right: each changes one thing of it.

use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::*;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, ExchangeKind};
use messaging::confirms::NotConfirmed;
use messaging::dead_letters::{
    DeadLetter, Delivered, Drained, Options, Reason, Verdict, Ward, attempt, closed, opened,
};
use messaging::{Broker, Error, Message, Queue, Topology, broker};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

/// What a failed delivery comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fails {
    /// It goes back after its pause, and is buried at the limit.
    Pauses,
    PausesToTheEnd,
    PausesInTheLoop,
    AtOnce,
    /// It is published anew, behind the others, and acknowledged.
    Republished,
}

/// How a message is put aside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Buries {
    ConfirmedThenAcked,
    AckedThenPublished,
    Unconfirmed,
    Rejected,
    AckedAndLogged,
}

/// How letters are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Looks {
    GivesBack,
    GivesBackAllAtOnce,
    Takes,
    AtFifty,
}

/// How letters are sent back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Redrives {
    ConfirmedThenAcked,
    AckedThenPublished,
    Unconfirmed,
    ReadThenPurged,
    UntilEmpty,
    DropsTheOthers,
}

/// One way to do each step.
pub(super) trait Usual: Send + Sync + 'static {
    const AUTO_ACK: bool = false;
    const FAILS: Fails = Fails::Pauses;
    const BURIES: Buries = Buries::ConfirmedThenAcked;
    /// What fails for the last time is left to the broker.
    const LAST_BY_BROKER: bool = false;
    /// The queue has a limit.
    const LIMITED: bool = true;
    /// Deliveries are counted here.
    const COUNTS: bool = false;
    const CATCHES: bool = true;
    const IN_TIME: bool = true;
    const LOOKS: Looks = Looks::GivesBack;
    const REDRIVES: Redrives = Redrives::ConfirmedThenAcked;

    fn limit(queue: &Queue) -> u32 {
        queue.deliveries
    }

    fn closed(delivery: &Delivery, reason: &Reason, why: &str) -> BasicProperties {
        closed(delivery, reason, why)
    }

    fn opened(letter: &Delivery) -> BasicProperties {
        opened(letter)
    }

    fn read(letter: &Delivery) -> DeadLetter {
        DeadLetter::read(letter)
    }

    fn is_wanted(wanted: bool) -> bool {
        wanted
    }

    /// Exchange and key by which a letter goes back.
    fn way(_exchange: &str, queue: &str, letter: &DeadLetter) -> (String, String) {
        (format!("{queue}.back"), letter.message.key.clone())
    }
}

/// A ward as most people would write it, with one step of `U`.
pub(super) struct Usually<U> {
    inside: Arc<Inside>,
    _step: PhantomData<U>,
}

struct Inside {
    broker: Broker,
    sending: Mutex<Option<Channel>>,
    looking: Mutex<Option<Channel>>,
    topology: Topology,
    options: Options,
    counts: Mutex<HashMap<String, u32>>,
    done: AtomicU64,
    again: AtomicU64,
    dead: AtomicU64,
}

impl Inside {
    fn queue(&self) -> &Queue {
        &self.topology.queues[0]
    }

    async fn in_time<T>(
        &self,
        in_time: bool,
        asked: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, Error> {
        match in_time {
            true => self.broker.answer(asked).await,
            false => Ok(asked.await?),
        }
    }

    async fn declare(&self, channel: &Channel, limited: bool) -> lapin::Result<()> {
        let (name, exchange) = (self.queue().name.as_str(), self.topology.exchange.as_str());
        if limited {
            self.topology.declare(channel).await?;
        } else {
            self.topology.without_queues().declare(channel).await?;
            let mut quorum = FieldTable::default();
            quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
            for queue in [name.to_owned(), self.queue().dead()] {
                let durable = QueueDeclareOptions::durable();
                channel.queue_declare(queue.as_str().into(), durable, quorum.clone()).await?;
            }
            for pattern in &self.queue().bindings {
                let (pattern, none) = (pattern.as_str().into(), FieldTable::default());
                let options = QueueBindOptions::default();
                channel.queue_bind(name.into(), exchange.into(), pattern, options, none).await?;
            }
        }
        let (back, none) = (format!("{name}.back"), FieldTable::default());
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let kind = ExchangeKind::Fanout;
        channel.exchange_declare(back.as_str().into(), kind, durable, none.clone()).await?;
        let options = QueueBindOptions::default();
        channel.queue_bind(name.into(), back.as_str().into(), "".into(), options, none).await
    }

    async fn send(
        &self,
        (exchange, key): (&str, &str),
        body: &[u8],
        envelope: BasicProperties,
        limited: bool,
    ) -> Result<(), NotConfirmed> {
        let mut current = self.sending.lock().await;
        let channel = match current.take().filter(|channel| channel.status().connected()) {
            Some(channel) => channel,
            None => {
                let channel = self.broker.channel().await?;
                self.broker.answer(self.declare(&channel, limited)).await?;
                let confirms = channel.confirm_select(ConfirmSelectOptions::default());
                self.broker.answer(confirms).await?;
                channel
            }
        };
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let sent = channel.basic_publish(exchange.into(), key.into(), options, body, envelope);
        match self.broker.answer(async { sent.await?.await }).await? {
            Confirmation::Ack(None) => {
                *current = Some(channel);
                Ok(())
            }
            Confirmation::Ack(Some(_)) => Err(NotConfirmed::Unroutable { key: key.to_owned() }),
            _ => Err(NotConfirmed::Refused),
        }
    }

    /// Written, and no more is known.
    async fn throw(
        &self,
        (exchange, key): (&str, &str),
        body: &[u8],
        envelope: BasicProperties,
    ) -> Result<(), Error> {
        let channel = self.broker.channel().await?;
        let options = BasicPublishOptions::default();
        let sent = channel.basic_publish(exchange.into(), key.into(), options, body, envelope);
        self.broker.answer(async { sent.await.map(drop) }).await?;
        // Closed, so that the broker has read it.
        self.broker.answer(channel.close(200, "goodbye".into())).await
    }

    async fn carry_out<U: Usual>(
        &self,
        delivery: &Delivery,
        verdict: Verdict,
        mut over: watch::Receiver<bool>,
    ) {
        let attempt = match U::COUNTS {
            true => {
                let mut counts = self.counts.lock().await;
                let id = Message::delivered(delivery).id;
                let count = counts.entry(id).or_default();
                *count += 1;
                *count
            }
            false => attempt(delivery),
        };
        let back = BasicRejectOptions { requeue: true };
        match verdict {
            Verdict::Done => {
                self.done.fetch_add(1, Ordering::SeqCst);
                let _ = delivery.ack(BasicAckOptions::default()).await;
            }
            Verdict::Again(why) if attempt < U::limit(self.queue()) => {
                tracing(&why);
                self.again.fetch_add(1, Ordering::SeqCst);
                match U::FAILS {
                    Fails::Pauses => {
                        let over = over.wait_for(|over| *over);
                        let _ = tokio::time::timeout(self.options.pause, over).await;
                    }
                    Fails::PausesToTheEnd => tokio::time::sleep(self.options.pause).await,
                    // It has paused already.
                    Fails::PausesInTheLoop | Fails::AtOnce => {}
                    Fails::Republished => {
                        let to = ("", self.queue().name.as_str());
                        let envelope = Message::delivered(delivery).properties();
                        let body = &delivery.data;
                        tokio::time::sleep(self.options.pause).await;
                        if self.send(to, body, envelope, U::LIMITED).await.is_ok() {
                            let _ = delivery.ack(BasicAckOptions::default()).await;
                        }
                        return;
                    }
                }
                let _ = delivery.reject(back).await;
            }
            Verdict::Again(_) if U::LAST_BY_BROKER => {
                self.dead.fetch_add(1, Ordering::SeqCst);
                let _ = delivery.reject(back).await;
            }
            Verdict::Again(why) => self.bury::<U>(delivery, &Reason::DeliveryLimit, &why).await,
            Verdict::Never(why) => self.bury::<U>(delivery, &Reason::Rejected, &why).await,
        }
    }

    async fn bury<U: Usual>(&self, delivery: &Delivery, reason: &Reason, why: &str) {
        self.dead.fetch_add(1, Ordering::SeqCst);
        let (dead, envelope) = (self.queue().dead(), U::closed(delivery, reason, why));
        let to = ("", dead.as_str());
        let body = &delivery.data;
        let ack = delivery.ack(BasicAckOptions::default());
        match U::BURIES {
            Buries::ConfirmedThenAcked => {
                for _ in 0..2 {
                    if self.send(to, body, envelope.clone(), U::LIMITED).await.is_ok() {
                        let _ = ack.await;
                        return;
                    }
                }
                let _ = delivery.reject(BasicRejectOptions { requeue: false }).await;
            }
            Buries::AckedThenPublished => {
                let _ = ack.await;
                let _ = self.send(to, body, envelope, U::LIMITED).await;
            }
            Buries::Unconfirmed => {
                if self.throw(to, body, envelope).await.is_ok() {
                    let _ = ack.await;
                }
            }
            Buries::Rejected => {
                tracing(why);
                let _ = delivery.reject(BasicRejectOptions { requeue: false }).await;
            }
            Buries::AckedAndLogged => {
                tracing(why);
                let _ = ack.await;
            }
        }
    }

    /// The letters, which stay in hand.
    async fn letters(
        &self,
        channel: &Channel,
        most: usize,
        no_ack: bool,
        in_time: bool,
    ) -> Result<Vec<Delivery>, Error> {
        let dead = self.queue().dead();
        let mut letters = Vec::new();
        while letters.len() < most {
            let options = BasicGetOptions { no_ack };
            let got = channel.basic_get(dead.as_str().into(), options);
            match self.in_time(in_time, got).await? {
                Some(got) => letters.push(got.delivery),
                None => break,
            }
        }
        Ok(letters)
    }

    /// A channel to look with: a new one, or always the same.
    async fn looks(&self, in_time: bool) -> Result<Channel, Error> {
        if in_time {
            return self.broker.channel().await;
        }
        let mut current = self.looking.lock().await;
        match current.as_ref().filter(|channel| channel.status().connected()) {
            Some(channel) => Ok(channel.clone()),
            None => Ok(current.insert(self.broker.channel().await?).clone()),
        }
    }

    /// Gives back what is in hand, and waits until the broker has heard it.
    async fn settle(&self, channel: &Channel, in_time: bool) -> Result<(), Error> {
        let dead = self.queue().dead();
        let said = async {
            let all = BasicNackOptions { multiple: true, requeue: true };
            channel.basic_nack(0, all).await?;
            let look = QueueDeclareOptions { passive: true, ..Default::default() };
            let none = FieldTable::default();
            channel.queue_declare(dead.as_str().into(), look, none).await.map(drop)
        };
        self.in_time(in_time, said).await
    }
}

fn tracing(why: &str) {
    // Where a log would be.
    let _ = why;
}

trait WithoutQueues {
    fn without_queues(&self) -> Topology;
}

impl WithoutQueues for Topology {
    fn without_queues(&self) -> Topology {
        Topology { exchange: self.exchange.clone(), queues: Vec::new() }
    }
}

impl<U: Usual> Ward for Usually<U> {
    fn open(url: &str, exchange: &str, queue: Queue, options: Options) -> Result<Self, Error> {
        let connection = broker::Options { timeout: options.timeout, ..Default::default() };
        let broker = Broker::open(url, connection)?;
        let topology = Topology { exchange: exchange.to_owned(), queues: vec![queue] };
        let (sending, looking, counts) = Default::default();
        let (done, again, dead) = Default::default();
        let inside =
            Inside { broker, sending, looking, topology, options, counts, done, again, dead };
        Ok(Usually { inside: Arc::new(inside), _step: PhantomData })
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
        let (inside, work) = (&self.inside, Arc::new(work));
        let mut until = pin!(until);
        let over = watch::Sender::new(false);
        let mut crew = JoinSet::new();
        'connection: loop {
            let begun = async {
                let channel = inside.broker.channel().await?;
                let subscribed = async {
                    inside.declare(&channel, U::LIMITED).await?;
                    let prefetch = inside.options.prefetch;
                    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
                    let options = BasicConsumeOptions { no_ack: U::AUTO_ACK, ..Default::default() };
                    let (name, none) = (inside.queue().name.as_str(), FieldTable::default());
                    channel.basic_consume(name.into(), "".into(), options, none).await
                };
                let deliveries = inside.broker.answer(subscribed).await?;
                Ok::<_, Error>((channel, deliveries))
            };
            let Ok((channel, mut deliveries)) = begun.await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            loop {
                let delivery = tokio::select! {
                    biased;
                    () = until.as_mut() => break 'connection,
                    delivery = deliveries.next() => delivery,
                };
                let Some(Ok(delivery)) = delivery else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue 'connection;
                };
                let (message, attempt) = (Message::delivered(&delivery), attempt(&delivery));
                let (work, inside) = (Arc::clone(&work), Arc::clone(inside));
                let told = over.subscribe();
                if U::FAILS == Fails::PausesInTheLoop {
                    let verdict = work(Delivered { message, attempt }).await;
                    if matches!(verdict, Verdict::Again(_)) {
                        let _ = tokio::time::timeout(inside.options.pause, until.as_mut()).await;
                    }
                    inside.carry_out::<U>(&delivery, verdict, told).await;
                    continue;
                }
                let keep = channel.clone();
                crew.spawn(async move {
                    let verdict = work(Delivered { message, attempt });
                    let verdict = match U::CATCHES {
                        true => {
                            let caught = AssertUnwindSafe(verdict).catch_unwind().await;
                            caught.unwrap_or_else(|_| Verdict::Again("a panic".to_owned()))
                        }
                        false => verdict.await,
                    };
                    if !U::AUTO_ACK {
                        inside.carry_out::<U>(&delivery, verdict, told).await;
                    }
                    drop(keep);
                });
            }
        }
        over.send_replace(true);
        while crew.join_next().await.is_some() {}
        // What was not begun goes back with the connection.
        inside.broker.close().await;
        let count = |of: &AtomicU64| of.load(Ordering::SeqCst);
        let (done, again) = (count(&inside.done), count(&inside.again));
        Ok(Drained { done, again, dead: count(&inside.dead) })
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, Error> {
        let inside = &self.inside;
        let channel = inside.looks(U::IN_TIME).await?;
        let (most, no_ack) = match U::LOOKS {
            Looks::GivesBack | Looks::GivesBackAllAtOnce => (usize::MAX, false),
            Looks::Takes => (usize::MAX, true),
            Looks::AtFifty => (50, false),
        };
        let letters = inside.letters(&channel, most, no_ack, U::IN_TIME).await?;
        if U::LOOKS == Looks::GivesBack || U::LOOKS == Looks::AtFifty {
            for letter in &letters {
                let back = letter.nack(BasicNackOptions { multiple: false, requeue: true });
                inside.in_time(U::IN_TIME, back).await?;
            }
        }
        inside.settle(&channel, U::IN_TIME).await?;
        Ok(letters.iter().map(U::read).collect())
    }

    async fn redrive(
        &self,
        wanted: impl Fn(&DeadLetter) -> bool + Send + Sync,
    ) -> Result<u64, NotConfirmed> {
        let inside = &self.inside;
        let channel = inside.broker.channel().await?;
        let (exchange, queue) = (inside.topology.exchange.as_str(), inside.queue().name.as_str());
        let dead = inside.queue().dead();
        let mut moved = 0;
        if U::REDRIVES == Redrives::ReadThenPurged {
            let letters = inside.letters(&channel, usize::MAX, false, true).await?;
            inside.settle(&channel, true).await?;
            for letter in &letters {
                let (exchange, key) = U::way(exchange, queue, &U::read(letter));
                let to = (exchange.as_str(), key.as_str());
                inside.send(to, &letter.data, U::opened(letter), U::LIMITED).await?;
                moved += 1;
            }
            let purged = channel.queue_purge(dead.as_str().into(), QueuePurgeOptions::default());
            inside.broker.answer(purged).await?;
            return Ok(moved);
        }
        let mut left = None;
        while left != Some(0) || U::REDRIVES == Redrives::UntilEmpty {
            let got = channel.basic_get(dead.as_str().into(), BasicGetOptions::default());
            let Some(got) = inside.in_time(U::IN_TIME, got).await? else { break };
            left = Some(left.map_or(got.message_count, |left: u32| left.saturating_sub(1)));
            let letter = U::read(&got);
            if !U::is_wanted(wanted(&letter)) {
                if U::REDRIVES == Redrives::DropsTheOthers {
                    inside.broker.answer(got.ack(BasicAckOptions::default())).await?;
                }
                continue;
            }
            let (exchange, key) = U::way(exchange, queue, &letter);
            let (to, envelope) = ((exchange.as_str(), key.as_str()), U::opened(&got));
            if U::REDRIVES == Redrives::AckedThenPublished {
                inside.broker.answer(got.ack(BasicAckOptions::default())).await?;
            }
            match U::REDRIVES {
                Redrives::Unconfirmed => inside.throw(to, &got.data, envelope).await?,
                _ => inside.send(to, &got.data, envelope, U::LIMITED).await?,
            }
            if U::REDRIVES != Redrives::AckedThenPublished {
                inside.broker.answer(got.ack(BasicAckOptions::default())).await?;
            }
            moved += 1;
        }
        inside.settle(&channel, U::IN_TIME).await?;
        Ok(moved)
    }
}
