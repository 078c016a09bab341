//! A consumer of a queue on RabbitMQ.

use std::sync::Arc;

use futures_util::StreamExt;
use messaging::Topology;

use messaging::lapin::message::Delivery as Delivered;
use messaging::lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions,
};
use messaging::lapin::types::FieldTable;
use messaging::lapin::{self, Acker, Channel};

use super::Shared;
use super::dead::attempts;
use crate::delivery::{Answer, Hold};
use crate::{Consumer, Delivery, Error, Soon};

/// A consumer of one queue, on a channel of its own.
pub(super) struct Subscribed {
    shared: Arc<Shared>,
    /// The queue, to be declared again after a loss.
    topology: Topology,
    prefetch: u16,
    live: Option<Live>,
}

struct Live {
    channel: Channel,
    deliveries: lapin::Consumer,
}

/// A message in the hands of whoever has the [`Delivery`].
struct Held {
    shared: Arc<Shared>,
    acker: Acker,
    /// A delivery belongs to its channel, and may outlive its consumer.
    channel: Channel,
}

impl Subscribed {
    pub(super) async fn open(
        shared: Arc<Shared>,
        topology: Topology,
        prefetch: u16,
    ) -> Result<Subscribed, Error> {
        let mut subscribed = Subscribed { shared, topology, prefetch: prefetch.max(1), live: None };
        subscribed.live().await?;
        Ok(subscribed)
    }

    /// The subscription, made anew where there is none. What an old channel had pushed here goes with
    /// it: the broker delivers it again.
    async fn live(&mut self) -> Result<&mut Live, Error> {
        if self.live.as_ref().is_none_or(|live| !live.channel.status().connected()) {
            let broker = &self.shared.consuming;
            let channel = broker.channel().await?;
            let queue = self.topology.queues[0].name.as_str();
            let subscribed = async {
                self.topology.declare(&channel).await?;
                channel.basic_qos(self.prefetch, BasicQosOptions::default()).await?;
                // The broker chooses the tag: no two consumers of a channel can have the same.
                let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
                channel.basic_consume(queue.into(), "".into(), options, none).await
            };
            let deliveries = broker.answer(subscribed).await?;
            self.live = Some(Live { channel, deliveries });
        }
        Ok(self.live.as_mut().expect("it has just been made"))
    }
}

impl Consumer for Subscribed {
    fn next(&mut self) -> Soon<'_, Delivery> {
        Box::pin(async move {
            loop {
                let shared = Arc::clone(&self.shared);
                let live = self.live().await?;
                let delivered = match live.deliveries.next().await {
                    Some(Ok(delivered)) => delivered,
                    ended => {
                        // Cancelled by the broker, as when its queue is deleted, or lost.
                        self.live = None;
                        let Some(Err(error)) = ended else { continue };
                        return Err(messaging::Error::from(error).into());
                    }
                };
                let attempt = attempts(&delivered.properties);
                let held = Held { shared, acker: delivered.acker, channel: live.channel.clone() };
                match serde_json::from_slice(&delivered.data) {
                    Ok(event) => return Ok(Delivery::new(event, attempt, Box::new(held))),
                    // Its reason can be told from its body again.
                    Err(_) => held.answer(Answer::Reject).await?,
                }
            }
        })
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        let Some(Live { channel, mut deliveries }) = self.live.take() else { return };
        let broker = self.shared.consuming.clone();
        self.shared.leave(async move {
            let goodbye = async {
                channel.basic_cancel(deliveries.tag(), BasicCancelOptions::default()).await?;
                // What was pushed here and nobody asked for.
                while let Some(Ok(Delivered { acker, .. })) = deliveries.next().await {
                    acker.reject(BasicRejectOptions { requeue: true }).await?;
                }
                Ok(())
            };
            // Where it cannot be said, the broker notices by itself.
            let _ = broker.answer(goodbye).await;
        });
    }
}

impl Hold for Held {
    fn answer(&self, answer: Answer) -> Soon<'_, ()> {
        Box::pin(async move {
            let broker = &self.shared.consuming;
            let told = match answer {
                Answer::Ack => broker.answer(self.acker.ack(BasicAckOptions::default())).await,
                Answer::Requeue => broker.answer(self.acker.reject(again(true))).await,
                Answer::Reject => broker.answer(self.acker.reject(again(false))).await,
            };
            // The broker does not answer an answer. That it could be sent on a channel that lives
            // is all there is to know; a channel that died has given back what it held.
            match told {
                Ok(true) if self.channel.status().connected() => Ok(()),
                _ => Err(Error::Lost),
            }
        })
    }

    fn abandon(&self) {
        let (broker, acker) = (self.shared.consuming.clone(), self.acker.clone());
        let channel = self.channel.clone();
        self.shared.leave(async move {
            let _ = broker.answer(acker.reject(again(true))).await;
            drop(channel);
        });
    }
}

/// `basic.reject`, and not `basic.nack`: from RabbitMQ 4.3 on, a nack would not count.
fn again(requeue: bool) -> BasicRejectOptions {
    BasicRejectOptions { requeue }
}
