//! Those who tell it wrong: series, labels, exemplars, the text.

use super::right::{Labels, Part, Series, Shared, State, at};
use observability::metrics::{LIMIT, OTHER, Sources};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
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
    fn added(seconds: f64) -> f64 {
        seconds.floor()
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
            if let Some(trace) = &trace {
                Self::mark(&mut series.exemplars, at, (Arc::clone(trace), seconds));
            }
        });
    }
}

/// The rest is told apart by its status, to know at least that. So it is a series for each of them, and
/// the limit is none. Rejected by `limit`.
pub struct RestByStatus;

impl Part for RestByStatus {
    fn place(state: &mut State, mut labels: Labels) -> Option<Labels> {
        if !state.series.contains_key(&labels) && state.series.len() >= LIMIT {
            labels[0].1 = OTHER.to_owned();
            labels[1].1 = OTHER.to_owned();
        }
        Some(labels)
    }
}

/// So many routes. Of each of them there are ten methods, and as many statuses as anybody thinks of.
/// Rejected by `limit`.
pub struct LimitOfRoutes;

impl Part for LimitOfRoutes {
    fn place(state: &mut State, labels: Labels) -> Option<Labels> {
        let routes: BTreeSet<&str> = state.series.keys().map(|known| known[0].1.as_str()).collect();
        match routes.contains(labels[0].1.as_str()) || routes.len() < LIMIT {
            true => Some(labels),
            false => Some(labels.into_iter().map(|(name, _)| (name, OTHER.to_owned())).collect()),
        }
    }
}

/// Looks whether there is a place, asks whose work it is, and takes the place. Meanwhile another one
/// has found the same place free. Rejected by `last_place`.
pub struct LooksAndThenAsks;

impl Part for LooksAndThenAsks {
    fn observe(shared: &Shared, labels: Labels, seconds: f64) {
        let place = Self::place(&mut shared.lock(), labels);
        let trace = Self::named((shared.sources.trace)());
        if let Some(labels) = place {
            Self::count(shared.lock().series.entry(labels).or_default(), seconds, trace);
        }
    }
}

/// Also whose service it is. Prometheus knows whom it asks, and whoever joins the services by their
/// three labels finds nothing. Rejected by `well_formed`.
pub struct OneLabelMore;

impl Part for OneLabelMore {
    fn written(text: String) -> String {
        text.replace("http_route=", "service=\"shop\",http_route=")
    }
}

/// The bounds are numbers, and `{le}` writes them: the last one as Rust does, `inf`. It is read as a
/// number, and `le="+Inf"` finds nothing. Rejected by `well_formed`.
pub struct InfBound;

impl Part for InfBound {
    fn written(text: String) -> String {
        text.replace("le=\"+Inf\"", &format!("le=\"{}\"", f64::INFINITY))
    }
}

/// An empty line before each family, for whoever reads it. The older format allows them; in
/// OpenMetrics the whole scrape is refused. Rejected by `well_formed`.
pub struct EmptyLines;

impl Part for EmptyLines {
    fn written(text: String) -> String {
        text.replace("# HELP", "\n# HELP").trim_start().to_owned()
    }
}

/// The gauge is a static: it goes down again, so what does it matter whose it is? Rejected by `apart`.
pub struct ActiveOfAll;

static ACTIVE_OF_ALL: AtomicI64 = AtomicI64::new(0);

impl Part for ActiveOfAll {
    fn begins(_: &mut State) {
        ACTIVE_OF_ALL.fetch_add(1, Ordering::Relaxed);
    }

    fn ends(_: &mut State) {
        ACTIVE_OF_ALL.fetch_sub(1, Ordering::Relaxed);
    }

    fn scrape(shared: &Shared) -> String {
        struct Right;
        impl Part for Right {}
        shared.lock().active = ACTIVE_OF_ALL.load(Ordering::Relaxed);
        Right::scrape(shared)
    }
}
