//! Writes down what spans begin (`+`) and end (`-`), for the timeline. It judges nothing.

use grading::History;
use std::fmt::Debug;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

pub(super) struct Witness(pub(super) History);

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
        let name = words.name.unwrap_or_else(|| span.name().to_owned());
        let above = span.parent().and_then(|above| {
            above.extensions().get::<Name>().map(|Name(name)| format!(" · in {name}"))
        });
        self.0.note(LANE, format!("+ {name}{}", above.unwrap_or_default()));
        span.extensions_mut().replace(Name(name));
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
        self.0.note(LANE, format!("\"{}\"{}", words.message, within.unwrap_or_default()));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        if let Some(Name(name)) = span.extensions().get::<Name>() {
            self.0.note(LANE, format!("- {name}"));
        }
    }
}

#[derive(Default)]
struct Words {
    name: Option<String>,
    message: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "otel.name" => self.name = Some(value.to_owned()),
            "message" => value.clone_into(&mut self.message),
            _ => {}
        }
    }
}
