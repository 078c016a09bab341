//! Keeps the newest traces in memory.
//!
//! Bounded in all directions: so many traces, so many spans in one, so many lines in a span. Traces and
//! spans that do not fit are counted.

use super::finished::{Finished, Kind, Said};
use super::place::{Place, SpanId, TraceId};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Span, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, Registry, SpanRef};

/// So many lines a span keeps: OpenTelemetry's own limit.
const LINES: usize = 128;

/// A layer that keeps the newest finished traces. A clone keeps the same ones.
///
/// ```
/// use observability::spans::Recorder;
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let recorder = Recorder::new("orders", 100);
/// let subscriber = tracing_subscriber::registry().with(recorder.clone());
/// tracing::subscriber::with_default(subscriber, || {
///     tracing::info_span!("load cart").in_scope(|| tracing::info!("three lines"));
/// });
/// let traces = recorder.traces();
/// assert_eq!(traces[0].spans[0].name, "load cart");
/// assert_eq!(traces[0].spans[0].events[0].message, "three lines");
/// ```
///
/// A trace is finished when its first span and all that hangs beneath it have ended: the registry of
/// `tracing` keeps a span for as long as it has children. A span's *duration* is its own nevertheless:
/// it ends where the span was last left, and not with the children that outlive it. A task that never
/// ends would keep its trace from sight; give it a trace of its own, with a link.
///
/// Where several services run in one process, the first span of each says so in a field `service.name`;
/// what hangs beneath it is of the same service.
///
/// The log's filter must be the log's own, `Lines::new(…).with_filter(LevelFilter::WARN)`. As a layer
/// of its own it would be everybody's, and a quiet log would be one without spans.
#[derive(Clone, Debug)]
pub struct Recorder {
    service: Arc<str>,
    level: Level,
    spans: usize,
    kept: Arc<Mutex<Kept>>,
}

/// A finished trace, or as much of it as this service knows.
#[derive(Clone, Debug)]
pub struct Trace {
    /// What all its spans have in common.
    pub id: TraceId,
    /// The spans, by their beginning.
    pub spans: Vec<Finished>,
    /// How many more there were.
    pub dropped: u64,
}

#[derive(Debug)]
struct Kept {
    newest: usize,
    traces: VecDeque<Arc<Shared>>,
    dropped: u64,
}

/// A trace that grows.
#[derive(Debug)]
struct Shared {
    /// When it began, by both clocks. All its times are told from here, so that no span ends after its
    /// parent only because somebody has set the clock, or because of what lies between two looks at it.
    began: (SystemTime, Instant),
    trace: Mutex<Trace>,
}

impl Shared {
    fn begin() -> Arc<Shared> {
        let trace = Trace { id: TraceId::random(), spans: Vec::new(), dropped: 0 };
        Arc::new(Shared { began: (SystemTime::now(), Instant::now()), trace: Mutex::new(trace) })
    }

    fn time(&self, at: Instant) -> SystemTime {
        self.began.0 + at.saturating_duration_since(self.began.1)
    }
}

/// A span that has not ended. It lies in the registry, beside the span.
struct Open {
    /// All open spans of a request write into the same.
    trace: Arc<Shared>,
    is_first: bool,
    span: Finished,
    began: Instant,
    /// Left for the last time, so far.
    left: Option<Instant>,
    /// Two threads may be in a span at once, and one thread may enter it twice.
    within: usize,
    since: Instant,
}

/// Nothing panics while it holds one, and what is there stays whole.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// Keeps the newest so many traces of `service`, each with its first 1,000 spans, of all levels.
    pub fn new(service: &str, newest: usize) -> Recorder {
        let kept = Kept { newest, traces: VecDeque::new(), dropped: 0 };
        let kept = Arc::new(Mutex::new(kept));
        Recorder { service: service.into(), level: Level::TRACE, spans: 1000, kept }
    }

    /// Keeps only spans and lines that are at least as grave as this. What hangs beneath a finer span
    /// hangs beneath the next one above. With `.with_filter(LevelFilter::INFO)` around the recorder the
    /// finer ones are not even made, where no other layer wants them.
    pub fn up_to(self, level: Level) -> Recorder {
        Recorder { level, ..self }
    }

    /// Keeps so many spans of a trace: those that end first, and the first one of all.
    pub fn spans(self, spans: usize) -> Recorder {
        Recorder { spans, ..self }
    }

    /// The finished trace of this id, where it is still kept. A request that came through this service
    /// twice has all its spans in it.
    pub fn find(&self, id: TraceId) -> Option<Trace> {
        let mut parts = self.traces().into_iter().filter(|trace| trace.id == id);
        let mut found = parts.next()?;
        for part in parts {
            found.spans.extend(part.spans);
            found.dropped += part.dropped;
        }
        found.spans.sort_by_key(|span| span.start);
        Some(found)
    }

    /// All finished traces that are kept, in the order in which they ended.
    pub fn traces(&self) -> Vec<Trace> {
        let kept: Vec<_> = hold(&self.kept).traces.iter().map(Arc::clone).collect();
        let traces = kept.iter().map(|trace| {
            let mut trace = hold(&trace.trace).clone();
            trace.spans.sort_by_key(|span| span.start);
            trace
        });
        traces.collect()
    }

    /// How many finished traces had to go, for newer ones.
    pub fn dropped(&self) -> u64 {
        hold(&self.kept).dropped
    }

    // ANCHOR: here
    /// Where the work is here and now: what the next service has to be told.
    pub fn here() -> Option<Place> {
        Recorder::place_of(&Span::current())
    }
    // ANCHOR_END: here

    /// Where a span is, or the one above it if that is too fine to be recorded. None if nobody records.
    pub fn place_of(span: &Span) -> Option<Place> {
        in_registry(span, |span| nearest(&span, |open| open.place()))
    }

    /// Hangs the first span of a trace here beneath another service's. To be said before anything
    /// happens beneath it: what has ended stays in the trace of its own.
    pub fn set_parent(span: &Span, parent: Place) {
        in_registry(span, |span| {
            let mut extensions = span.extensions_mut();
            let open = extensions.get_mut::<Open>().filter(|open| open.is_first)?;
            open.span.parent = Some(parent.span);
            hold(&open.trace.trace).id = parent.trace;
            Some(())
        });
    }
}

/// What a span is in the registry, if there is one.
fn in_registry<T>(span: &Span, ask: impl FnOnce(SpanRef<'_, Registry>) -> Option<T>) -> Option<T> {
    let found = span.with_subscriber(|(id, dispatch)| {
        let registry = dispatch.downcast_ref::<Registry>()?;
        ask(registry.span(id)?)
    });
    found.flatten()
}

/// Asks the recorded span that is nearest: this one, or the next one above.
fn nearest<'a, R, T>(span: &SpanRef<'a, R>, mut ask: impl FnMut(&mut Open) -> T) -> Option<T>
where
    R: LookupSpan<'a>,
{
    span.scope().find_map(|span| span.extensions_mut().get_mut::<Open>().map(&mut ask))
}

impl Open {
    fn place(&self) -> Place {
        Place { trace: hold(&self.trace.trace).id, span: self.span.place.span }
    }
}

impl<S> Layer<S> for Recorder
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if *attributes.metadata().level() > self.level {
            return;
        }
        let above = span.parent().and_then(|above| {
            nearest(&above, |open| {
                let service = Arc::clone(&open.span.service);
                (Arc::clone(&open.trace), service, Some(open.span.place.span))
            })
        });
        let is_first = above.is_none();
        let (trace, service, parent) =
            above.unwrap_or_else(|| (Shared::begin(), Arc::clone(&self.service), None));
        let began = Instant::now();
        let place = Place { trace: hold(&trace.trace).id, span: SpanId::random() };
        let mut finished = Finished {
            place,
            parent,
            service,
            name: attributes.metadata().name().into(),
            kind: Kind::Internal,
            start: trace.time(began),
            duration: Duration::ZERO,
            busy: Duration::ZERO,
            failed: false,
            attributes: Vec::new(),
            events: Vec::new(),
            links: Vec::new(),
        };
        attributes.record(&mut Fields(&mut finished));
        let open =
            Open { trace, is_first, span: finished, began, left: None, within: 0, since: began };
        span.extensions_mut().replace(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        with_open(&context, id, |open| values.record(&mut Fields(&mut open.span)));
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        let Some(other) = context.span(follows) else { return };
        if let Some(link) = nearest(&other, |open| open.place()) {
            with_open(&context, id, |open| open.span.links.push(link));
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        with_open(&context, id, |open| {
            open.within += 1;
            if open.within == 1 {
                open.since = Instant::now();
            }
        });
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        with_open(&context, id, |open| {
            open.within = open.within.saturating_sub(1);
            if open.within == 0 {
                let now = Instant::now();
                open.span.busy += now - open.since;
                open.left = Some(now);
            }
        });
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let level = *event.metadata().level();
        let Some(span) = context.event_span(event).filter(|_| level <= self.level) else { return };
        let mut line = Line::default();
        event.record(&mut line);
        nearest(&span, |open| {
            if open.span.events.len() < LINES {
                let Line { message, attributes } = std::mem::take(&mut line);
                let at = open.trace.time(Instant::now());
                open.span.events.push(Said { at, level, message, attributes });
            }
        });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(mut open) = span.extensions_mut().remove::<Open>() else { return };
        let ended = open.left.unwrap_or_else(Instant::now);
        open.span.duration = ended - open.began;
        let mut trace = hold(&open.trace.trace);
        open.span.place.trace = trace.id;
        if trace.spans.len() < self.spans || open.is_first {
            trace.spans.push(open.span);
        } else {
            trace.dropped += 1;
        }
        drop(trace);
        if open.is_first {
            let mut kept = hold(&self.kept);
            kept.traces.push_back(open.trace);
            while kept.traces.len() > kept.newest {
                kept.traces.pop_front();
                kept.dropped += 1;
            }
        }
    }
}

fn with_open<S>(context: &Context<'_, S>, id: &Id, change: impl FnOnce(&mut Open))
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    if let Some(span) = context.span(id)
        && let Some(open) = span.extensions_mut().get_mut::<Open>()
    {
        change(open);
    }
}

type Texts = Vec<(Cow<'static, str>, String)>;

/// Sets a value in the place of what stood there.
fn put(texts: &mut Texts, name: &'static str, value: String) {
    match texts.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => *known = value,
        None => texts.push((name.into(), value)),
    }
}

/// What a span says of itself; some fields have a meaning.
struct Fields<'a>(&'a mut Finished);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "otel.name" => self.0.name = value.to_owned().into(),
            "otel.kind" => self.0.kind = Kind::of(value),
            "service.name" => self.0.service = value.into(),
            "otel.status_code" => self.0.failed = value.eq_ignore_ascii_case("error"),
            name => put(&mut self.0.attributes, name, value.to_owned()),
        }
    }
}

/// What an event says.
#[derive(Default)]
struct Line {
    message: String,
    attributes: Texts,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => put(&mut self.attributes, name, value.to_owned()),
        }
    }
}
