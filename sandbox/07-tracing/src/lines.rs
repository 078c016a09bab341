//! A log of one JSON object a line, which is what every collector of logs can read.
//!
//! ```text
//! {"timestamp":"2026-11-22T06:10:00.000000Z","level":"INFO","target":"orders",
//!  "message":"placed","request_id":"0199f2c6-…","fields":{"lines":3}}
//! ```
//!
//! (Here in two, to fit.) The id stands beside the fields and not among them: whatever an event calls
//! its own fields, it cannot pretend to be of another request.

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::io::Write;
use std::sync::Arc;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::Context;

/// Writes each event as a line. A part of a subscriber:
///
/// ```
/// use observability::correlation_ids::{CorrelationIds, TaskIds};
/// use observability::lines::Lines;
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let lines = Lines::new(std::io::stdout, TaskIds::current);
/// let subscriber = tracing_subscriber::registry().with(lines);
/// # drop(subscriber);
/// // tracing::subscriber::set_global_default(subscriber)?;
/// ```
pub struct Lines<W> {
    to: W,
    id: fn() -> Option<Arc<str>>,
}

impl<W> Lines<W> {
    /// Lines to `to`, each with what `id` says on the thread that logs, at the moment at which it
    /// logs.
    pub fn new(to: W, id: fn() -> Option<Arc<str>>) -> Lines<W> {
        Lines { to, id }
    }
}

impl<W> Debug for Lines<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: &'a str,
    level: &'a str,
    target: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: &'a BTreeMap<&'static str, Value>,
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut said = Said::default();
        event.record(&mut said);
        let mut timestamp = String::new();
        // Where the clock cannot be told, the rest of the line still can.
        let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
        let id = (self.id)();
        let line = Line {
            timestamp: &timestamp,
            level: event.metadata().level().as_str(),
            target: event.metadata().target(),
            message: &said.message,
            request_id: id.as_deref(),
            fields: &said.fields,
        };
        let Ok(mut line) = serde_json::to_vec(&line) else {
            return;
        };
        line.push(b'\n');
        // In one write: two threads that log at once must not share a line. And if nobody reads it
        // any more, that is no reason to refuse the request.
        let _ = self.to.make_writer_for(event.metadata()).write_all(&line);
    }
}

#[derive(Default)]
struct Said {
    message: String,
    fields: BTreeMap<&'static str, Value>,
}

impl Said {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(message)) => self.message = message,
            (name, value) => drop(self.fields.insert(name, value)),
        }
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string().into());
    }
}
