//! Those who declare, or read, something else.

use super::usual::Part;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Consumer, ExchangeKind};
use messaging::publish_consume::{Delivered, attempt};
use messaging::{Message, Queue, Topology};

/// Takes every body for text: check `unchanged`.
pub struct BodyIsText;

impl Part for BodyIsText {
    fn read(delivery: &Delivery) -> Delivered {
        let mut message = Message::delivered(delivery);
        message.body = message.text().into_owned().into_bytes();
        Delivered { message, attempt: attempt(delivery) }
    }
}

/// Leaves it to the consumers to declare what they want. Until the first of them has been started
/// there is nothing to publish to: check `before_any_consumer`.
pub struct WaitsForTheConsumer;

impl Part for WaitsForTheConsumer {
    async fn ready(_: &Topology, channel: &Channel) -> lapin::Result<()> {
        channel.confirm_select(ConfirmSelectOptions::default()).await
    }
}

/// Binds each queue to everything, and leaves it to the code to sort out what is its own: check
/// `each_queue_a_copy`.
pub struct BindsEverything;

impl Part for BindsEverything {
    async fn declare(topology: &Topology, channel: &Channel) -> lapin::Result<()> {
        let mut all = topology.clone();
        all.queues.iter_mut().for_each(|queue| queue.bindings = vec!["#".to_owned()]);
        all.declare(channel).await
    }
}

/// Has each consumer make a queue of its own. Two copies of one service then do everything twice,
/// and while there is none, nothing is kept: check `one_queue_is_shared`.
pub struct OwnQueueForEach;

impl Part for OwnQueueForEach {
    async fn subscribe(
        topology: &Topology,
        channel: &Channel,
        queue: &str,
        prefetch: u16,
    ) -> lapin::Result<Consumer> {
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let own = channel.queue_declare("".into(), options, FieldTable::default()).await?;
        let bindings = topology.queues.iter().filter(|like| like.name == queue);
        for pattern in bindings.flat_map(|like| &like.bindings) {
            let (exchange, none) = (topology.exchange.as_str().into(), FieldTable::default());
            let (pattern, options) = (pattern.as_str().into(), QueueBindOptions::default());
            channel.queue_bind(own.name().clone(), exchange, pattern, options, none).await?;
        }
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        channel.basic_consume(own.name().clone(), "".into(), options, none).await
    }
}

/// Declares with lapin's defaults: an exchange and queues that a restart of the broker takes along,
/// with all that is in them: check `as_declared`.
pub struct TransientQueue;

impl Part for TransientQueue {
    async fn declare(topology: &Topology, channel: &Channel) -> lapin::Result<()> {
        let (exchange, none) = (topology.exchange.as_str(), FieldTable::default());
        let options = ExchangeDeclareOptions::default();
        channel.exchange_declare(exchange.into(), ExchangeKind::Topic, options, none).await?;
        for Queue { name, bindings, .. } in &topology.queues {
            let (options, none) = (QueueDeclareOptions::default(), FieldTable::default());
            channel.queue_declare(name.as_str().into(), options, none).await?;
            for pattern in bindings {
                let (name, exchange) = (name.as_str().into(), exchange.into());
                let (options, none) = (QueueBindOptions::default(), FieldTable::default());
                channel.queue_bind(name, exchange, pattern.as_str().into(), options, none).await?;
            }
        }
        Ok(())
    }
}

/// Publishes without a delivery mode, which means: to memory: check `as_declared`.
pub struct TransientMessages;

impl Part for TransientMessages {
    fn properties(message: &Message) -> BasicProperties {
        let mut properties = BasicProperties::default().with_message_id(message.id.as_str().into());
        if let Some(headers) = message.properties().headers() {
            properties = properties.with_headers(headers.clone());
        }
        properties
    }
}

/// Tells the first attempt from later ones, and does not count: check `failed_work`.
pub struct AttemptIsAFlag;

impl Part for AttemptIsAFlag {
    fn read(delivery: &Delivery) -> Delivered {
        let attempt = 1 + u32::from(delivery.redelivered);
        Delivered { message: Message::delivered(delivery), attempt }
    }
}

/// Declares the queue again when it is gone, and forgets that its bindings went with it. It
/// consumes from a queue into which nothing comes: check `queue_is_gone`.
pub struct LeavesTheBindings;

impl Part for LeavesTheBindings {
    async fn declare_again(topology: &Topology, channel: &Channel) -> lapin::Result<()> {
        let mut bare = topology.clone();
        bare.queues.iter_mut().for_each(|queue| queue.bindings.clear());
        bare.declare(channel).await
    }
}
