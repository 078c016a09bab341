//! Publishing, one confirm at a time. Many at once, and what may come of each, is lesson 05.4.

use crate::confirms::NotConfirmed;
use crate::{Broker, Error, Message, Topology};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation};
use std::sync::Arc;
use tokio::sync::Mutex;

/// A channel in confirm mode, made when it is first needed and again after it was lost.
pub(super) struct Sender {
    broker: Broker,
    topology: Arc<Topology>,
    current: Mutex<Option<Arc<Channel>>>,
}

impl Sender {
    pub(super) fn new(broker: Broker, topology: Arc<Topology>) -> Sender {
        Sender { broker, topology, current: Mutex::default() }
    }

    // ANCHOR: publish
    pub(super) async fn publish(&self, message: &Message) -> Result<(), NotConfirmed> {
        let channel = self.channel().await?;
        let confirmed = self.broker.answer(async {
            let (exchange, key) = (self.topology.exchange.as_str(), message.key.as_str());
            // One that no queue wants comes back, and is not thrown away behind a confirm.
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let (body, properties) = (&message.body, message.properties());
            let sent =
                channel.basic_publish(exchange.into(), key.into(), options, body, properties);
            // Twice: the first is over when it is written to the socket, the second when the
            // broker has it.
            sent.await?.await
        });
        match confirmed.await {
            Ok(Confirmation::Ack(None)) => Ok(()),
            Ok(Confirmation::Ack(Some(_))) => {
                Err(NotConfirmed::Unroutable { key: message.key.clone() })
            }
            Ok(_) => Err(NotConfirmed::Refused),
            Err(error) => {
                self.forget(&channel).await;
                Err(error.into())
            }
        }
    }
    // ANCHOR_END: publish

    pub(super) async fn close(&self) {
        *self.current.lock().await = None;
        self.broker.close().await;
    }

    async fn channel(&self) -> Result<Arc<Channel>, Error> {
        let mut current = self.current.lock().await;
        if let Some(channel) = current.as_ref().filter(|channel| channel.status().connected()) {
            return Ok(Arc::clone(channel));
        }
        *current = None;
        let channel = self.broker.channel().await?;
        let ready = async {
            self.topology.declare(&channel).await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await
        };
        self.broker.answer(ready).await?;
        let channel = Arc::new(channel);
        *current = Some(Arc::clone(&channel));
        Ok(channel)
    }

    /// The channel is of no use any more, whatever it thinks of itself: one to a broker that hangs
    /// seems to live for as long as heartbeats may be missing.
    async fn forget(&self, channel: &Arc<Channel>) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, channel)) {
            *current = None;
        }
    }
}
