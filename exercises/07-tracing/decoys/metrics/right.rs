//! What wrong answers do right: all of it by hand. Each wrong answer is a [`Part`] that does one thing
//! in another way.

use super::figures::{added, quantile, rate};
use http::StatusCode;
use observability::metrics::{
    ABANDONED, ACTIVE, Asked, BOUNDS, Bucket, DURATION, HUNG_UP, IN_USE, LIMIT, METHODS, Metrics,
    OTHER, OTHER_METHOD, Point, Sources, UNMATCHED, WAITING,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

pub type Labels = Vec<(&'static str, String)>;

/// A trace, and how long its request took.
pub type Exemplar = (Arc<str>, f64);

/// One histogram. What is in a bucket here is in no other.
#[derive(Clone, Default)]
pub struct Series {
    pub counts: Vec<u64>,
    pub exemplars: Vec<Option<Exemplar>>,
    pub count: u64,
    pub sum: f64,
}

/// Those who wait, where a wrong answer keeps them itself.
pub type Queue = Arc<Mutex<VecDeque<oneshot::Sender<()>>>>;

#[derive(Clone, Default)]
pub struct State {
    pub series: BTreeMap<Labels, Series>,
    pub active: i64,
    pub in_use: i64,
    pub waiting: i64,
    pub abandoned: u64,
    pub begun_by: Option<Arc<str>>,
    pub paths: BTreeSet<String>,
    pub queue: Queue,
}

pub struct Shared {
    pub sources: Sources,
    pub state: Mutex<State>,
    pub places: Arc<Semaphore>,
}

impl Shared {
    pub fn new(sources: Sources, places: usize) -> Shared {
        let places = Arc::new(Semaphore::new(places));
        Shared { sources, state: Mutex::default(), places }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What may be done otherwise.
pub trait Part: Sized + Send + Sync + 'static {
    const BOUNDS: &'static [f64] = &BOUNDS;

    fn shared(sources: Sources, places: usize) -> Arc<Shared> {
        Arc::new(Shared::new(sources, places))
    }

    fn labels(asked: &Asked<'_>) -> Labels {
        vec![("http_route", Self::route(asked)), ("http_request_method", Self::method(asked))]
    }

    fn route(asked: &Asked<'_>) -> String {
        asked.route.unwrap_or(UNMATCHED).to_owned()
    }

    fn method(asked: &Asked<'_>) -> String {
        let known = METHODS.into_iter().find(|known| *known == asked.method.as_str());
        known.unwrap_or(OTHER_METHOD).to_owned()
    }

    /// The status with which it is counted, if it is.
    fn code(ended: Option<StatusCode>) -> Option<String> {
        let code = match ended {
            Some(status) => status.as_u16(),
            None if std::thread::panicking() => 500,
            None => HUNG_UP,
        };
        Some(code.to_string())
    }

    fn begins(state: &mut State) {
        state.active += 1;
    }

    fn ends(state: &mut State) {
        state.active -= 1;
    }

    fn seconds(took: Duration, _ended: Option<StatusCode>) -> f64 {
        took.as_secs_f64()
    }

    fn within(seconds: f64, le: f64) -> bool {
        seconds <= le
    }

    /// The labels under which it is counted, if it is.
    fn place(state: &mut State, labels: Labels) -> Option<Labels> {
        match state.series.contains_key(&labels) || state.series.len() < LIMIT {
            true => Some(labels),
            false => Some(labels.into_iter().map(|(name, _)| (name, OTHER.to_owned())).collect()),
        }
    }

    fn named(trace: Option<Arc<str>>) -> Option<Arc<str>> {
        trace.filter(|id| "trace_id".len() + id.chars().count() <= 128)
    }

    fn observe(shared: &Shared, labels: Labels, seconds: f64) {
        let trace = Self::named((shared.sources.trace)());
        let state = &mut *shared.lock();
        if let Some(labels) = Self::place(state, labels) {
            Self::count(state.series.entry(labels).or_default(), seconds, trace);
        }
    }

    fn count(series: &mut Series, seconds: f64, trace: Option<Arc<str>>) {
        let at = at::<Self>(series, seconds);
        series.counts[at] += 1;
        series.count += 1;
        series.sum += Self::added(seconds);
        if let Some(trace) = trace {
            Self::mark(&mut series.exemplars, at, (trace, seconds));
        }
    }

    fn added(seconds: f64) -> f64 {
        seconds
    }

    fn mark(exemplars: &mut [Option<Exemplar>], at: usize, this: Exemplar) {
        exemplars[at] = Some(this);
    }

    fn measure<F>(
        shared: Arc<Shared>,
        asked: Asked<'_>,
        work: F,
    ) -> impl Future<Output = StatusCode> + Send
    where
        F: Future<Output = StatusCode> + Send,
    {
        async move {
            let begun = Begun::<Self>::new(shared, &asked);
            let status = work.await;
            begun.ends(status);
            status
        }
    }

    fn waits(state: &mut State) {
        state.waiting += 1;
    }

    fn waits_no_longer(state: &mut State, gave_up: bool) {
        state.waiting -= 1;
        state.abandoned += u64::from(gave_up);
    }

    fn take(shared: Arc<Shared>) -> impl Future<Output = Held> + Send {
        async move {
            if let Ok(permit) = Arc::clone(&shared.places).try_acquire_owned() {
                return Held::new(shared, permit);
            }
            let mut waits = Waits::<Self>::new(Arc::clone(&shared));
            let permit = Arc::clone(&shared.places).acquire_owned().await.expect("is open");
            waits.gave_up = false;
            drop(waits);
            Held::new(shared, permit)
        }
    }

    fn escape(value: &str) -> String {
        value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
    }

    fn scrape(shared: &Shared) -> String {
        let state = shared.lock().clone();
        Self::written(written::<Self>(&state))
    }

    /// What may be wrong with the text.
    fn written(text: String) -> String {
        text
    }

    fn rate(instances: &[Vec<Point>]) -> Option<f64> {
        instances.iter().filter_map(|points| rate(points)).reduce(|sum, one| sum + one)
    }

    fn quantile(q: f64, instances: &[Vec<Bucket>]) -> f64 {
        quantile(q, &added(instances))
    }
}

/// The bucket of this duration.
pub fn at<P: Part>(series: &mut Series, seconds: f64) -> usize {
    series.counts.resize(P::BOUNDS.len() + 1, 0);
    series.exemplars.resize(P::BOUNDS.len() + 1, None);
    P::BOUNDS.iter().position(|le| P::within(seconds, *le)).unwrap_or(P::BOUNDS.len())
}

pub struct Begun<P: Part> {
    shared: Arc<Shared>,
    labels: Labels,
    at: Duration,
    pub ended: Option<StatusCode>,
    part: PhantomData<fn() -> P>,
}

impl<P: Part> Begun<P> {
    pub fn new(shared: Arc<Shared>, asked: &Asked<'_>) -> Begun<P> {
        let (labels, at) = (P::labels(asked), shared.sources.clock.now());
        P::begins(&mut shared.lock());
        Begun { shared, labels, at, ended: None, part: PhantomData }
    }

    pub fn ends(mut self, status: StatusCode) {
        self.ended = Some(status);
    }
}

impl<P: Part> Drop for Begun<P> {
    fn drop(&mut self) {
        P::ends(&mut self.shared.lock());
        let took = self.shared.sources.clock.now() - self.at;
        if let Some(code) = P::code(self.ended) {
            let mut labels = std::mem::take(&mut self.labels);
            labels.push(("http_response_status_code", code));
            P::observe(&self.shared, labels, P::seconds(took, self.ended));
        }
    }
}

pub struct Waits<P: Part> {
    shared: Arc<Shared>,
    pub gave_up: bool,
    part: PhantomData<fn() -> P>,
}

impl<P: Part> Waits<P> {
    pub fn new(shared: Arc<Shared>) -> Waits<P> {
        P::waits(&mut shared.lock());
        Waits { shared, gave_up: true, part: PhantomData }
    }
}

impl<P: Part> Drop for Waits<P> {
    fn drop(&mut self) {
        P::waits_no_longer(&mut self.shared.lock(), self.gave_up);
    }
}

/// A place.
pub struct Held {
    pub shared: Arc<Shared>,
    pub back: fn(&Shared),
    /// Given back last: more places than there are never seem to be taken.
    pub permit: Option<OwnedSemaphorePermit>,
}

impl Held {
    pub fn new(shared: Arc<Shared>, permit: OwnedSemaphorePermit) -> Held {
        shared.lock().in_use += 1;
        let back = |shared: &Shared| shared.lock().in_use -= 1;
        Held { shared, back, permit: Some(permit) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        (self.back)(&self.shared);
        drop(self.permit.take());
    }
}

/// The whole answer.
pub struct Whole<P>(Arc<Shared>, PhantomData<fn() -> P>);

impl<P: Part> Metrics for Whole<P> {
    type Place = Held;

    fn open(sources: Sources, places: usize) -> Whole<P> {
        Whole(P::shared(sources, places), PhantomData)
    }

    fn measure<F>(&self, asked: Asked<'_>, work: F) -> impl Future<Output = StatusCode> + Send
    where
        F: Future<Output = StatusCode> + Send,
    {
        P::measure(Arc::clone(&self.0), asked, work)
    }

    fn take(&self) -> impl Future<Output = Held> + Send {
        P::take(Arc::clone(&self.0))
    }

    fn scrape(&self) -> String {
        P::scrape(&self.0)
    }

    fn rate(instances: &[Vec<Point>]) -> Option<f64> {
        P::rate(instances)
    }

    fn quantile(q: f64, instances: &[Vec<Bucket>]) -> f64 {
        P::quantile(q, instances)
    }
}

fn written<P: Part>(state: &State) -> String {
    let mut text = String::new();
    let say = |text: &mut String, line: std::fmt::Arguments<'_>| {
        let _ = text.write_fmt(line);
        text.push('\n');
    };
    for (word, rest) in [("HELP", "How long."), ("TYPE", "histogram"), ("UNIT", "seconds")] {
        say(&mut text, format_args!("# {word} {DURATION} {rest}"));
    }
    for (labels, series) in &state.series {
        let labels = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", P::escape(value)));
        let labels = labels.collect::<Vec<_>>().join(",");
        say(&mut text, format_args!("{DURATION}_sum{{{labels}}} {}", series.sum));
        say(&mut text, format_args!("{DURATION}_count{{{labels}}} {}", series.count));
        let bounds = P::BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        let mut up_to = 0;
        for (at, le) in bounds.enumerate() {
            up_to += series.counts[at];
            let exemplar = match &series.exemplars[at] {
                Some((id, value)) => format!(" # {{trace_id=\"{}\"}} {value}", P::escape(id)),
                None => String::new(),
            };
            let name = format!("{DURATION}_bucket{{le=\"{le}\",{labels}}}");
            say(&mut text, format_args!("{name} {up_to}{exemplar}"));
        }
    }
    let abandoned = ABANDONED.trim_end_matches("_total");
    for (family, name, kind, value) in [
        (ACTIVE, ACTIVE, "gauge", state.active),
        (IN_USE, IN_USE, "gauge", state.in_use),
        (WAITING, WAITING, "gauge", state.waiting),
        (abandoned, ABANDONED, "counter", state.abandoned as i64),
    ] {
        say(&mut text, format_args!("# HELP {family} How many.\n# TYPE {family} {kind}"));
        say(&mut text, format_args!("{name} {value}"));
    }
    text + "# EOF\n"
}
