//! What customers of each service felt: rate, errors, durations.

use std::collections::BTreeSet;

use observability::metrics::text::Labels;
use observability::metrics::{ACTIVE, BOUNDS, DURATION, quantile};
use serde::Serialize;

use super::growth::Growth;

const METHOD: &str = "http_request_method";
const ROUTE: &str = "http_route";
const STATUS: &str = "http_response_status_code";

/// One service. Without the figures of a time, where it was not there at its beginning or its end.
#[derive(Debug, Serialize)]
pub(crate) struct Service {
    pub(crate) service: &'static str,
    /// Why it did not answer.
    pub(crate) away: Option<String>,
    #[serde(flatten)]
    pub(crate) red: Option<Red>,
}

/// Of all requests of a service that ended in this time.
#[derive(Debug, Serialize)]
pub(crate) struct Red {
    /// How much time lies between the two looks at this service.
    pub(crate) seconds: f64,
    pub(crate) requests_a_second: f64,
    /// Answers of 500 and above.
    pub(crate) errors_a_second: f64,
    pub(crate) errors_percent: f64,
    /// None, where nothing ended.
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    /// At the end of the time.
    pub(crate) under_way: u64,
}

/// One route in this time.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Route {
    pub(crate) service: &'static str,
    pub(crate) method: String,
    pub(crate) route: String,
    pub(crate) requests_a_second: f64,
    /// What half of its requests took before this time, since the service was started. None, where
    /// there were too few of them, then or now, to say so.
    pub(crate) usual_ms: Option<f64>,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// One that was as slow as the slowest, of those that were recorded.
    pub(crate) trace: Option<String>,
}

/// Requests of a route, of which nothing is said with fewer.
const ENOUGH: f64 = 3.0;

/// What nobody notices, in milliseconds and as a ratio: the figures are those of a bucket, and a busy
/// machine makes some of them larger.
const NOTICED_MS: f64 = 100.0;
const NOTICED: f64 = 1.5;

/// Above this, nobody has counted how long it took.
pub(crate) const LONGEST_MS: f64 = BOUNDS[BOUNDS.len() - 1] * 1e3;

impl Red {
    pub(crate) fn of(growth: &Growth<'_>) -> Red {
        let count = format!("{DURATION}_count");
        let failed = |labels: &Labels| {
            let status = labels.get(STATUS).and_then(|status| status.parse::<u16>().ok());
            status.is_some_and(|status| (500..600).contains(&status))
        };
        let requests = growth.rate(&count, |_| true);
        let errors = growth.rate(&count, failed);
        let took = growth.buckets(DURATION, &[]);
        Red {
            seconds: growth.took.as_secs_f64(),
            requests_a_second: requests,
            errors_a_second: errors,
            errors_percent: if requests > 0.0 { errors / requests * 100.0 } else { 0.0 },
            p50_ms: millis(quantile(&took, 0.5)),
            p99_ms: millis(quantile(&took, 0.99)),
            under_way: super::full::whole(growth.shown(ACTIVE, |_| true)),
        }
    }
}

impl Route {
    /// How many times as long as usual half of its requests take, where somebody would notice.
    ///
    /// The median, and not the p99: of few requests that is the one which the machine has held up.
    pub(crate) fn slower(&self) -> Option<f64> {
        let usual = self.usual_ms.filter(|usual| self.p50_ms - usual >= NOTICED_MS)?;
        Some(self.p50_ms / usual).filter(|times| *times >= NOTICED)
    }
}

/// None for what a histogram without observations says.
fn millis(seconds: f64) -> Option<f64> {
    seconds.is_finite().then_some(seconds * 1e3)
}

/// All routes of a service on which something ended.
pub(crate) fn routes(service: &'static str, growth: &Growth<'_>) -> Vec<Route> {
    let count = format!("{DURATION}_count");
    let name = |labels: &Labels| Some((labels.get(METHOD)?.clone(), labels.get(ROUTE)?.clone()));
    let all: BTreeSet<_> =
        growth.series(&count).filter_map(|sample| name(&sample.labels)).collect();
    let told = all.into_iter().filter_map(|(method, route)| {
        let labels = [(METHOD, method.as_str()), (ROUTE, route.as_str())];
        let (before, now) = growth.before_and_now(DURATION, &labels);
        let enough = [&before, &now].map(|all| all.last().is_some_and(|all| all.count >= ENOUGH));
        let usual_ms = (enough == [true; 2]).then(|| millis(quantile(&before, 0.5))).flatten();
        let (p50_ms, p99_ms) = (millis(quantile(&now, 0.5))?, millis(quantile(&now, 0.99))?);
        let exemplar = growth.exemplar(DURATION, &labels);
        let trace = exemplar.and_then(|exemplar| exemplar.labels.get("trace_id").cloned());
        let of_it = |labels: &Labels| name(labels).is_some_and(|(m, r)| m == method && r == route);
        let requests_a_second = growth.rate(&count, of_it);
        Some(Route { service, requests_a_second, usual_ms, p50_ms, p99_ms, trace, method, route })
    });
    told.collect()
}
