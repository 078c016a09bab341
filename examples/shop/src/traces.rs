//! The newest traces of a process, for those who run it: `GET /spans/{trace}`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use observability::propagation::OneTrace;
use observability::spans::{Finished, Kind, Place, SpanId, TraceId};
use observability::telemetry::Telemetry;
use serde::{Deserialize, Serialize};

/// A span, as it is told: ids in hexadecimal digits, times in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The service that worked.
    pub service: String,
    /// What it did.
    pub name: String,
    /// `server`, `client`, `producer`, `consumer` or `internal`.
    pub kind: String,
    /// Which one it is.
    pub span: String,
    /// The span that caused it.
    pub parent: Option<String>,
    /// When it began, since 1970, UTC.
    pub start: u64,
    /// How long it took.
    pub took: u64,
    /// Whether it failed by its own account.
    pub failed: bool,
    /// What is known of it, by OpenTelemetry's names.
    pub attributes: BTreeMap<String, String>,
    /// Spans that have to do with it and did not cause it.
    pub links: Vec<String>,
}

const KINDS: [(Kind, &str); 5] = [
    (Kind::Server, "server"),
    (Kind::Client, "client"),
    (Kind::Producer, "producer"),
    (Kind::Consumer, "consumer"),
    (Kind::Internal, "internal"),
];

impl From<Finished> for Told {
    fn from(span: Finished) -> Told {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let kind = KINDS.iter().find(|(kind, _)| *kind == span.kind);
        let attributes = span.attributes.into_iter();
        Told {
            service: span.service.to_string(),
            name: span.name.into_owned(),
            kind: kind.map_or("internal", |(_, name)| name).to_owned(),
            span: span.place.span.to_string(),
            parent: span.parent.map(|parent| parent.to_string()),
            start: micros(span.start.duration_since(UNIX_EPOCH).unwrap_or_default()),
            took: micros(span.duration),
            failed: span.failed,
            attributes: attributes.map(|(name, value)| (name.into_owned(), value)).collect(),
            links: span.links.iter().map(|link| link.span.to_string()).collect(),
        }
    }
}

impl Told {
    /// It again, as one of `trace`; `None` if that or its ids are none.
    pub fn finished(&self, trace: TraceId) -> Option<Finished> {
        let span = |digits: &str| u64::from_str_radix(digits, 16).ok().map(SpanId);
        let kind = KINDS.iter().find(|(_, name)| *name == self.kind);
        let duration = Duration::from_micros(self.took);
        let links = self.links.iter().filter_map(|link| span(link));
        let attributes = self.attributes.iter();
        Some(Finished {
            place: Place { trace, span: span(&self.span)? },
            parent: self.parent.as_deref().and_then(span),
            service: self.service.as_str().into(),
            name: Cow::Owned(self.name.clone()),
            kind: kind.map_or(Kind::Internal, |(kind, _)| *kind),
            start: UNIX_EPOCH + Duration::from_micros(self.start),
            duration,
            busy: duration,
            failed: self.failed,
            attributes: attributes
                .map(|(name, value)| (Cow::Owned(name.clone()), value.clone()))
                .collect(),
            events: Vec::new(),
            links: links.map(|span| Place { trace, span }).collect(),
        })
    }
}

/// Of a trace, what `service` was asked for where that took longest, and what came of it. None, where
/// it was asked for nothing.
pub fn of_service(trace: &[Told], service: &str) -> Option<Vec<Told>> {
    let asked = |span: &&Told| {
        span.service == service && matches!(span.kind.as_str(), "server" | "consumer")
    };
    let longest = trace.iter().filter(asked).max_by_key(|span| span.took)?;
    let mut part = BTreeSet::from([&longest.span]);
    loop {
        let below =
            trace.iter().filter(|span| span.parent.as_ref().is_some_and(|up| part.contains(up)));
        let below: Vec<_> = below.map(|span| &span.span).collect();
        let before = part.len();
        part.extend(below);
        if part.len() == before {
            break;
        }
    }
    Some(trace.iter().filter(|span| part.contains(&span.span)).cloned().collect())
}

/// What the service `name` calls its own; silent, where nothing is recorded.
pub(crate) fn of(telemetry: Option<&Telemetry>, name: &'static str) -> OneTrace {
    telemetry.map(|telemetry| telemetry.traces(name)).unwrap_or_default()
}

/// Thirty-two hexadecimal digits.
pub fn id(text: &str) -> Option<TraceId> {
    let is_one = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_one.then(|| u128::from_str_radix(text, 16).ok().map(TraceId)).flatten()
}

/// The spans of a trace that have ended in this process, by their beginning. Of one that is not known
/// there are none.
pub(crate) fn routes(telemetry: Option<&Telemetry>) -> Router {
    let recent = telemetry.map(Telemetry::recent).cloned();
    let find = async move |Path(trace): Path<String>| {
        let found = recent.as_ref().zip(id(&trace)).map(|(recent, trace)| recent.find(trace));
        let spans = found.unwrap_or_default();
        Json(spans.into_iter().map(Told::from).collect::<Vec<_>>())
    };
    Router::new().route("/spans/{trace}", get(find))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(name: &str, parent: Option<&str>, service: &str, kind: &str, took: u64) -> Told {
        Told {
            service: service.into(),
            name: name.into(),
            kind: kind.into(),
            span: name.into(),
            parent: parent.map(Into::into),
            start: 0,
            took,
            failed: false,
            attributes: BTreeMap::new(),
            links: Vec::new(),
        }
    }

    #[test]
    fn of_a_service_is_its_longest_and_all_beneath() {
        // What is caused may be told before its cause.
        let trace = [
            span("f", Some("e"), "catalog", "server", 8),
            span("e", Some("d"), "carts", "client", 9),
            span("a", None, "gateway", "server", 100),
            span("b", Some("a"), "gateway", "client", 90),
            span("c", Some("b"), "carts", "server", 5),
            span("d", Some("b"), "carts", "server", 10),
            span("g", Some("b"), "orders", "internal", 50),
        ];
        let of = |service| {
            let part = of_service(&trace, service)?;
            Some(part.into_iter().map(|span| span.name).collect::<String>())
        };
        assert_eq!(of("carts").as_deref(), Some("fed"));
        assert_eq!(of("catalog").as_deref(), Some("f"));
        assert_eq!(of("gateway").as_deref(), Some("feabcdg"));
        assert_eq!(of("orders"), None, "it was asked for nothing");
    }
}
