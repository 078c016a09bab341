//! What is written on a dead letter: by the broker, or by the consumer that gave it up.

use crate::Message;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the consumer writes on a letter: a table, as the broker's `x-death` is.
const NOTE: &str = "dead-letter";
/// How often a message was sent back. It travels with it.
const REDRIVEN: &str = "redriven";
/// How often a queue has taken a message back. It is that queue's own count, and does not travel.
const TAKEN_BACK: &str = "x-delivery-count";
/// What goes before a body has to fit into one frame, 128 KiB for all headers: a page of HTML that
/// somebody's server sent with its 500 would cost the connection.
const LONGEST_WORDS: usize = 4_000;

/// A message that nobody could deal with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// What was published, with its own key, and without what was written on it since.
    pub message: Message,
    /// Why it is here.
    pub reason: Reason,
    /// The consumer's own words of why; `None` where it had no time for any. Cut after some
    /// thousand letters.
    pub why: Option<String>,
    /// How often it was delivered since it was published or sent back. The broker does not say.
    pub attempts: Option<u32>,
    /// How often it had been sent back from here before.
    pub redriven: u32,
    /// When it died. AMQP knows seconds.
    pub died_at: SystemTime,
}

/// Why a message is in a dead-letter queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A consumer said that it can never succeed.
    Rejected,
    /// It was delivered as often as its queue allows.
    DeliveryLimit,
    /// Another reason that the broker has: `expired`, `maxlen`.
    Other(String),
}

impl Reason {
    /// As the broker spells it.
    pub fn as_str(&self) -> &str {
        match self {
            Reason::Rejected => "rejected",
            Reason::DeliveryLimit => "delivery_limit",
            Reason::Other(said) => said,
        }
    }

    fn parse(said: String) -> Reason {
        match said.as_str() {
            "rejected" => Reason::Rejected,
            "delivery_limit" => Reason::DeliveryLimit,
            _ => Reason::Other(said),
        }
    }
}

/// How many-eth delivery this is, from 1. A quorum queue counts what came back to it, in a header.
pub fn attempt(delivery: &Delivery) -> u32 {
    let headers = delivery.properties.headers().as_ref();
    let back = headers.and_then(|headers| number(headers, TAKEN_BACK));
    back.unwrap_or(0).saturating_add(1)
}

impl DeadLetter {
    /// What was taken from a dead-letter queue.
    pub fn read(delivery: &Delivery) -> DeadLetter {
        let none = FieldTable::default();
        let headers = delivery.properties.headers().as_ref().unwrap_or(&none);
        let mut message = Message::delivered(delivery);
        message.headers.retain(|name, _| !is_written_since(name));
        let redriven = number(headers, REDRIVEN).unwrap_or(0);
        let mut letter = DeadLetter {
            message,
            reason: Reason::Other(String::new()),
            why: None,
            attempts: None,
            redriven,
            died_at: UNIX_EPOCH,
        };
        // Somebody's note is younger than any death of which the broker knew.
        let note = table(headers, NOTE);
        let (death, key) = match note {
            Some(note) => (Some(note), text(note, "key")),
            None => {
                let death = latest_death(headers);
                (death, death.and_then(first_key))
            }
        };
        if let Some(death) = death {
            letter.reason = Reason::parse(text(death, "reason").unwrap_or_default());
            letter.died_at = time(death).unwrap_or(UNIX_EPOCH);
        }
        if let Some(key) = key {
            letter.message.key = key;
        }
        letter.why = note.and_then(|note| text(note, "why"));
        letter.attempts = note.and_then(|note| number(note, "attempts"));
        letter
    }
}

/// The envelope of a message that is given up: as it was, with a note of why, which
/// [`DeadLetter::read`] reads.
pub fn closed(delivery: &Delivery, reason: &Reason, why: &str) -> BasicProperties {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let why: String = why.chars().take(LONGEST_WORDS).collect();
    let mut note = FieldTable::default();
    note.insert("reason".into(), long(reason.as_str()));
    note.insert("why".into(), long(&why));
    note.insert("attempts".into(), AMQPValue::LongUInt(attempt(delivery)));
    note.insert("time".into(), AMQPValue::Timestamp(seconds));
    note.insert("key".into(), long(delivery.routing_key.as_str()));
    let mut headers = own_headers(&delivery.properties);
    if let Some(redriven) = redriven(&delivery.properties) {
        headers.insert(REDRIVEN.into(), AMQPValue::LongUInt(redriven));
    }
    headers.insert(NOTE.into(), AMQPValue::FieldTable(note));
    copied(&delivery.properties, headers)
}

/// The envelope of a message that is sent back: as it was when it was published, but for a number
/// that says how often it was sent back.
pub fn opened(letter: &Delivery) -> BasicProperties {
    let mut headers = own_headers(&letter.properties);
    let times = redriven(&letter.properties).unwrap_or(0).saturating_add(1);
    headers.insert(REDRIVEN.into(), AMQPValue::LongUInt(times));
    copied(&letter.properties, headers)
}

/// Two things stay behind. A time to live would end the letter, and the broker drops it, too, when
/// it dead-letters. And a user id is only accepted from the user whose it is.
fn copied(from: &BasicProperties, headers: FieldTable) -> BasicProperties {
    const PERSISTENT: u8 = 2;
    let mut to = BasicProperties::default().with_headers(headers).with_delivery_mode(PERSISTENT);
    macro_rules! copy {
        ($($get:ident $with:ident),+) => {
            $(if let Some(value) = from.$get() { to = to.$with(value.clone()); })+
        };
    }
    copy!(
        message_id with_message_id, correlation_id with_correlation_id,
        content_type with_content_type, content_encoding with_content_encoding,
        kind with_type, timestamp with_timestamp, priority with_priority,
        reply_to with_reply_to, app_id with_app_id
    );
    to
}

fn own_headers(properties: &BasicProperties) -> FieldTable {
    let mut own = FieldTable::default();
    for (name, value) in properties.headers().iter().flatten() {
        if !is_written_since(name.as_str()) {
            own.insert(name.clone(), value.clone());
        }
    }
    own
}

fn redriven(properties: &BasicProperties) -> Option<u32> {
    number(properties.headers().as_ref()?, REDRIVEN)
}

/// Whether a header was not there when the message was published.
fn is_written_since(name: &str) -> bool {
    matches!(name, NOTE | REDRIVEN | TAKEN_BACK | "x-acquired-count" | "x-death")
        || name.starts_with("x-first-death-")
        || name.starts_with("x-last-death-")
}

/// The broker puts the latest death first.
fn latest_death(headers: &FieldTable) -> Option<&FieldTable> {
    match headers.inner().get("x-death")? {
        AMQPValue::FieldArray(deaths) => match deaths.as_slice().first()? {
            AMQPValue::FieldTable(death) => Some(death),
            _ => None,
        },
        _ => None,
    }
}

fn first_key(death: &FieldTable) -> Option<String> {
    match death.inner().get("routing-keys")? {
        AMQPValue::FieldArray(keys) => match keys.as_slice().first()? {
            AMQPValue::LongString(key) => Some(key.to_string()),
            _ => None,
        },
        _ => None,
    }
}

fn table<'a>(headers: &'a FieldTable, name: &str) -> Option<&'a FieldTable> {
    match headers.inner().get(name)? {
        AMQPValue::FieldTable(table) => Some(table),
        _ => None,
    }
}

fn text(table: &FieldTable, name: &str) -> Option<String> {
    match table.inner().get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        _ => None,
    }
}

fn number(table: &FieldTable, name: &str) -> Option<u32> {
    let value = match table.inner().get(name)? {
        AMQPValue::LongLongInt(number) => *number,
        AMQPValue::LongInt(number) => i64::from(*number),
        AMQPValue::LongUInt(number) => i64::from(*number),
        AMQPValue::ShortInt(number) => i64::from(*number),
        AMQPValue::ShortUInt(number) => i64::from(*number),
        AMQPValue::ShortShortInt(number) => i64::from(*number),
        AMQPValue::ShortShortUInt(number) => i64::from(*number),
        _ => return None,
    };
    u32::try_from(value).ok()
}

fn time(death: &FieldTable) -> Option<SystemTime> {
    match death.inner().get("time")? {
        AMQPValue::Timestamp(seconds) => UNIX_EPOCH.checked_add(Duration::from_secs(*seconds)),
        _ => None,
    }
}

fn long(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}
