//! What has happened, said to whoever wants to know.
//!
//! A question goes over HTTP to the one service that can answer. A fact goes over the bus to all
//! that bound a queue to its type, and its author does not know who they are.
//!
//! The envelope is CloudEvents 1.0 in its JSON format:
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>.
//!
//! ```json
//! {
//!   "specversion": "1.0",
//!   "id": "0199f2c6-7f0a-7d51-a3e6-5c1f6d0f4b11",
//!   "source": "/orders",
//!   "type": "order.confirmed.v1",
//!   "subject": "0199f2c6-4c11-7a63-9a56-0d6a3a1f9b02",
//!   "time": "2026-11-27T08:00:00.000123Z",
//!   "correlationid": "0199f2c6-4c11-7a63-9a56-0d6a3a1f9b02",
//!   "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
//!   "datacontenttype": "application/json",
//!   "data": {"total": {"amount": 4990, "currency": "EUR"}}
//! }
//! ```

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::id::OrderId;

/// The topic exchange that all events are published to, by their type as the routing key.
pub const EXCHANGE: &str = "shop.events";

/// The media type of an event in JSON.
pub const MEDIA_TYPE: &str = "application/cloudevents+json";

/// The version of CloudEvents that is spoken here.
const SPEC_VERSION: &str = "1.0";

macro_rules! types {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The types of events that the shop knows, each a routing key:
        /// `<aggregate>.<what happened to it>.<version>`.
        ///
        /// A change that an old consumer would misread is a new version beside the old one, never
        /// a change of the old one: messages of both may wait in one queue.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Type {
            $($(#[$doc])* $name,)*
        }

        impl Type {
            /// All of them.
            pub const ALL: &'static [Type] = &[$(Type::$name,)*];

            /// As it stands in an event.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Type::$name => $text,)*
                }
            }
        }
    };
}

types! {
    /// A customer wants to buy.
    OrderPlaced = "order.placed.v1",
    /// All of an order is held in the warehouse.
    StockReserved = "stock.reserved.v1",
    /// The provider has the money.
    PaymentAuthorized = "payment.authorized.v1",
    /// The provider said no.
    PaymentDeclined = "payment.declined.v1",
    /// The money went back.
    PaymentRefunded = "payment.refunded.v1",
    /// What was held can be sold to others again.
    StockReleased = "stock.released.v1",
    /// The order is the customer's.
    OrderConfirmed = "order.confirmed.v1",
    /// The order came to nothing, and nothing is left of it.
    OrderCancelled = "order.cancelled.v1",
    /// The customer was told.
    NotificationSent = "notification.sent.v1",
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// This consumer does not know the type: it is newer, or somebody else's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no event type `{0}` that this program knows")]
pub struct UnknownType(pub String);

impl FromStr for Type {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Type, UnknownType> {
        let known = Type::ALL.iter().copied().find(|known| known.as_str() == text);
        known.ok_or_else(|| UnknownType(text.to_owned()))
    }
}

/// A fact, as it travels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Envelope", into = "Envelope")]
pub struct Event {
    /// Its own name. Whoever meets it again has met it before: that is how a consumer tells a
    /// redelivery from a new fact.
    pub id: Uuid,
    /// Who says so: the service, as `/orders`.
    pub source: String,
    /// The type, and the routing key. A text and not a [`Type`], because a queue may hold types
    /// that are newer than its consumer: see [`Event::known`].
    pub kind: String,
    /// What it happened to: the id of the order, payment, notification.
    pub subject: String,
    /// When: microseconds since 1970, UTC.
    pub time: i64,
    /// The order that it all began with. The CloudEvents extension `correlationid`, and AMQP's
    /// `correlation_id`.
    pub correlation: OrderId,
    /// In whose trace it happened.
    pub trace: Trace,
    /// The rest, as its type wants it.
    pub data: Value,
}

/// The trace in which something happened, as W3C writes it. It goes with the event from the moment at
/// which that is written down: CloudEvents' extension for
/// [distributed tracing](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/distributed-tracing.md).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// `traceparent`: trace, span and flags.
    #[serde(rename = "traceparent", default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// `tracestate`: what the systems that record say to each other.
    #[serde(rename = "tracestate", default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

impl Event {
    /// A fact that is new.
    pub fn new(
        source: impl Into<String>,
        kind: Type,
        subject: impl fmt::Display,
        correlation: OrderId,
        data: Value,
    ) -> Event {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Event {
            id: Uuid::now_v7(),
            source: source.into(),
            kind: kind.as_str().to_owned(),
            subject: subject.to_string(),
            time: i64::try_from(now.as_micros()).unwrap_or(i64::MAX),
            correlation,
            trace: Trace::default(),
            data,
        }
    }

    /// Its type, if this program knows it.
    ///
    /// # Errors
    /// [`UnknownType`]. A consumer leaves such an event to those who know it, and says so: it is
    /// neither a failure nor nothing.
    pub fn known(&self) -> Result<Type, UnknownType> {
        self.kind.parse()
    }
}

/// An event that was said, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// The event.
    pub event: Event,
    /// When it was on the bus, if it is: microseconds since 1970, UTC.
    pub sent_at: Option<i64>,
}

/// The event as JSON has it. Extensions that we do not know are passed over: the specification
/// lets a consumer do so.
#[derive(Serialize, Deserialize)]
struct Envelope {
    specversion: String,
    id: Uuid,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    subject: String,
    time: String,
    correlationid: OrderId,
    #[serde(flatten)]
    trace: Trace,
    #[serde(default = "json")]
    datacontenttype: String,
    #[serde(default)]
    data: Value,
}

fn json() -> String {
    "application/json".to_owned()
}

/// Why JSON is no event of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Malformed {
    #[error("specversion is `{0}`, and this program speaks {SPEC_VERSION}")]
    SpecVersion(String),
    #[error("{0} is empty")]
    Empty(&'static str),
    #[error("time is `{0}`, which is no time of RFC 3339")]
    Time(String),
    #[error("datacontenttype is `{0}`, and this program reads application/json")]
    ContentType(String),
}

impl TryFrom<Envelope> for Event {
    type Error = Malformed;

    fn try_from(envelope: Envelope) -> Result<Event, Malformed> {
        let Envelope { id, source, kind, subject, correlationid, trace, data, .. } = envelope;
        if envelope.specversion != SPEC_VERSION {
            return Err(Malformed::SpecVersion(envelope.specversion));
        }
        if envelope.datacontenttype != json() {
            return Err(Malformed::ContentType(envelope.datacontenttype));
        }
        for (name, text) in [("source", &source), ("type", &kind), ("subject", &subject)] {
            if text.is_empty() {
                return Err(Malformed::Empty(name));
            }
        }
        let time: Timestamp =
            envelope.time.parse().map_err(|_| Malformed::Time(envelope.time.clone()))?;
        let (time, correlation) = (time.as_microsecond(), correlationid);
        Ok(Event { id, source, kind, subject, time, correlation, trace, data })
    }
}

impl From<Event> for Envelope {
    fn from(event: Event) -> Envelope {
        // Outside the years -9999 to 9999 there is no text for it, and no such event.
        let time = Timestamp::from_microsecond(event.time).unwrap_or(Timestamp::UNIX_EPOCH);
        Envelope {
            specversion: SPEC_VERSION.to_owned(),
            id: event.id,
            source: event.source,
            kind: event.kind,
            subject: event.subject,
            time: time.to_string(),
            correlationid: event.correlation,
            trace: event.trace,
            datacontenttype: json(),
            data: event.data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn confirmed() -> Value {
        json!({
            "specversion": "1.0",
            "id": "0199f2c6-7f0a-7d51-a3e6-5c1f6d0f4b11",
            "source": "/orders",
            "type": "order.confirmed.v1",
            "subject": "0199f2c6-4c11-7a63-9a56-0d6a3a1f9b02",
            "time": "2026-11-27T08:00:00.000123Z",
            "correlationid": "0199f2c6-4c11-7a63-9a56-0d6a3a1f9b02",
            "datacontenttype": "application/json",
            "data": {"total": {"amount": 4990, "currency": "EUR"}},
        })
    }

    fn read(json: Value) -> Result<Event, String> {
        serde_json::from_value(json).map_err(|error| error.to_string())
    }

    fn without(field: &str) -> Value {
        let mut json = confirmed();
        json.as_object_mut().unwrap().remove(field);
        json
    }

    fn with(field: &str, value: impl Into<Value>) -> Value {
        let mut json = confirmed();
        json[field] = value.into();
        json
    }

    #[test]
    fn an_event_is_written_as_it_was_read() {
        let event = read(confirmed()).unwrap();
        assert_eq!(event.known(), Ok(Type::OrderConfirmed));
        assert_eq!(event.time, 1_795_766_400_000_123);
        assert_eq!(event.correlation.to_string(), event.subject);
        assert_eq!(serde_json::to_value(&event).unwrap(), confirmed());
    }

    #[test]
    fn a_new_event_comes_back_the_same() {
        let order = OrderId::new();
        let event = Event::new("/orders", Type::OrderPlaced, order, order, json!({"lines": []}));
        assert_eq!(event.id.get_version_num(), 7);
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }

    #[test]
    fn what_the_specification_wants_has_to_be_there() {
        for field in ["specversion", "id", "source", "type", "subject", "time", "correlationid"] {
            let refused = read(without(field)).unwrap_err();
            assert!(refused.contains(field), "{field}: {refused}");
        }
        for (field, value) in [
            ("specversion", "0.3"),
            ("source", ""),
            ("type", ""),
            ("subject", ""),
            ("time", "yesterday"),
            ("datacontenttype", "text/xml"),
        ] {
            let refused = read(with(field, value)).unwrap_err();
            assert!(refused.contains(field), "{field}: {refused}");
        }
    }

    #[test]
    fn what_the_specification_leaves_open_may_be_otherwise() {
        let event = read(confirmed()).unwrap();
        assert_eq!(read(without("datacontenttype")), Ok(event.clone()));
        assert_eq!(read(without("data")).unwrap().data, Value::Null);
        assert_eq!(read(with("partitionkey", "an extension")), Ok(event.clone()));
        // What is no trace is for those to say who go on with it: no event is refused for it.
        let traced = read(with("traceparent", "00-0af7")).unwrap();
        assert_eq!(traced.trace.parent.as_deref(), Some("00-0af7"));
        assert_eq!(Event { trace: Trace::default(), ..traced }, event);
        assert_eq!(read(with("time", "2026-11-27T09:00:00.000123+01:00")), Ok(event));
        let newer = read(with("type", "order.confirmed.v2")).unwrap();
        assert_eq!(newer.known(), Err(UnknownType("order.confirmed.v2".to_owned())));
    }

    #[test]
    fn types_are_aggregate_fact_and_version() {
        for kind in Type::ALL {
            let words: Vec<_> = kind.as_str().split('.').collect();
            assert!(matches!(words[..], [_, _, "v1"]), "{kind}");
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
    }
}
