//! What most of the wrong answers get right: each changes one thing of it.

mod inside;

use futures_util::{FutureExt, StreamExt};
use inside::Inside;
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

/// Which panics of the work are caught.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Catches {
    All,
    /// Not those before there is a future.
    OnTheWay,
    None,
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
    OnOneChannel,
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
    const CATCHES: Catches = Catches::All;
    const PREFETCHES: bool = true;
    const BREAKS_OFF: bool = false;
    const TRIES_FOR_EVER: bool = false;
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
                    let prefetch = if U::PREFETCHES { inside.options.prefetch } else { 0 };
                    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
                    let options = BasicConsumeOptions { no_ack: U::AUTO_ACK, ..Default::default() };
                    let (name, none) = (inside.queue().name.as_str(), FieldTable::default());
                    channel.basic_consume(name.into(), "".into(), options, none).await
                };
                let deliveries = inside.broker.answer(subscribed).await?;
                Ok::<_, Error>((channel, deliveries))
            };
            let (channel, mut deliveries) = match begun.await {
                Ok(begun) => begun,
                Err(error) if !U::TRIES_FOR_EVER && error.to_string().contains("PRECONDITION") => {
                    return Err(error);
                }
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
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
                    let work = || work(Delivered { message, attempt });
                    let caught = match U::CATCHES {
                        Catches::All => {
                            AssertUnwindSafe(async { work().await }).catch_unwind().await
                        }
                        Catches::OnTheWay => AssertUnwindSafe(work()).catch_unwind().await,
                        Catches::None => Ok(work().await),
                    };
                    let verdict = caught.unwrap_or_else(|_| Verdict::Again("a panic".to_owned()));
                    if !U::AUTO_ACK {
                        inside.carry_out::<U>(&delivery, verdict, told).await;
                    }
                    drop(keep);
                });
            }
        }
        over.send_replace(true);
        if U::BREAKS_OFF {
            crew.abort_all();
        }
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
        let channel = inside.looks(U::REDRIVES != Redrives::OnOneChannel).await?;
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
