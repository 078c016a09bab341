//! Those who tell it wrong: series, labels, exemplars, the text.

use super::right::{Begun, Labels, Part, Series, Shared, State, at};
use http::StatusCode;
use observability::metrics::{Asked, LIMIT, Sources};
use std::sync::{Arc, OnceLock};

/// Each bucket shows what is in it, and not what is below. It adds up to more than there is. Rejected
/// by `cumulative`.
pub struct NotCumulative;

impl Part for NotCumulative {
    fn written(text: String) -> String {
        let (mut out, mut before) = (String::new(), 0.0);
        for line in text.lines() {
            match line.split_once("} ") {
                Some((bucket, value)) if bucket.contains("_bucket{") => {
                    let up_to: f64 = value.split(' ').next().unwrap_or("").parse().unwrap_or(0.0);
                    // A new series begins below the one before.
                    let in_it = if up_to < before { up_to } else { up_to - before };
                    before = up_to;
                    out += &format!("{bucket}}} {in_it}\n");
                }
                _ => out += &format!("{line}\n"),
            }
        }
        out
    }
}

/// The highest bound is high enough. What takes longer is in no bucket, and no quantile can be taken.
/// Rejected by `cumulative`.
pub struct NoInfinity;

impl Part for NoInfinity {
    fn written(text: String) -> String {
        text.lines().filter(|line| !line.contains("+Inf")).map(|line| format!("{line}\n")).collect()
    }
}

/// An atomic for the sum, and atomics are whole. Rejected by `cumulative`.
pub struct WholeSum;

impl Part for WholeSum {
    fn count(series: &mut Series, seconds: f64, trace: Option<Arc<str>>) {
        let at = at::<Self>(series, seconds);
        series.counts[at] += 1;
        series.count += 1;
        series.sum += seconds.floor();
        series.exemplars[at] = trace.map(|trace| (trace, seconds));
    }
}

/// Every combination that comes gets its series. There are not so many routes. Rejected by `limit`.
pub struct NoLimit;

impl Part for NoLimit {
    fn place(_: &mut State, labels: Labels) -> Option<Labels> {
        Some(labels)
    }
}

/// What has no place is not counted: there is less traffic, the more there is. Rejected by `limit`.
pub struct DropsTheRest;

impl Part for DropsTheRest {
    fn place(state: &mut State, labels: Labels) -> Option<Labels> {
        let there = state.series.contains_key(&labels) || state.series.len() < LIMIT;
        there.then_some(labels)
    }
}

/// Full: begins anew, as a cache does. All counters fall, and every rate leaps. Rejected by `limit`.
pub struct BeginsAnew;

impl Part for BeginsAnew {
    fn place(state: &mut State, labels: Labels) -> Option<Labels> {
        if !state.series.contains_key(&labels) && state.series.len() >= LIMIT {
            state.series.clear();
        }
        Some(labels)
    }
}

/// Between quotes as it is. Prometheus drops the whole scrape for one quote in it. Rejected by
/// `escaped`.
pub struct Unescaped;

impl Part for Unescaped {
    fn escape(value: &str) -> String {
        value.to_owned()
    }
}

/// `{:?}` puts it between quotes and escapes. As Rust does it, and not as Prometheus reads it.
/// Rejected by `escaped`.
pub struct DebugFormat;

impl Part for DebugFormat {
    fn escape(value: &str) -> String {
        let quoted = format!("{value:?}");
        quoted[1..quoted.len() - 1].to_owned()
    }
}

/// All three are escaped, the backslash last: those of the others as well. Rejected by `escaped`.
pub struct WrongOrder;

impl Part for WrongOrder {
    fn escape(value: &str) -> String {
        value.replace('\n', "\\n").replace('"', "\\\"").replace('\\', "\\\\")
    }
}

/// The last trace, at every bucket of its series. A click on the slowest leads to a fast one.
/// Rejected by `exemplars`.
pub struct LastForAll;

impl Part for LastForAll {
    fn count(series: &mut Series, seconds: f64, trace: Option<Arc<str>>) {
        let at = at::<Self>(series, seconds);
        series.counts[at] += 1;
        series.count += 1;
        series.sum += seconds;
        if let Some(trace) = trace {
            series.exemplars.fill(Some((trace, seconds)));
        }
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

/// Stops when all is told. A connection that broke in the middle looks the same. Rejected by
/// `well_formed`.
pub struct NoEnd;

impl Part for NoEnd {
    fn written(text: String) -> String {
        text.replace("# EOF\n", "")
    }
}

/// The older format's names under the newer one's type: there, a counter's family has no `_total`.
/// Rejected by `well_formed`.
pub struct TotalInTheType;

impl Part for TotalInTheType {
    fn written(text: String) -> String {
        text.replace("pool_abandoned How", "pool_abandoned_total How")
            .replace("pool_abandoned counter", "pool_abandoned_total counter")
    }
}

/// Says of each series what it is. A family may be told only once. Rejected by `well_formed`.
pub struct TypeForEach;

impl Part for TypeForEach {
    fn written(text: String) -> String {
        let mut out = String::new();
        for line in text.lines() {
            if let Some((name, _)) = line.split_once("_sum{") {
                out += &format!("# TYPE {name} histogram\n");
            }
            let said_later = line.starts_with("# TYPE") && line.ends_with("histogram");
            if !said_later {
                out += &format!("{line}\n");
            }
        }
        out
    }
}

/// Each scrape tells what is new and begins at zero, as statsd does it. Whoever else looks, with a
/// browser, takes it away. Rejected by `scraped_twice`.
pub struct ResetByScrape;

impl Part for ResetByScrape {
    fn scrape(shared: &Shared) -> String {
        struct Right;
        impl Part for Right {}
        let text = Right::scrape(shared);
        shared.lock().series.clear();
        text
    }
}

/// A static registry, for there is one in each process. The tests of a workspace are one process, and
/// so are the services of a shop that runs as one. Rejected by `apart`.
pub struct OneForAll;

static ALL: OnceLock<Arc<Shared>> = OnceLock::new();

impl Part for OneForAll {
    fn shared(sources: Sources, places: usize) -> Arc<Shared> {
        Arc::clone(ALL.get_or_init(|| Arc::new(Shared::new(sources, places))))
    }
}

/// The count, then whose work it is, then the bucket, each by itself: fast, and no lock is held while
/// others are asked. A scrape between them does not add up. Rejected by `scraped_meanwhile`.
pub struct CountFirst;

impl Part for CountFirst {
    fn observe(shared: &Shared, labels: Labels, seconds: f64) {
        let Some(labels) = Self::place(&mut shared.lock(), labels) else {
            return;
        };
        let add = |change: &dyn Fn(&mut Series)| {
            let state = &mut *shared.lock();
            change(state.series.entry(labels.clone()).or_default());
        };
        add(&|series| {
            at::<Self>(series, seconds);
            series.count += 1;
            series.sum += seconds;
        });
        let trace = Self::named((shared.sources.trace)());
        add(&|series| {
            let at = at::<Self>(series, seconds);
            series.counts[at] += 1;
            series.exemplars[at] = trace.clone().map(|trace| (trace, seconds));
        });
    }
}
