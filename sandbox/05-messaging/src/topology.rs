//! Exchanges, queues and bindings as a value, which every program that needs them declares.
//!
//! Declaring is idempotent: what is there already and alike is left as it is. So publishers and
//! consumers both declare at their start and after every loss of a channel, and nobody has to be
//! started first. What is there and otherwise is a 406 that closes the channel; a queue is never
//! changed, it is replaced by one of another name.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

/// A topic exchange and the queues behind it, all of them durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The exchange that is published to.
    pub exchange: String,
    /// The queues, each with what it wants.
    pub queues: Vec<Queue>,
}

/// A durable queue on the disks of a majority of the brokers, and its dead-letter queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its name: that of the service that consumes from it.
    pub name: String,
    /// Patterns of routing keys: words between dots, `*` for one word, `#` for any number.
    pub bindings: Vec<String>,
    /// How often a message is delivered before it is taken for poison and dead-lettered. At least 1.
    pub deliveries: u32,
}

impl Queue {
    /// A queue for what matches `bindings`, with five deliveries.
    pub fn new(name: impl Into<String>, bindings: &[&str]) -> Queue {
        let bindings = bindings.iter().map(|&pattern| pattern.to_owned()).collect();
        Queue { name: name.into(), bindings, deliveries: 5 }
    }

    /// The name of the queue for what nobody could deal with.
    pub fn dead(&self) -> String {
        format!("{}.dlq", self.name)
    }
}

impl Topology {
    /// Declares all of it.
    ///
    /// # Errors
    /// lapin's. The channel is closed after a 406: there is a queue of this name with other
    /// properties.
    pub async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        let (name, kind) = (self.exchange.as_str(), ExchangeKind::Topic);
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        channel.exchange_declare(name.into(), kind, durable, FieldTable::default()).await?;
        for queue in &self.queues {
            queue.declare(channel).await?;
            for pattern in &queue.bindings {
                let (pattern, exchange) = (pattern.as_str().into(), self.exchange.as_str().into());
                let (options, none) = (QueueBindOptions::default(), FieldTable::default());
                channel
                    .queue_bind(queue.name.as_str().into(), exchange, pattern, options, none)
                    .await?;
            }
        }
        Ok(())
    }
}

impl Queue {
    async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        // Where the dead go has to be there before the first of them.
        let dead = table([
            ("x-queue-type", text("quorum")),
            // Whoever looks at dead letters takes them and gives them back. From RabbitMQ 4.0 on a
            // queue that says nothing has a limit of 20, and after so many looks drops them.
            ("x-delivery-limit", AMQPValue::LongUInt(u32::MAX)),
        ]);
        let durable = QueueDeclareOptions::durable;
        channel.queue_declare(self.dead().as_str().into(), durable(), dead).await?;
        let properties = table([
            ("x-queue-type", text("quorum")),
            // The limit counts what failed: with 3, the fourth delivery is the last.
            ("x-delivery-limit", AMQPValue::LongUInt(self.deliveries.max(1) - 1)),
            ("x-dead-letter-exchange", text("")),
            ("x-dead-letter-routing-key", text(&self.dead())),
            // The dead are sent on with confirms of the broker's own. It keeps what it could not
            // send, so the queue may not drop anything to make room.
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-overflow", text("reject-publish")),
        ]);
        channel.queue_declare(self.name.as_str().into(), durable(), properties).await?;
        Ok(())
    }
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn table<const N: usize>(entries: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert(name.into(), value);
    }
    table
}
