//! What travels: a few short texts, in the headers of a request or a message, or in a row.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector};
use std::collections::BTreeMap;

/// Trace, span and flags: `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What the systems that record have to say to each other.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// What our own services have to say to each other: `tenant=7,campaign=november`.
pub const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// All that is written and removed. Other keys are of no interest here, and none are kept.
const FIELDS: [HeaderName; 3] = [TRACEPARENT, TRACESTATE, BAGGAGE];

/// A context as text, by the names of W3C: `traceparent`, `tracestate`, `baggage`. Nothing is
/// validated here: [`w3c::read`](super::w3c::read) does that where it is used.
///
/// As the column of an outbox's row it is JSON. The headers of an AMQP message are a table of long
/// strings, by the same names, and with any client a loop:
///
/// ```
/// use observability::propagation::Carrier;
/// use std::collections::BTreeMap;
///
/// let row = r#"{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}"#;
/// let stored = Carrier::from_json(row);
/// let mut headers = BTreeMap::new(); // or lapin's FieldTable
/// for (name, value) in stored.iter() {
///     headers.insert(name.to_owned(), value.to_owned());
/// }
/// let received: Carrier = headers.into_iter().collect();
/// assert_eq!(received, stored);
/// assert_eq!(received.to_json(), row);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carrier(BTreeMap<String, String>);

impl Carrier {
    /// The headers of a request. Each name may come once; only of lists may there be several lines,
    /// which are one list then (RFC 9110, 5.3). Several traceparents are none: this service would
    /// believe the first, and the next one the last.
    pub fn of_headers(headers: &HeaderMap) -> Carrier {
        let lines = |name: &HeaderName| -> Option<Vec<&str>> {
            headers.get_all(name).iter().map(|line| line.to_str().ok()).collect()
        };
        let mut carrier = Carrier::default();
        for name in &FIELDS {
            match lines(name).as_deref() {
                None | Some([]) => {}
                Some([_, _, ..]) if *name == TRACEPARENT => {}
                Some(lines) => carrier.set(name.as_str(), lines.join(",")),
            }
        }
        carrier
    }

    /// Writes it into `headers`, in the place of all that stands there of a trace. An empty one
    /// leaves nothing.
    pub fn tell(&self, headers: &mut HeaderMap) {
        for name in &FIELDS {
            headers.remove(name);
            // A carrier from a row may hold what no header can.
            let value = self.get(name.as_str()).and_then(|text| HeaderValue::from_str(text).ok());
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
    }

    /// From a row. What is no JSON object of this kind is an empty carrier, since a message is
    /// worked on also where nobody knows any more whose it is.
    pub fn from_json(text: &str) -> Carrier {
        let fields: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(text).unwrap_or_default();
        let texts = fields.into_iter().filter_map(|(name, value)| match value {
            serde_json::Value::String(text) => Some((name, text)),
            _ => None,
        });
        texts.collect()
    }

    /// For a row.
    pub fn to_json(&self) -> String {
        serde_json::json!(self.0).to_string()
    }

    /// For the headers of a message.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a field away.
    pub fn remove(&mut self, name: &HeaderName) {
        self.0.remove(name.as_str());
    }
}

/// Keeps what is of a trace, in small letters, and nothing else.
impl FromIterator<(String, String)> for Carrier {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(fields: T) -> Carrier {
        let mut carrier = Carrier::default();
        for (name, value) in fields {
            carrier.set(&name, value);
        }
        carrier
    }
}

/// For any propagator of OpenTelemetry.
impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        if let Some(name) = FIELDS.iter().find(|name| name.as_str().eq_ignore_ascii_case(key)) {
            self.0.insert(name.to_string(), value);
        }
    }
}

/// For any propagator of OpenTelemetry.
impl Extractor for Carrier {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}
