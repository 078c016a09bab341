//! The dead letters: what the broker writes on them, and the way back.

use messaging::Message;
use messaging::dead_letters::Round;
use messaging::lapin::message::Delivery;
use messaging::lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use messaging::lapin::types::{AMQPValue, FieldTable};
use messaging::lapin::{self, BasicProperties, ErrorKind};

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
    /// Through the dead letters of `queue`; `None` where there is no such queue.
    async fn round(&self, queue: &str) -> Result<Option<Round<'_>>, Error> {
        let channel = self.consuming.channel().await?;
        match Round::begin(&self.consuming, channel, format!("{queue}.dlq")).await {
            Err(messaging::Error::Broker(error)) if is_not_found(&error) => Ok(None),
            begun => Ok(Some(begun?)),
        }
    }

    pub(super) async fn dead_letters(&self, queue: &str) -> Result<Vec<DeadLetter>, Error> {
        let looker = self.looker.lock().await;
        let Some(mut round) = self.round(queue).await? else {
            return Ok(Vec::new());
        };
        let mut letters = Vec::new();
        while let Some(got) = round.next().await? {
            letters.push(letter(&got));
        }
        round.end().await?;
        drop(looker);
        Ok(letters)
    }

    pub(super) async fn redrive(&self, queue: &str) -> Result<u64, Error> {
        let looker = self.looker.lock().await;
        let Some(mut round) = self.round(queue).await? else { return Ok(0) };
        let mut moved = 0;
        while let Some(got) = round.next().await? {
            let mut message = Message::delivered(&got);
            queue.clone_into(&mut message.key);
            // First there, then no longer here: in between it is twice, and never nowhere.
            self.send("", &message).await?;
            round.took(&got).await?;
            moved += 1;
        }
        round.end().await?;
        drop(looker);
        Ok(moved)
    }
}

pub(super) fn is_not_found(error: &lapin::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ProtocolError(said)
            if *said.kind() == AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)
    )
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
