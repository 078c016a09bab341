//! Publishing one by one, each with its confirm. Many at once is lesson 05.4's.

use super::Place;
use crate::confirms::NotConfirmed;
use crate::{Broker, Error};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation};
use std::sync::Arc;
use tokio::sync::Mutex;

/// A channel in confirm mode, for one message at a time: what comes back unroutable is then
/// certain to be that one.
pub(super) struct Sender {
    broker: Broker,
    place: Arc<Place>,
    current: Mutex<Option<Channel>>,
}

impl Sender {
    pub(super) fn new(broker: Broker, place: Arc<Place>) -> Sender {
        Sender { broker, place, current: Mutex::default() }
    }

    // ANCHOR: send
    /// `Ok` when it lies in a queue. After anything else the next begins anew: with a channel, and
    /// with the declarations, in case the queue is gone.
    pub(super) async fn send(
        &self,
        exchange: &str,
        key: &str,
        body: &[u8],
        envelope: BasicProperties,
    ) -> Result<(), NotConfirmed> {
        let mut current = self.current.lock().await;
        // Taken out, so that one who is dropped here leaves no channel with a confirm on its way.
        let channel = match current.take().filter(|channel| channel.status().connected()) {
            Some(channel) => channel,
            None => self.channel().await?,
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
    // ANCHOR_END: send

    async fn channel(&self) -> Result<Channel, Error> {
        let channel = self.broker.channel().await?;
        let ready = async {
            self.place.declare(&channel).await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await
        };
        self.broker.answer(ready).await?;
        Ok(channel)
    }
}
