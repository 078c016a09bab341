//! The dead letters: what the broker writes on them, and the way back.
//!
//! AMQP has no "look". What is taken with `basic.get` and given back unanswered is where it was, in
//! its order; so that is how it is looked at, and two who look at the same time see parts.

use messaging::Message;
use messaging::lapin::message::{BasicGetMessage, Delivery};
use messaging::lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicNackOptions, QueueDeclareOptions,
};
use messaging::lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use messaging::lapin::types::{AMQPValue, FieldTable};
use messaging::lapin::{self, BasicProperties, Channel, ErrorKind};

use super::Shared;
use crate::{DeadLetter, Error, Reason};

/// How often a quorum queue has taken a message back. It is the queue's own count, and does not
/// travel on to the dead-letter queue.
const TAKEN_BACK: &str = "x-delivery-count";

/// How often a message was delivered, this time included.
pub(super) fn attempts(properties: &BasicProperties) -> u32 {
    let taken_back = properties.headers().as_ref().and_then(|headers| number(headers, TAKEN_BACK));
    let taken_back = taken_back.and_then(|count| u32::try_from(count).ok());
    taken_back.unwrap_or(0).saturating_add(1)
}

impl Shared {
    pub(super) async fn dead_letters(&self, queue: &str) -> Result<Vec<DeadLetter>, Error> {
        let looker = self.looker.lock().await;
        let channel = self.consuming.channel().await?;
        let mut letters = Vec::new();
        let mut last = None;
        while let Some(got) = self.get(&channel, queue).await? {
            letters.push(letter(&got));
            last = Some(got);
        }
        if let Some(last) = last {
            let all = BasicNackOptions { multiple: true, requeue: true };
            self.consuming.answer(last.nack(all)).await?;
            self.settle(&channel, queue).await?;
        }
        drop(looker);
        Ok(letters)
    }

    pub(super) async fn redrive(&self, queue: &str) -> Result<u64, Error> {
        let looker = self.looker.lock().await;
        let channel = self.consuming.channel().await?;
        let (mut moved, mut left) = (0, 1);
        // Not those that die again meanwhile.
        while left > 0 {
            let Some(got) = self.get(&channel, queue).await? else { break };
            left = if moved == 0 { u64::from(got.message_count) } else { left - 1 };
            let mut message = Message::delivered(&got);
            queue.clone_into(&mut message.key);
            // First there, then no longer here: in between it is twice, and never nowhere.
            self.publish("", &message).await?;
            self.consuming.answer(got.ack(BasicAckOptions::default())).await?;
            moved += 1;
        }
        self.settle(&channel, queue).await?;
        drop(looker);
        Ok(moved)
    }

    async fn get(&self, channel: &Channel, queue: &str) -> Result<Option<BasicGetMessage>, Error> {
        let dead = format!("{queue}.dlq");
        let got = channel.basic_get(dead.as_str().into(), BasicGetOptions::default());
        match self.consuming.answer(got).await {
            Err(messaging::Error::Broker(error)) if is_not_found(&error) => Ok(None),
            got => Ok(got?),
        }
    }

    /// Waits until the broker has read what was said before on this channel.
    async fn settle(&self, channel: &Channel, queue: &str) -> Result<(), Error> {
        let dead = format!("{queue}.dlq");
        let look = QueueDeclareOptions { passive: true, ..Default::default() };
        let asked = channel.queue_declare(dead.as_str().into(), look, FieldTable::default());
        match self.consuming.answer(asked).await {
            Err(messaging::Error::Broker(error)) if is_not_found(&error) => Ok(()),
            asked => Ok(asked.map(drop)?),
        }
    }
}

fn letter(delivery: &Delivery) -> DeadLetter {
    let headers = delivery.properties.headers();
    let death = headers.as_ref().and_then(first_death);
    let body = String::from_utf8_lossy(&delivery.data).into_owned();
    let said = death.and_then(|death| text(death, "reason")).and_then(|said| Reason::parse(&said));
    let reason = match said {
        Some(Reason::DeliveryLimit) => Reason::DeliveryLimit,
        // The port rejects it, and the broker knows only that it was rejected.
        _ if serde_json::from_str::<crate::Event>(&body).is_err() => Reason::Unreadable,
        _ => Reason::Rejected,
    };
    let seconds = death.and_then(|death| number(death, "time")).unwrap_or(0);
    DeadLetter { body, attempts: None, reason, at: seconds * 1_000_000 }
}

/// The latest death: <https://www.rabbitmq.com/docs/dlx#effects>.
fn first_death(headers: &FieldTable) -> Option<&FieldTable> {
    match headers.inner().get("x-death")? {
        AMQPValue::FieldArray(deaths) => match deaths.as_slice().first()? {
            AMQPValue::FieldTable(death) => Some(death),
            _ => None,
        },
        _ => None,
    }
}

fn number(table: &FieldTable, name: &str) -> Option<i64> {
    match table.inner().get(name)? {
        AMQPValue::LongLongInt(number) => Some(*number),
        AMQPValue::LongInt(number) => Some(i64::from(*number)),
        AMQPValue::LongUInt(number) => Some(i64::from(*number)),
        AMQPValue::Timestamp(number) => i64::try_from(*number).ok(),
        AMQPValue::ShortInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortShortInt(number) => Some(i64::from(*number)),
        _ => None,
    }
}

fn text(table: &FieldTable, name: &str) -> Option<String> {
    match table.inner().get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        _ => None,
    }
}

fn is_not_found(error: &lapin::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ProtocolError(said)
            if *said.kind() == AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)
    )
}
