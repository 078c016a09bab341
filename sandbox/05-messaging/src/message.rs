//! A message, and what AMQP makes of it.

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A message: bytes, and what is written on the envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Its own name. Whoever meets it again has met the message before. AMQP's `message-id`.
    pub id: String,
    /// The routing key: what kind of thing it tells, as `order.placed.v1`.
    pub key: String,
    /// What it all began with: the id of the order. AMQP's `correlation-id`.
    pub correlation: Option<String>,
    /// The media type of the body.
    pub content_type: Option<String>,
    /// Whatever else is to travel along, such as a `traceparent`.
    pub headers: BTreeMap<String, String>,
    /// The content.
    pub body: Vec<u8>,
}

/// Written to the disk of each replica before it is confirmed: AMQP's `delivery-mode`.
const PERSISTENT: u8 = 2;

impl Message {
    /// A message with a name, a routing key and a content, and nothing else.
    pub fn new(id: impl Into<String>, key: impl Into<String>, body: impl Into<Vec<u8>>) -> Message {
        Message { id: id.into(), key: key.into(), body: body.into(), ..Message::default() }
    }

    /// The content as text. What is no UTF-8 shows as `�`.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// What goes before the body on the wire. Persistent, always: one that is not is gone after a
    /// restart of the broker, in whichever queue it lies.
    pub fn properties(&self) -> BasicProperties {
        let mut headers = FieldTable::default();
        for (name, value) in &self.headers {
            headers.insert(name.as_str().into(), AMQPValue::LongString(value.as_str().into()));
        }
        let mut properties = BasicProperties::default()
            .with_message_id(self.id.as_str().into())
            .with_delivery_mode(PERSISTENT)
            .with_headers(headers);
        if let Some(correlation) = &self.correlation {
            properties = properties.with_correlation_id(correlation.as_str().into());
        }
        if let Some(content_type) = &self.content_type {
            properties = properties.with_content_type(content_type.as_str().into());
        }
        properties
    }

    /// What was delivered. Headers that are no text are left out: they are the broker's own.
    pub fn delivered(delivery: &Delivery) -> Message {
        let properties = &delivery.properties;
        let text = |text: &Option<_>| text.as_ref().map(ToString::to_string);
        let headers = properties.headers().iter().flat_map(FieldTable::inner);
        let headers = headers.filter_map(|(name, value)| match value {
            AMQPValue::LongString(text) => Some((name.to_string(), text.to_string())),
            _ => None,
        });
        Message {
            id: text(properties.message_id()).unwrap_or_default(),
            key: delivery.routing_key.to_string(),
            correlation: text(properties.correlation_id()),
            content_type: text(properties.content_type()),
            headers: headers.collect(),
            body: delivery.data.clone(),
        }
    }
}
