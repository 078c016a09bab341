//! CloudEvents 1.0: what an event says about itself, whoever carries it.
//!
//! Structured mode: the whole event is the body of a message, as JSON, and any transport may carry it
//! on without a look inside. Source: [CloudEvents](https://github.com/cloudevents/spec), version
//! 1.0.2, and its JSON format.

use crate::Message;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The media type of an event in structured mode.
pub const MEDIA_TYPE: &str = "application/cloudevents+json";

/// What the specification names itself; an extension may not be called so.
const NAMED: [&str; 10] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "data",
    "data_base64",
];

/// Something that has happened.
///
/// An event is known by its source and its id together. The message that carries it has the id
/// alone, so let ids differ over all sources, as random ones do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    /// Its own name, not empty.
    pub id: String,
    /// Where it happened: a URI reference such as `/orders`, not empty.
    pub source: String,
    /// What happened, as `order.placed.v1`, not empty. CloudEvents' `type`.
    pub kind: String,
    /// To what it happened: the order's id. Not empty.
    pub subject: Option<String>,
    /// When, as RFC 3339 has it: `2026-11-22T10:00:00Z`.
    pub time: Option<String>,
    /// The media type of the data, if it is not JSON.
    pub data_content_type: Option<String>,
    /// What describes the data: a URI.
    pub data_schema: Option<String>,
    /// The content.
    pub data: Data,
    /// Whatever else travels along, such as `traceparent`: texts, booleans and whole numbers of 32
    /// bits, under names of small letters and digits.
    pub extensions: BTreeMap<String, Value>,
}

/// What an event is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Data {
    /// Nothing: that it happened says all.
    #[default]
    Nothing,
    /// JSON, or, under a media type that is not JSON's, a text.
    Json(Value),
    /// Bytes, in Base64, as they came.
    Base64(String),
}

/// Why this is no event.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// The message says that it is something else.
    #[error("not an event in structured JSON: its media type is {0:?}")]
    MediaType(Option<String>),
    /// The body is not JSON.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The body is JSON, and not an object.
    #[error("not an object")]
    NoObject,
    /// An attribute is missing, empty, or not what it has to be.
    #[error("`{name}` has to be {wanted}")]
    Attribute {
        /// Its name.
        name: String,
        /// What it has to be.
        wanted: &'static str,
    },
}

impl Event {
    /// The message that carries it: its id, its kind as the routing key, the event as the body.
    ///
    /// # Errors
    /// [`Invalid::Attribute`].
    pub fn message(&self) -> Result<Message, Invalid> {
        let body = serde_json::to_vec(&self.json()?)?;
        let content_type = Some(MEDIA_TYPE.to_owned());
        Ok(Message { content_type, ..Message::new(&self.id, &self.kind, body) })
    }

    /// The event that a message carries. What it says is kept, also what nobody here knows.
    ///
    /// # Errors
    /// [`Invalid`]. Such a message will never be one, however often it is delivered.
    pub fn of(message: &Message) -> Result<Event, Invalid> {
        let given = message.content_type.as_deref();
        // Parameters may follow, and the case of letters is free.
        let media_type = given.and_then(|given| given.split(';').next()).map(str::trim);
        if !media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case(MEDIA_TYPE)) {
            return Err(Invalid::MediaType(message.content_type.clone()));
        }
        match serde_json::from_slice(&message.body)? {
            Value::Object(members) => Event::read(members),
            _ => Err(Invalid::NoObject),
        }
    }

    fn json(&self) -> Result<Value, Invalid> {
        let mut members = Map::new();
        members.insert("specversion".to_owned(), "1.0".into());
        let required = [("id", &self.id), ("source", &self.source), ("type", &self.kind)];
        let optional = [
            ("subject", &self.subject),
            ("time", &self.time),
            ("datacontenttype", &self.data_content_type),
            ("dataschema", &self.data_schema),
        ];
        let optional = optional.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?)));
        for (name, text) in required.into_iter().chain(optional) {
            members.insert(name.to_owned(), text.as_str().into());
        }
        for (name, value) in &self.extensions {
            if NAMED.contains(&name.as_str()) {
                return Err(wrong(name, "no extension: the specification has given that name"));
            }
            members.insert(name.clone(), value.clone());
        }
        match &self.data {
            Data::Nothing => None,
            Data::Json(json) => members.insert("data".to_owned(), json.clone()),
            Data::Base64(text) => members.insert("data_base64".to_owned(), text.as_str().into()),
        };
        // What this writes, it could read.
        Event::read(members.clone())?;
        Ok(Value::Object(members))
    }

    fn read(mut members: Map<String, Value>) -> Result<Event, Invalid> {
        if members.remove("specversion") != Some("1.0".into()) {
            return Err(wrong("specversion", "1.0"));
        }
        let data = match (members.remove("data"), members.remove("data_base64")) {
            // A member that is null is as one that is not there.
            (None | Some(Value::Null), None | Some(Value::Null)) => Data::Nothing,
            (Some(json), None | Some(Value::Null)) => Data::Json(json),
            (None | Some(Value::Null), Some(Value::String(text))) => Data::Base64(text),
            _ => return Err(wrong("data_base64", "a text, and without `data` beside it")),
        };
        let mut text = |name: &str| match members.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if is_text(&text) && !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(wrong(name, "a text that is not empty")),
        };
        let mut required = |name: &str| text(name)?.ok_or_else(|| wrong(name, "there"));
        let (id, source, kind) = (required("id")?, required("source")?, required("type")?);
        let (subject, time) = (text("subject")?, text("time")?);
        let (data_content_type, data_schema) = (text("datacontenttype")?, text("dataschema")?);
        if time.as_deref().is_some_and(|time| !is_time(time)) {
            return Err(wrong("time", "a time as in RFC 3339"));
        }
        if source.contains(' ') {
            return Err(wrong("source", "a URI reference"));
        }
        let mut extensions = BTreeMap::new();
        for (name, value) in members {
            let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            if name.is_empty() || !name.chars().all(named) {
                return Err(wrong(&name, "called by small letters and digits"));
            }
            let holds = match &value {
                Value::Null => continue,
                Value::Bool(_) => true,
                Value::Number(number) => {
                    number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
                }
                Value::String(text) => is_text(text),
                Value::Array(_) | Value::Object(_) => false,
            };
            if !holds {
                return Err(wrong(&name, "a text, a boolean, or a whole number of 32 bits"));
            }
            extensions.insert(name, value);
        }
        Ok(Event {
            id,
            source,
            kind,
            subject,
            time,
            data_content_type,
            data_schema,
            data,
            extensions,
        })
    }
}

fn wrong(name: &str, wanted: &'static str) -> Invalid {
    Invalid::Attribute { name: name.to_owned(), wanted }
}

/// Without control characters, which no attribute may have.
fn is_text(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// `2026-11-22T10:00:00.25+01:00`, as RFC 3339, section 5.6, has it. That a month has a 31st is not
/// looked at.
fn is_time(time: &str) -> bool {
    let bytes = time.as_bytes();
    let shape = "dddd-dd-ddTdd:dd:dd";
    let fits = |text: &[u8], shape: &str| {
        text.len() >= shape.len()
            && text.iter().zip(shape.bytes()).all(|(byte, wanted)| match wanted {
                b'd' => byte.is_ascii_digit(),
                wanted => byte.eq_ignore_ascii_case(&wanted),
            })
    };
    if !time.is_ascii() || !fits(bytes, shape) {
        return false;
    }
    let number = |at: usize| time[at..at + 2].parse().unwrap_or(99);
    let (month, day): (u8, u8) = (number(5), number(8));
    let (hour, minute, second) = (number(11), number(14), number(17));
    // 60: a leap second.
    let ranges = (1..=12).contains(&month) && (1..=31).contains(&day);
    if !ranges || hour > 23 || minute > 59 || second > 60 {
        return false;
    }
    let mut rest = &time[shape.len()..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let end = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        if end.len() == fraction.len() {
            return false;
        }
        rest = end;
    }
    match rest.as_bytes() {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', offset @ ..] if offset.len() == 5 && fits(offset, "dd:dd") => {
            let part = |at: usize| rest[at..at + 2].parse().unwrap_or(99_u8);
            part(1) <= 23 && part(4) <= 59
        }
        _ => false,
    }
}
