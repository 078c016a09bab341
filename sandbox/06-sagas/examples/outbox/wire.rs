//! The way to the broker, on which things break.

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueuePurgeOptions,
};
use messaging::broker::{Broker, Options as Connecting};
use messaging::confirms::{self, NotConfirmed, Publisher};
use messaging::{Message, Queue, Topology};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use testbed::rabbitmq::Rabbit;
use tokio::sync::Notify;

pub(crate) const EXCHANGE: &str = "shop";
const QUEUE: &str = "shop.told";

/// What goes wrong with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The process dies between its two writes. With an outbox: after its commit, or the relay
    /// between a confirm and its mark.
    Dies,
    /// The connection is cut before the COMMIT arrives.
    CommitLost,
    /// It is cut after that: committed, and the caller hears of an error.
    ReplyLost,
    /// The broker is away for a moment.
    BrokerAway,
    /// The message arrives, and its confirm is lost.
    ConfirmLost,
}

/// Where messages go: RabbitMQ, or a list.
#[derive(Default)]
pub(crate) struct Bus {
    channel: Option<lapin::Channel>,
    /// Its connection.
    _broker: Option<Broker>,
    list: Mutex<Vec<Message>>,
}

impl Bus {
    pub(crate) async fn of(rabbit: &Rabbit) -> anyhow::Result<Bus> {
        let broker = Broker::open(rabbit.url(), Connecting::default())?;
        let channel = broker.channel().await?;
        let queues = vec![Queue::new(QUEUE, &["#"])];
        Topology { exchange: EXCHANGE.to_owned(), queues }.declare(&channel).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Bus { channel: Some(channel), _broker: Some(broker), list: Mutex::default() })
    }

    /// Sends them all, then waits for the confirms.
    async fn publish(&self, messages: &[&Message]) -> lapin::Result<()> {
        let Some(channel) = &self.channel else {
            lock(&self.list).extend(messages.iter().map(|&message| message.clone()));
            return Ok(());
        };
        let mut confirms = Vec::new();
        for message in messages {
            let (exchange, key) = (EXCHANGE.into(), message.key.as_str().into());
            let (options, properties) = (BasicPublishOptions::default(), message.properties());
            let body = &message.body;
            let sent = channel.basic_publish(exchange, key, options, body, properties).await?;
            confirms.push(sent);
        }
        for confirm in confirms {
            confirm.await?;
        }
        Ok(())
    }

    /// Takes all that has arrived.
    pub(crate) async fn told(&self) -> anyhow::Result<Vec<Message>> {
        let Some(channel) = &self.channel else { return Ok(lock(&self.list).clone()) };
        let mut told = Vec::new();
        let take = || channel.basic_get(QUEUE.into(), BasicGetOptions { no_ack: true });
        while let Some(message) = take().await? {
            told.push(Message::delivered(&message.delivery));
        }
        Ok(told)
    }

    pub(crate) async fn forget(&self) -> anyhow::Result<()> {
        lock(&self.list).clear();
        if let Some(channel) = &self.channel {
            channel.queue_purge(QUEUE.into(), QueuePurgeOptions::default()).await?;
        }
        Ok(())
    }
}

/// A way to the bus on which something breaks, once for each order that is to meet it.
pub(crate) struct Wire {
    bus: Arc<Bus>,
    pub(crate) faults: Mutex<BTreeMap<String, Fate>>,
    /// The relay that publishes is to die now.
    pub(crate) died: Notify,
}

impl Wire {
    pub(crate) fn to(bus: &Arc<Bus>) -> Wire {
        Wire { bus: Arc::clone(bus), faults: Mutex::default(), died: Notify::new() }
    }

    pub(crate) async fn tries_twice(&self, message: &Message) -> Result<(), NotConfirmed> {
        match self.publish(EXCHANGE, message).await {
            Ok(()) => Ok(()),
            Err(_) => self.publish(EXCHANGE, message).await,
        }
    }
}

impl Publisher for Wire {
    fn open(url: &str, _: confirms::Options) -> Result<Wire, messaging::Error> {
        Err(messaging::Error::Url(url.to_owned()))
    }

    async fn publish(&self, exchange: &str, message: &Message) -> Result<(), NotConfirmed> {
        // Whoever publishes by hand dies elsewhere.
        let fault = lock(&self.faults).remove(&*message.text());
        if fault == Some(Fate::BrokerAway) {
            // And again: the broker is away for longer than one attempt.
            lock(&self.faults).insert(message.text().into_owned(), Fate::CommitLost);
        }
        match fault {
            Some(Fate::BrokerAway | Fate::CommitLost) => Err(unknown()),
            Some(Fate::ConfirmLost) => {
                self.publish_all(exchange, std::slice::from_ref(message)).await;
                Err(unknown())
            }
            _ => self.publish_all(exchange, std::slice::from_ref(message)).await.remove(0),
        }
    }

    async fn publish_all(&self, _: &str, batch: &[Message]) -> Vec<Result<(), NotConfirmed>> {
        let faults: Vec<Option<Fate>> =
            batch.iter().map(|message| lock(&self.faults).remove(&*message.text())).collect();
        let away = |fault: &Option<Fate>| *fault == Some(Fate::BrokerAway);
        let sent = batch.iter().zip(&faults).filter(|(_, fault)| !away(fault));
        let sent: Vec<&Message> = sent.map(|(message, _)| message).collect();
        if self.bus.publish(&sent).await.is_err() {
            return batch.iter().map(|_| Err(unknown())).collect();
        }
        if faults.contains(&Some(Fate::Dies)) {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
        let answer = |fault: Option<Fate>| match fault {
            Some(Fate::BrokerAway | Fate::ConfirmLost) => Err(unknown()),
            _ => Ok(()),
        };
        faults.into_iter().map(answer).collect()
    }
}

fn unknown() -> NotConfirmed {
    NotConfirmed::Unknown(messaging::Error::Slow(Duration::from_millis(1)))
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
