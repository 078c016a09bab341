//! The newest traces of this process, for those who run it: `GET /spans/{trace}`.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use observability::telemetry::{self, Telemetry};
use opentelemetry::TraceId;
use opentelemetry::trace::SpanKind;
use serde::{Deserialize, Serialize};

/// A span, as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The service that worked.
    pub service: String,
    /// What it did.
    pub name: String,
    /// `server`, `client`, `producer`, `consumer` or `internal`.
    pub kind: String,
    /// In hexadecimal digits, like all ids.
    pub span: String,
    /// The span that caused it.
    pub parent: Option<String>,
    /// When it began: microseconds since 1970, UTC.
    pub start: u64,
    /// How long it took, in microseconds.
    pub took: u64,
    /// Whether it failed by its own account.
    pub failed: bool,
    /// What is known of it, by OpenTelemetry's names.
    pub attributes: BTreeMap<String, String>,
    /// Other spans that have to do with it.
    pub links: Vec<String>,
}

impl From<telemetry::Span> for Span {
    fn from(span: telemetry::Span) -> Span {
        let micros =
            |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let kind = match span.kind {
            SpanKind::Server => "server",
            SpanKind::Client => "client",
            SpanKind::Producer => "producer",
            SpanKind::Consumer => "consumer",
            SpanKind::Internal => "internal",
        };
        let attributes = span.attributes.iter();
        Span {
            service: span.service,
            name: span.name,
            kind: kind.to_owned(),
            span: span.place.span_id().to_string(),
            parent: span.parent.map(|parent| parent.to_string()),
            start: micros(span.start.duration_since(UNIX_EPOCH).unwrap_or_default()),
            took: micros(span.took),
            failed: span.failed,
            attributes: attributes
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect(),
            links: span.links.iter().map(|link| link.span_id().to_string()).collect(),
        }
    }
}

/// The spans of a trace that have ended in this process, by their beginning. Of one that is not known
/// there are none.
pub(crate) fn routes(telemetry: &Telemetry) -> Router {
    let recent = telemetry.recent().clone();
    let find = async move |Path(trace): Path<String>| {
        let trace = TraceId::from_hex(&trace).unwrap_or(TraceId::INVALID);
        Json(recent.find(trace).into_iter().map(Span::from).collect::<Vec<_>>())
    };
    Router::new().route("/spans/{trace}", get(find))
}
