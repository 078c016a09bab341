//! Those whose exemplars lead elsewhere.

use super::right::{Begun, Exemplar, Labels, Part, Shared, at};
use http::StatusCode;
use observability::metrics::{Asked, HUNG_UP};
use std::cell::Cell;
use std::sync::Arc;

/// The last trace, at every bucket of its series. A click on the slowest leads to a fast one.
/// Rejected by `exemplars`.
pub struct LastForAll;

impl Part for LastForAll {
    fn mark(exemplars: &mut [Option<Exemplar>], _: usize, this: Exemplar) {
        exemplars.fill(Some(this));
    }
}

/// Whose work it is, is asked at the beginning and kept in the instance. Another begins meanwhile.
/// Rejected by `exemplars`.
pub struct AskedAtTheBeginning;

impl Part for AskedAtTheBeginning {
    async fn measure<F>(shared: Arc<Shared>, asked: Asked<'_>, work: F) -> StatusCode
    where
        F: Future<Output = StatusCode> + Send,
    {
        let trace = (shared.sources.trace)();
        shared.lock().begun_by = trace;
        let begun = Begun::<Self>::new(shared, &asked);
        let status = work.await;
        begun.ends(status);
        status
    }

    fn observe(shared: &Shared, labels: Labels, seconds: f64) {
        let state = &mut *shared.lock();
        let trace = Self::named(state.begun_by.clone());
        if let Some(labels) = Self::place(state, labels) {
            Self::count(state.series.entry(labels).or_default(), seconds, trace);
        }
    }
}

/// `unwrap_or_default()`. An exemplar that names nobody. Rejected by `exemplars`.
pub struct EmptyId;

impl Part for EmptyId {
    fn named(trace: Option<Arc<str>>) -> Option<Arc<str>> {
        let trace = Some(trace.unwrap_or_default());
        trace.filter(|id| "trace_id".len() + id.chars().count() <= 128)
    }
}

/// Cuts off what is too long. What is left is found nowhere. Rejected by `exemplars`.
pub struct CutsTheId;

impl Part for CutsTheId {
    fn named(trace: Option<Arc<str>>) -> Option<Arc<str>> {
        trace.map(|id| id.chars().take(120).collect::<String>().into())
    }
}

/// The name of the service as well: who looks at several of them has to know. It stands in the target's
/// labels already. Rejected by `exemplars`.
pub struct ServiceAsWell;

impl Part for ServiceAsWell {
    fn written(text: String) -> String {
        text.replace(" # {trace_id=", " # {service=\"shop\",trace_id=")
    }
}

/// Exemplars by the bound, of all series together. A click on a slow cart leads to an order. Rejected
/// by `latest`.
pub struct OfAnySeries;

impl Part for OfAnySeries {
    fn observe(shared: &Shared, labels: Labels, seconds: f64) {
        let trace = Self::named((shared.sources.trace)());
        let state = &mut *shared.lock();
        if let Some(labels) = Self::place(state, labels) {
            Self::count(state.series.entry(labels).or_default(), seconds, trace.clone());
        }
        for series in state.series.values_mut() {
            let at = at::<Self>(series, seconds);
            if let (Some(trace), 1..) = (&trace, series.counts[at]) {
                series.exemplars[at] = Some((Arc::clone(trace), seconds));
            }
        }
    }
}

/// A bucket that has an exemplar needs none. After a week its trace is deleted everywhere but here.
/// Rejected by `latest`.
pub struct FirstForEver;

impl Part for FirstForEver {
    fn mark(exemplars: &mut [Option<Exemplar>], at: usize, this: Exemplar) {
        exemplars[at].get_or_insert(this);
    }
}

/// Labels are escaped, and ids are hexadecimal. Until somebody sends one in a header that is not: the
/// whole scrape is lost, for a quote. Rejected by `odd_ids`.
pub struct IdAsItIs;

impl Part for IdAsItIs {
    fn scrape(shared: &Shared) -> String {
        struct Right;
        impl Part for Right {}
        let ids: Vec<Arc<str>> = {
            let state = shared.lock();
            let all = state.series.values().flat_map(|series| series.exemplars.iter().flatten());
            all.map(|(id, _)| Arc::clone(id)).collect()
        };
        ids.iter().fold(Right::scrape(shared), |text, id| {
            let (escaped, bare) = (Self::escape(id), id);
            text.replace(
                &format!("# {{trace_id=\"{escaped}\"}}"),
                &format!("# {{trace_id=\"{bare}\"}}"),
            )
        })
    }
}

/// `id.len()`: bytes. OpenMetrics counts characters, and an id in another alphabet is never named.
/// Rejected by `odd_ids`.
pub struct BytesForCharacters;

impl Part for BytesForCharacters {
    fn named(trace: Option<Arc<str>>) -> Option<Arc<str>> {
        trace.filter(|id| "trace_id".len() + id.len() <= 128)
    }
}

/// Whose work it is, is asked at the beginning, and carried along. Who they are is often found out
/// behind that, by whoever reads the headers. Rejected by `at_the_end`.
pub struct AskedTooEarly;

impl Part for AskedTooEarly {
    async fn measure<F>(shared: Arc<Shared>, asked: Asked<'_>, work: F) -> StatusCode
    where
        F: Future<Output = StatusCode> + Send,
    {
        let trace = (shared.sources.trace)();
        let mut begun = Carries { trace, begun: Some(Begun::new(shared, &asked)) };
        let status = work.await;
        if let Some(begun) = &mut begun.begun {
            begun.ended = Some(status);
        }
        status
    }

    fn observe(shared: &Shared, labels: Labels, seconds: f64) {
        let trace = Self::named(CARRIED.take());
        let state = &mut *shared.lock();
        if let Some(labels) = Self::place(state, labels) {
            Self::count(state.series.entry(labels).or_default(), seconds, trace);
        }
    }
}

thread_local! {
    /// From a request that ends to its observation, which is made on the same thread.
    static CARRIED: Cell<Option<Arc<str>>> = const { Cell::new(None) };
}

struct Carries {
    trace: Option<Arc<str>>,
    begun: Option<Begun<AskedTooEarly>>,
}

impl Drop for Carries {
    fn drop(&mut self) {
        CARRIED.set(self.trace.take());
        drop(self.begun.take());
    }
}

/// Asked in the line behind the `await`, where there is somebody to ask. The request that was given up
/// after 30 s is the one that nobody finds. Rejected by `at_the_end`.
pub struct NobodyHangsUp;

impl Part for NobodyHangsUp {
    fn observe(shared: &Shared, labels: Labels, seconds: f64) {
        let gone = labels.iter().any(|(_, value)| *value == HUNG_UP.to_string());
        let trace = Self::named((shared.sources.trace)()).filter(|_| !gone);
        let state = &mut *shared.lock();
        if let Some(labels) = Self::place(state, labels) {
            Self::count(state.series.entry(labels).or_default(), seconds, trace);
        }
    }
}

/// An exemplar is told once, for then it is known. By whoever asked first: the second Prometheus of two
/// has none of them. Rejected by `scraped_twice`.
pub struct ToldOnce;

impl Part for ToldOnce {
    fn scrape(shared: &Shared) -> String {
        struct Right;
        impl Part for Right {}
        let text = Right::scrape(shared);
        for series in shared.lock().series.values_mut() {
            series.exemplars.fill(None);
        }
        text
    }
}

/// Reads the series, asks whose work it is while nothing is locked, and writes back. Whoever has ended
/// between the two was never there. Rejected by `overtaken`.
pub struct ReadsAsksWrites;

impl Part for ReadsAsksWrites {
    fn observe(shared: &Shared, labels: Labels, seconds: f64) {
        let Some(labels) = Self::place(&mut shared.lock(), labels) else {
            return;
        };
        let mut series = shared.lock().series.entry(labels.clone()).or_default().clone();
        let trace = Self::named((shared.sources.trace)());
        Self::count(&mut series, seconds, trace);
        shared.lock().series.insert(labels, series);
    }
}
