//! The newest traces, in the memory of the process that made them.
//!
//! What is looked at is what has just happened: an order that was placed a minute ago. So a program
//! can show it without any collector, as Go's `net/trace` does under `/debug/requests`.

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceId};
use opentelemetry::{Context, Key, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span as Begun, SpanData, SpanProcessor};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

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
    traces: HashMap<TraceId, Vec<Span>>,
    /// Whoever began first goes first.
    order: VecDeque<TraceId>,
    spans: usize,
    recorded: u64,
}

/// A span that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The service that worked.
    pub service: String,
    /// What it did.
    pub name: String,
    /// Which trace and span it is.
    pub place: SpanContext,
    /// The span that caused it; none for the first of a trace.
    pub parent: Option<SpanId>,
    /// On which side of a call it stands.
    pub kind: SpanKind,
    /// When it began, by this machine's clock.
    pub start: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Whether it failed by its own account.
    pub failed: bool,
    /// What is known of it, by OpenTelemetry's names.
    pub attributes: Vec<(Key, Value)>,
    /// Other spans that have to do with it.
    pub links: Vec<SpanContext>,
}

impl From<SpanData> for Span {
    fn from(span: SpanData) -> Span {
        let parent = span.parent_span_id;
        Span {
            service: span.instrumentation_scope.name().to_owned(),
            name: span.name.into_owned(),
            place: span.span_context,
            parent: (parent != SpanId::INVALID).then_some(parent),
            kind: span.span_kind,
            start: span.start_time,
            // A clock that was set back in between makes no time negative.
            took: span.end_time.duration_since(span.start_time).unwrap_or_default(),
            failed: matches!(span.status, Status::Error { .. }),
            attributes: span.attributes.into_iter().map(|one| (one.key, one.value)).collect(),
            links: span.links.links.into_iter().map(|link| link.span_context).collect(),
        }
    }
}

impl Recent {
    /// Keeps at most so many spans.
    pub fn new(most: usize) -> Recent {
        let kept =
            Kept { most, traces: HashMap::new(), order: VecDeque::new(), spans: 0, recorded: 0 };
        Recent { kept: Arc::new(Mutex::new(kept)) }
    }

    /// The spans of a trace that have ended so far, by their beginning; none where it is not known
    /// here, or not any more.
    pub fn find(&self, trace: TraceId) -> Vec<Span> {
        let mut spans = self.lock().traces.get(&trace).cloned().unwrap_or_default();
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
    fn keep(&mut self, span: Span) {
        self.recorded += 1;
        let trace = span.place.trace_id();
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
    fn on_start(&self, _: &mut Begun, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.lock().keep(span.into());
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
