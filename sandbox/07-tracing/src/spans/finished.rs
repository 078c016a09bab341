//! A span that has ended, as plain data: from whatever source, for whatever reads it.

use super::place::{Place, SpanId};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tracing::Level;

/// A span that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// Which one it is.
    pub place: Place,
    /// The span that caused it, maybe another service's; none for the first of a trace.
    pub parent: Option<SpanId>,
    /// The service that worked.
    pub service: Arc<str>,
    /// What it did: one of few names.
    pub name: Cow<'static, str>,
    /// On which side of a call it stands.
    pub kind: Kind,
    /// When it began, by the clock of its machine. Clocks of two machines differ.
    pub start: SystemTime,
    /// How long it took, by a clock that nobody sets.
    pub duration: Duration,
    /// For how much of that a thread was at work in it or beneath it. The rest it waited.
    pub busy: Duration,
    /// Whether it failed by its own account.
    pub failed: bool,
    /// What is known of it, by OpenTelemetry's names, as text.
    pub attributes: Vec<(Cow<'static, str>, String)>,
    /// What was logged in it, oldest first.
    pub events: Vec<Said>,
    /// Spans that have to do with it and did not begin it.
    pub links: Vec<Place>,
}

/// On which side of a call a span stands; see
/// [SpanKind](https://opentelemetry.io/docs/specs/otel/trace/api/#spankind).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Within a service.
    #[default]
    Internal,
    /// Answers another service or a client.
    Server,
    /// Asks another service, and waits for the answer.
    Client,
    /// Hands a message over, and does not wait.
    Producer,
    /// Works on a message.
    Consumer,
}

/// A line that was logged within a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// When.
    pub at: SystemTime,
    /// How grave.
    pub level: Level,
    /// In words.
    pub message: String,
    /// And its fields.
    pub attributes: Vec<(Cow<'static, str>, String)>,
}

impl Finished {
    /// What is known by this name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether it was dropped before its end.
    pub fn cancelled(&self) -> bool {
        self.attribute("cancelled") == Some("true")
    }

    /// For how long it waited.
    pub fn idle(&self) -> Duration {
        self.duration.saturating_sub(self.busy)
    }
}

impl Kind {
    /// By the name that stands in `otel.kind`; what is unknown is internal.
    pub(super) fn of(name: &str) -> Kind {
        let kinds = [
            ("server", Kind::Server),
            ("client", Kind::Client),
            ("producer", Kind::Producer),
            ("consumer", Kind::Consumer),
        ];
        let found = kinds.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or(Kind::Internal, |(_, kind)| kind)
    }
}
