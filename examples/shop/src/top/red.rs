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
#[derive(Debug, Serialize)]
pub(crate) struct Route {
    pub(crate) service: &'static str,
    pub(crate) method: String,
    pub(crate) route: String,
    pub(crate) requests_a_second: f64,
    pub(crate) p99_ms: f64,
    /// One that was as slow as the slowest, of those that were recorded.
    pub(crate) trace: Option<String>,
}

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
        let p99_ms = millis(quantile(&growth.buckets(DURATION, &labels), 0.99))?;
        let exemplar = growth.exemplar(DURATION, &labels);
        let trace = exemplar.and_then(|exemplar| exemplar.labels.get("trace_id").cloned());
        let of_it = |labels: &Labels| name(labels).is_some_and(|(m, r)| m == method && r == route);
        let requests_a_second = growth.rate(&count, of_it);
        Some(Route { service, requests_a_second, p99_ms, trace, method, route })
    });
    told.collect()
}
