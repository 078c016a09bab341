//! Writes down what spans begin (`+`) and end (`-`), for the timeline, and what the recorder does not
//! keep: their levels, and which of them say `OK`. It judges nothing.

use grading::History;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// A clone hears the same.
#[derive(Clone)]
pub(super) struct Witness {
    history: History,
    heard: Arc<Mutex<Vec<Heard>>>,
}

/// What was heard of a span.
#[derive(Clone)]
pub(super) struct Heard {
    pub(super) name: String,
    pub(super) level: Level,
    pub(super) is_ok: bool,
}

impl Witness {
    pub(super) fn of(history: History) -> Witness {
        Witness { history, heard: Arc::default() }
    }

    /// Once for each span, when it began, and once for each `OK`.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hear(&self, name: &str, level: Level, words: &Words) {
        let heard = Heard { name: name.to_owned(), level, is_ok: words.is_ok };
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
    }
}

/// The lane of all that the spans do.
pub(super) const LANE: &str = "shop";

/// What each door says; in most timelines it only takes room.
const DOOR: [&str; 2] = ["is made ready", "is called"];

struct Name(String);

impl<S> Layer<S> for Witness
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut words = Words::default();
        attributes.record(&mut words);
        let name = words.name.clone().unwrap_or_else(|| span.name().to_owned());
        self.hear(&name, *attributes.metadata().level(), &words);
        let above = span.parent().and_then(|above| {
            above.extensions().get::<Name>().map(|Name(name)| format!(" · in {name}"))
        });
        self.history.note(LANE, format!("+ {name}{}", above.unwrap_or_default()));
        span.extensions_mut().replace(Name(name));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut words = Words::default();
        values.record(&mut words);
        if let Some(Name(name)) = span.extensions().get::<Name>().filter(|_| words.is_ok) {
            self.hear(name, *span.metadata().level(), &words);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut words = Words::default();
        event.record(&mut words);
        if DOOR.contains(&&*words.message) {
            return;
        }
        let within = context.event_span(event).and_then(|span| {
            span.extensions().get::<Name>().map(|Name(name)| format!(" · in {name}"))
        });
        self.history.note(LANE, format!("\"{}\"{}", words.message, within.unwrap_or_default()));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        if let Some(Name(name)) = span.extensions().get::<Name>() {
            self.history.note(LANE, format!("- {name}"));
        }
    }
}

#[derive(Default)]
struct Words {
    name: Option<String>,
    message: String,
    is_ok: bool,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "otel.name" => self.name = Some(value.to_owned()),
            "otel.status_code" => self.is_ok |= value.eq_ignore_ascii_case("ok"),
            "message" => value.clone_into(&mut self.message),
            _ => {}
        }
    }
}
