//! The newest traces, in the memory of the process that made them.
//!
//! What is looked at is what has just happened: an order that was placed a minute ago. So a program
//! can show it without any collector, as Go's `net/trace` does under `/debug/requests`.

use crate::spans::{Finished, Kind, Place, Said, SpanId, TraceId};
use opentelemetry::trace::{SpanContext, SpanKind, Status};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::Level;

/// So many spans of one trace are kept. A loop that runs wild must not push out all the others.
const MOST_OF_ONE: usize = 2_000;

/// The newest traces. Clones are the same.
#[derive(Clone, Debug)]
pub struct Recent {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug)]
struct Kept {
    most: usize,
    traces: HashMap<TraceId, Vec<SpanData>>,
    /// Whoever began first goes first.
    order: VecDeque<TraceId>,
    spans: usize,
    recorded: u64,
}

impl Recent {
    /// Keeps at most so many spans.
    pub fn new(most: usize) -> Recent {
        let (traces, order) = (HashMap::new(), VecDeque::new());
        let kept = Kept { most, traces, order, spans: 0, recorded: 0 };
        Recent { kept: Arc::new(Mutex::new(kept)) }
    }

    /// The spans of a trace that have ended so far, by their beginning; none where it is not known
    /// here, or not any more.
    pub fn find(&self, trace: TraceId) -> Vec<Finished> {
        let spans = self.lock().traces.get(&trace).cloned().unwrap_or_default();
        let mut spans: Vec<_> = spans.into_iter().map(finished).collect();
        spans.sort_by_key(|span| span.start);
        spans
    }

    /// The traces that are here, the newest first.
    pub fn traces(&self) -> Vec<TraceId> {
        self.lock().order.iter().rev().copied().collect()
    }

    /// How many spans were recorded, kept or not.
    pub fn recorded(&self) -> u64 {
        self.lock().recorded
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, span: SpanData) {
        self.recorded += 1;
        let trace = place(&span.span_context).trace;
        let spans = self.traces.entry(trace).or_insert_with(|| {
            self.order.push_back(trace);
            Vec::new()
        });
        if spans.len() < MOST_OF_ONE {
            spans.push(span);
            self.spans += 1;
        }
        while self.spans > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.spans -= self.traces.remove(&oldest).map_or(0, |spans| spans.len());
        }
    }
}

impl SpanProcessor for Recent {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.lock().keep(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn place(span: &SpanContext) -> Place {
    let trace = TraceId(u128::from_be_bytes(span.trace_id().to_bytes()));
    Place { trace, span: SpanId(u64::from_be_bytes(span.span_id().to_bytes())) }
}

fn attributes(attributes: Vec<KeyValue>) -> Vec<(Cow<'static, str>, String)> {
    attributes.into_iter().map(|one| (one.key.to_string().into(), one.value.to_string())).collect()
}

/// OpenTelemetry's span as plain data. How long a thread was at work in it, it does not know.
fn finished(span: SpanData) -> Finished {
    let said = span.events.events.into_iter().map(|event| Said {
        at: event.timestamp,
        level: Level::INFO,
        message: event.name.into_owned(),
        attributes: attributes(event.attributes),
    });
    // A clock that was set back in between makes no time negative.
    let duration = span.end_time.duration_since(span.start_time).unwrap_or_default();
    Finished {
        place: place(&span.span_context),
        parent: (span.parent_span_id != opentelemetry::SpanId::INVALID)
            .then(|| SpanId(u64::from_be_bytes(span.parent_span_id.to_bytes()))),
        service: span.instrumentation_scope.name().into(),
        name: span.name,
        kind: match span.span_kind {
            SpanKind::Server => Kind::Server,
            SpanKind::Client => Kind::Client,
            SpanKind::Producer => Kind::Producer,
            SpanKind::Consumer => Kind::Consumer,
            SpanKind::Internal => Kind::Internal,
        },
        start: span.start_time,
        duration,
        busy: duration,
        failed: matches!(span.status, Status::Error { .. }),
        attributes: attributes(span.attributes),
        events: said.collect(),
        links: span.links.links.iter().map(|link| place(&link.span_context)).collect(),
    }
}
