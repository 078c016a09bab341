//! What was put around a publisher: before it is asked, or after it has answered.

use super::usual::{Opens, Usual, Usually};
use lapin::Confirmation;
use lapin::options::BasicPublishOptions;
use messaging::confirms::{Confirmed, NotConfirmed, Options, Publisher};
use messaging::{Error, Message};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Mutex, Notify};

/// Nothing about it is special.
struct Plain;

impl Usual for Plain {}

/// Knows that a confirm may bring anybody's message along, and looks at the id of what came back. The
/// same event under two keys has one id. Rejected by `alike`.
pub(super) struct KnowsItById(Usually<Plain>);

impl Publisher for KnowsItById {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        Usually::open(url, options).map(KnowsItById)
    }

    async fn publish(&self, exchange: &str, message: &Message) -> Result<(), NotConfirmed> {
        let one = std::slice::from_ref(message);
        self.publish_all(exchange, one).await.pop().unwrap_or(Ok(()))
    }

    async fn publish_all(
        &self,
        exchange: &str,
        messages: &[Message],
    ) -> Vec<Result<(), NotConfirmed>> {
        match self.batch(exchange, messages).await {
            Ok(became) => became,
            Err(error) => messages.iter().map(|_| Err(error.clone().into())).collect(),
        }
    }
}

impl KnowsItById {
    async fn batch(
        &self,
        exchange: &str,
        messages: &[Message],
    ) -> Result<Vec<Result<(), NotConfirmed>>, Error> {
        let inside = &self.0.0;
        let channel = inside.channel(Opens::WhenLost, true).await?;
        let mut confirms = Vec::new();
        for message in messages {
            let options = BasicPublishOptions { mandatory: true, ..Default::default() };
            let (exchange, key) = (exchange.into(), message.key.as_str().into());
            let properties = message.properties();
            let publish = channel.basic_publish(exchange, key, options, &message.body, properties);
            confirms.push(inside.broker.answer(publish).await?);
        }
        let (mut returned, mut refused) = (HashSet::new(), Vec::new());
        for confirm in confirms {
            let confirmation = inside.broker.answer(confirm).await?;
            refused.push(matches!(confirmation, Confirmation::Nack(_)));
            if let Confirmation::Ack(Some(back)) | Confirmation::Nack(Some(back)) = confirmation {
                returned.insert(Message::delivered(&back.delivery).id);
            }
        }
        let outcome = |(message, refused): (&Message, bool)| match refused {
            _ if returned.contains(&message.id) => {
                Err(NotConfirmed::Unroutable { key: message.key.clone() })
            }
            true => Err(NotConfirmed::Refused),
            false => Ok(()),
        };
        Ok(messages.iter().zip(refused).map(outcome).collect())
    }
}

/// Has learnt which keys nobody wants, and saves the way. The consumer that is deployed next week gets
/// nothing until this is restarted. Rejected by `unroutable_alone`.
pub(super) struct RemembersTheUnwanted {
    usually: Usually<Plain>,
    unwanted: Mutex<HashSet<String>>,
}

impl Publisher for RemembersTheUnwanted {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        let usually = Usually::open(url, options)?;
        Ok(RemembersTheUnwanted { usually, unwanted: Mutex::default() })
    }

    async fn publish(&self, exchange: &str, message: &Message) -> Result<(), NotConfirmed> {
        if self.unwanted.lock().await.contains(&message.key) {
            return Err(NotConfirmed::Unroutable { key: message.key.clone() });
        }
        let outcome = self.usually.publish(exchange, message).await;
        if let Err(NotConfirmed::Unroutable { key }) = &outcome {
            self.unwanted.lock().await.insert(key.clone());
        }
        outcome
    }

    async fn publish_all(
        &self,
        exchange: &str,
        messages: &[Message],
    ) -> Vec<Result<(), NotConfirmed>> {
        self.usually.publish_all(exchange, messages).await
    }
}

/// The first caller connects, and the others wait until it has. When it leaves in the middle of that,
/// they wait for somebody who has gone. Rejected by `left_while_connecting`.
pub(super) struct TheFirstConnects {
    usually: Usually<Plain>,
    connects: AtomicBool,
    connected: AtomicBool,
    told: Notify,
}

impl Publisher for TheFirstConnects {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        let usually = Usually::open(url, options)?;
        let (connects, connected) = (AtomicBool::default(), AtomicBool::default());
        Ok(TheFirstConnects { usually, connects, connected, told: Notify::new() })
    }

    async fn publish(&self, exchange: &str, message: &Message) -> Result<(), NotConfirmed> {
        self.connect().await?;
        self.usually.publish(exchange, message).await
    }

    async fn publish_all(
        &self,
        exchange: &str,
        messages: &[Message],
    ) -> Vec<Result<(), NotConfirmed>> {
        match self.connect().await {
            Ok(()) => self.usually.publish_all(exchange, messages).await,
            Err(error) => messages.iter().map(|_| Err(error.clone().into())).collect(),
        }
    }
}

impl TheFirstConnects {
    async fn connect(&self) -> Result<(), Error> {
        let told = self.told.notified();
        if self.connected.load(Ordering::SeqCst) {
            return Ok(());
        }
        if self.connects.swap(true, Ordering::SeqCst) {
            let timeout = self.usually.0.options.timeout;
            return tokio::time::timeout(timeout, told).await.map_err(|_| Error::Slow(timeout));
        }
        let channel = self.usually.0.channel(Opens::WhenLost, true).await;
        self.connected.store(channel.is_ok(), Ordering::SeqCst);
        self.connects.store(false, Ordering::SeqCst);
        self.told.notify_waiters();
        channel.map(drop)
    }
}

/// Connects under a lock, and every step of that ends in time. To wait for the lock does not: with
/// eighty callers the last has waited for eighty timeouts. Rejected by `stalled`.
pub(super) struct WaitsAtTheLock {
    usually: Usually<Plain>,
    connecting: Mutex<()>,
}

impl Publisher for WaitsAtTheLock {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        let usually = Usually::open(url, options)?;
        Ok(WaitsAtTheLock { usually, connecting: Mutex::default() })
    }

    async fn publish(&self, exchange: &str, message: &Message) -> Result<(), NotConfirmed> {
        self.connect().await?;
        self.usually.publish(exchange, message).await
    }

    async fn publish_all(
        &self,
        exchange: &str,
        messages: &[Message],
    ) -> Vec<Result<(), NotConfirmed>> {
        let mut calling = Vec::new();
        let mut nobody_there = None;
        for message in messages {
            let sent = match self.connect().await {
                Ok(()) => self.usually.post(exchange, message).await,
                Err(error) => Err(error),
            };
            match sent {
                Ok(sent) => calling.push(sent),
                Err(error) => {
                    nobody_there = Some(error);
                    break;
                }
            }
        }
        let mut became = Vec::new();
        for calling in calling {
            became.push(calling.await.expect("no panic"));
        }
        if let Some(error) = nobody_there {
            became.resize_with(messages.len(), || Err(error.clone().into()));
        }
        became
    }
}

impl WaitsAtTheLock {
    async fn connect(&self) -> Result<(), Error> {
        let _connecting = self.connecting.lock().await;
        self.usually.0.channel(Opens::WhenLost, true).await.map(drop)
    }
}

/// Knows all about batches, and looks there at everything that came back. One message by itself gets
/// what comes with its confirm. It is not by itself: other callers have the same channel. Rejected by
/// `which_came_back`.
pub(super) struct TrustsItAlone {
    alone: Usually<Plain>,
    batches: Confirmed,
}

impl Publisher for TrustsItAlone {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        let batches = Confirmed::open(url, options.clone())?;
        Ok(TrustsItAlone { alone: Usually::open(url, options)?, batches })
    }

    async fn publish(&self, exchange: &str, message: &Message) -> Result<(), NotConfirmed> {
        self.alone.publish(exchange, message).await
    }

    async fn publish_all(
        &self,
        exchange: &str,
        messages: &[Message],
    ) -> Vec<Result<(), NotConfirmed>> {
        self.batches.publish_all(exchange, messages).await
    }
}
