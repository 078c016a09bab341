//! 07.5 · Metrics
//!
//! A shop has two instances. How many requests a second do they answer, how many of them badly, and
//! how long does the slowest hundredth take? Nobody reads a log for that. Count while it happens, show
//! the counts when Prometheus asks, and calculate with what several instances have shown.
//!
//! What you build has to keep five promises, and the checks will try to break each of them:
//!
//! 1. Every request is counted once, as what it was: also who hangs up, also where the handler panics.
//! 2. Every duration is in exactly the buckets that it belongs to, in seconds.
//! 3. The number of series stays bounded, whatever customers and strangers send.
//! 4. An exemplar names a request that really took that long.
//! 5. Quantiles and rates are those of all instances together, also when one was restarted.
//!
//! The contract with all its details, and the names of all metrics, is the trait `Metrics`:
//! sandbox/07-tracing/src/metrics.rs. What a scrape looks like:
//!
//! ```text
//! # HELP http_server_request_duration_seconds How long.
//! # TYPE http_server_request_duration_seconds histogram
//! # UNIT http_server_request_duration_seconds seconds
//! http_server_request_duration_seconds_sum{http_route="/cart",…} 0.27
//! http_server_request_duration_seconds_count{http_route="/cart",…} 2
//! http_server_request_duration_seconds_bucket{le="0.005",http_route="/cart",…} 0
//! … and so on, up to le="+Inf"; behind a bucket there may be: # {trace_id="4bf9…"} 0.25
//! # EOF
//! ```
//!
//! You may write that by hand, or have it written: the crate `prometheus-client` is here, with its
//! `Family`, `HistogramWithExemplars` and `encode`. (`Registry`, `MeasureLayer`, `quantile` and `rate`
//! of `observability::metrics` are a part of the answer. Leave them for later.)
//!
//! A first step: `rate` and `quantile` need nothing else. Then `open`, `measure` and `scrape` for one
//! request that is answered; run the checks, and read the first timeline.

use http::StatusCode;
use observability::metrics::{Asked, Bucket, Metrics, Point, Sources};
use std::future::Future;

/// Your metrics.
pub struct MyMetrics;

/// A place in your pool. Dropped, it is given back.
pub struct MyPlace;

#[allow(clippy::manual_async_fn, unused_variables)] // until you have written them
impl Metrics for MyMetrics {
    type Place = MyPlace;

    /// An instance has just started.
    fn open(sources: Sources, places: usize) -> MyMetrics {
        todo!("nothing is counted yet; keep the sources, and so many places")
    }

    /// A request has come. `sources.clock.now()` is how late it is, and `(sources.trace)()` whose
    /// work it is. This future may be dropped before `work` has ended.
    fn measure<F>(&self, asked: Asked<'_>, work: F) -> impl Future<Output = StatusCode> + Send
    where
        F: Future<Output = StatusCode> + Send,
    {
        async { todo!("it is under way; let it work; count it, however it ends") }
    }

    /// Somebody wants a place. `tokio::sync::Semaphore` has places, and a queue before them.
    fn take(&self) -> impl Future<Output = MyPlace> + Send {
        async { todo!("wait for a place, and let it be seen that somebody waits") }
    }

    /// Prometheus asks.
    fn scrape(&self) -> String {
        todo!("all that was counted, as OpenMetrics text")
    }

    /// How fast a counter grows, of all instances together.
    fn rate(instances: &[Vec<Point>]) -> Option<f64> {
        todo!("of each instance by itself; and what if it was restarted?")
    }

    /// Which duration so many of all requests do not exceed.
    fn quantile(q: f64, instances: &[Vec<Bucket>]) -> f64 {
        todo!("of all instances together: in which bucket is it, and where in there?")
    }
}
