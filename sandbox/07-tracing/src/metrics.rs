//! 07.5 · Metrics: how often, how badly, how long; and how full. As Prometheus reads them.
//!
//! A log tells of one request, a metric of all of them: a few numbers that are counted while the
//! service works, and that somebody fetches every fifteen seconds. *RED* is what a service's customers
//! feel: its rate, its errors, its durations. *USE* is what a resource feels: its utilisation, its
//! saturation, its errors. The contract [`Metrics`] names the promises, [`Instance`] keeps them:
//!
//! | promise | how |
//! | --- | --- |
//! | Every request is counted once, as what it was | a guard that counts when it is dropped: also who hangs up, also a panic |
//! | Every duration is in exactly the buckets it belongs to | `le` is *less or equal*, and buckets are cumulative, up to `+Inf` |
//! | Quantiles and rates are those of all instances | buckets are added, then the quantile is taken; rates are taken, then added |
//! | The number of series is bounded | routes and not paths, methods that are known, and a limit for what is left: [`Registry`] |
//! | From a bucket to a request in it | an exemplar: the id of one that really took that long |
//!
//! [`Registry`] makes families of counters, gauges and histograms, each with a limit of series, and
//! writes what `/metrics` answers. [`MeasureLayer`] measures the requests of a server, [`Pool`] the
//! use of what there are only so many of. [`text`] reads what a registry writes, [`quantile`] and
//! [`rate`] calculate with it.
//!
//! What it does not promise:
//!
//! - **A quantile.** Buckets know of each duration only between which two bounds it lies. Where the
//!   bounds are 2.5 s and 5 s, a p99 of 3 s may be shown as 4.9 s.
//! - **The body of an answer.** A request ends when the head of its answer is there.
//! - **What happened between two scrapes**, for gauges. Of a queue that was full for ten seconds
//!   and is empty now, a gauge shows nothing. Counters and histograms forget nothing.
//! - **That nothing is lost.** All of it is in memory, and begins at zero after a restart.
//!
//! Sources: [Prometheus, *Histograms and summaries*](https://prometheus.io/docs/practices/histograms/)
//! and [*Instrumentation*](https://prometheus.io/docs/practices/instrumentation/); the
//! [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/) text format; OpenTelemetry's
//! [HTTP metrics](https://opentelemetry.io/docs/specs/semconv/http/http-metrics/) for names, labels and
//! bounds; Brendan Gregg, [*The USE Method*](https://www.brendangregg.com/usemethod.html); Tom Wilkie,
//! [*The RED Method*](https://grafana.com/blog/2018/08/02/the-red-method-how-to-instrument-your-services/).

mod exposition;
mod family;
mod pool;
mod reading;
mod red;
mod registry;
mod sources;
pub mod text;

use http::{Method, StatusCode};
use std::future::Future;

pub use exposition::Exposition;
pub use family::{Bounded, Counters, Gauges, Histograms};
pub use pool::{Place, Pool};
pub use prometheus_client::registry::Unit;
pub use reading::{Bucket, Point, merged, quantile, rate, since};
pub use red::MeasureLayer;
pub use registry::Registry;
pub use sources::{Clock, Sources};

// ANCHOR: contract
/// The contract: what one instance of a service tells of its requests and of its one pool, and what
/// the figures of several instances say together.
pub trait Metrics: Send + Sync + Sized + 'static {
    /// A place in the pool. Dropped, it is given back.
    type Place: Send + 'static;

    /// An instance that has just started, with a pool of so many places. Everything is at zero, which
    /// the pool's three figures show from the beginning, and is shared with no other instance.
    fn open(sources: Sources, places: usize) -> Self;

    /// Counts and times one request, from the first poll of this future to the end of `work`, by
    /// [`Sources::clock`], and passes on the status, or the panic. What nobody has polled is no
    /// request yet, and what has ended lasts no longer, whoever keeps the future.
    ///
    /// In [`DURATION`], a histogram with the bounds [`BOUNDS`], under these three labels and no other:
    ///
    /// - `http_route`: the route, or [`UNMATCHED`]; never the path.
    /// - `http_request_method`: one of [`METHODS`], written like this, or [`OTHER_METHOD`].
    /// - `http_response_status_code`: the status. When the future is dropped before `work` has
    ///   ended, the client has hung up, and it is [`HUNG_UP`]. When `work` panics, it is 500.
    ///
    /// Of each series, the lowest bucket that the duration belongs to has an exemplar, until the next
    /// one: its value is the duration, and its one label `trace_id` what [`Sources::trace`] says at the
    /// end, however it ends. If that says nothing, the exemplar stays as it was.
    /// OpenMetrics allows an exemplar 128 characters of names and values: with more, there is none.
    ///
    /// While it is under way it is counted in the gauge [`ACTIVE`].
    ///
    /// Of [`DURATION`] there are at most [`LIMIT`] series, whichever of their labels differ, and one
    /// more, all three labels of which are [`OTHER`]: it counts what has no place any more.
    fn measure<F>(&self, asked: Asked<'_>, work: F) -> impl Future<Output = StatusCode> + Send
    where
        F: Future<Output = StatusCode> + Send;

    /// Waits for a place in the pool, as long as it takes. What nobody has polled neither waits nor has
    /// a place.
    ///
    /// The gauge [`IN_USE`] counts the places that are taken, the gauge [`WAITING`] those who wait,
    /// and the counter [`ABANDONED`] those who have stopped waiting without a place: their future
    /// was dropped. Also if a place had been given to them, and they had not seen it: it is free.
    fn take(&self) -> impl Future<Output = Self::Place> + Send;

    /// All of it as OpenMetrics text: each family with its `TYPE` and `HELP`, durations also with
    /// their `UNIT`, no empty line, and `# EOF` at the end. Of each series its count is that of its
    /// bucket `+Inf`, written like this, also while others measure. Who scrapes changes nothing.
    fn scrape(&self) -> String;

    /// How much a counter grows in a second, of all instances together: each instance by itself,
    /// from its first point to its last, and then the sum.
    ///
    /// A counter never goes down. Where it seems to, the instance has been restarted, began at zero,
    /// and has counted that many since. An instance with fewer than two points, or no time between
    /// them, has no rate; `None`, if no instance has one.
    fn rate(instances: &[Vec<Point>]) -> Option<f64>;

    /// The quantile `q` of what all instances have observed together. Each of them gives its buckets,
    /// cumulative, by rising bounds, all with the same ones, of which the last is +Inf. Counts need
    /// not be whole: of a rate they are not.
    ///
    /// It lies in the same bucket as the true one, at the place where it were if all in the bucket
    /// lay evenly between its bounds; the lowest bucket begins at 0. In the bucket +Inf: the bound
    /// before it. NaN if nothing was observed or `q` is NaN; −∞ for `q` below 0 and +∞ above 1. As
    /// `histogram_quantile` of Prometheus.
    fn quantile(q: f64, instances: &[Vec<Bucket>]) -> f64;
}

/// What is asked of a service.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// GET, or anything that a stranger calls a method.
    pub method: &'a Method,
    /// The path as it came: `/orders/4711`.
    pub path: &'a str,
    /// The pattern of the route that was found for it, `/orders/{id}`, if one was.
    pub route: Option<&'a str>,
}

/// Durations of requests, in seconds: OpenTelemetry's `http.server.request.duration`.
pub const DURATION: &str = "http_server_request_duration_seconds";
/// The bounds that OpenTelemetry advises for it, in seconds; above them is +Inf.
pub const BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// The requests that are under way.
pub const ACTIVE: &str = "http_server_active_requests";
/// The methods that stand in a label by their names: RFC 9110, and PATCH.
pub const METHODS: [&str; 9] =
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
/// Any other method, as OpenTelemetry writes it.
pub const OTHER_METHOD: &str = "_OTHER";
/// The route of all requests for which there is none. No route is called so: they begin with `/`.
pub const UNMATCHED: &str = "unmatched";
/// The status of a request whose client has hung up: nginx's code for it, which nobody is ever sent.
pub const HUNG_UP: u16 = 499;
/// So many series a family has, and one more for the rest.
pub const LIMIT: usize = 200;
/// The value of all labels of that one.
pub const OTHER: &str = "other";
/// The places of a pool that are taken.
pub const IN_USE: &str = "pool_in_use";
/// Those who wait for a place.
pub const WAITING: &str = "pool_waiting";
/// Those who have stopped waiting without one.
pub const ABANDONED: &str = "pool_abandoned_total";
// ANCHOR_END: contract

/// The reference: a registry, and a pool of its own.
#[derive(Clone, Debug)]
pub struct Instance {
    registry: Registry,
    pool: Pool,
}

impl Metrics for Instance {
    type Place = Place;

    fn open(sources: Sources, places: usize) -> Instance {
        let registry = Registry::new("instance", sources);
        let pool = registry.pool("pool", places);
        Instance { registry, pool }
    }

    fn measure<F>(&self, asked: Asked<'_>, work: F) -> impl Future<Output = StatusCode> + Send
    where
        F: Future<Output = StatusCode> + Send,
    {
        self.registry.red().measure(asked, work)
    }

    fn take(&self) -> impl Future<Output = Place> + Send {
        self.pool.take()
    }

    fn scrape(&self) -> String {
        self.registry.open_metrics()
    }

    fn rate(instances: &[Vec<Point>]) -> Option<f64> {
        // Not the rate of the sum: there, the restart of one is a fall by what it had counted.
        instances.iter().filter_map(|points| rate(points)).reduce(|sum, one| sum + one)
    }

    fn quantile(q: f64, instances: &[Vec<Bucket>]) -> f64 {
        quantile(&merged(instances), q)
    }
}
