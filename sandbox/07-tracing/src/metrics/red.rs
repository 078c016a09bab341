//! RED: the rate, the errors and the durations of requests.
//!
//! One histogram has all three. Its count is the rate, its label for the status has the errors, and
//! who counts failures apart from durations finds that a service which fails at once looks fast.

use super::{ACTIVE, Asked, BOUNDS, Clock, DURATION, Gauges, HUNG_UP, Histograms, METHODS};
use super::{OTHER_METHOD, Registry, UNMATCHED};
use crate::around::{Answering, Around, Surrounded};
use crate::correlation_ids::Hop;
use http::{Extensions, Method, Request, Response, StatusCode};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;
use std::future::{Future, poll_fn};
use std::time::Duration;
use tower_layer::Layer;

/// The families of requests.
#[derive(Clone, Debug)]
pub(super) struct Red {
    durations: Histograms<3>,
    active: Gauges<1>,
    clock: Clock,
}

impl Red {
    pub(super) fn of(registry: &Registry, clock: Clock) -> Red {
        let labels = ["http_route", "http_request_method", "http_response_status_code"];
        let help = "From a request to the head of its answer";
        let durations = registry.histograms(DURATION, help, Unit::Seconds, &BOUNDS, labels);
        let help = "Requests that are under way";
        let active = registry.gauges(ACTIVE, help, ["http_request_method"]);
        Red { durations, active, clock }
    }

    // ANCHOR: measure
    pub(super) async fn measure<F>(&self, asked: Asked<'_>, work: F) -> StatusCode
    where
        F: Future<Output = StatusCode>,
    {
        let begun = self.begin(asked.method, asked.route);
        let status = work.await;
        begun.ends(status);
        status
    }

    fn begin(&self, method: &Method, route: Option<&str>) -> Begun {
        let known = METHODS.into_iter().find(|known| *known == method.as_str());
        let method = known.unwrap_or(OTHER_METHOD);
        let active = self.active.with([method]);
        active.inc();
        let route = route.unwrap_or(UNMATCHED).to_owned();
        Begun { red: self.clone(), method, route, active, at: self.clock.now(), status: None }
    }
    // ANCHOR_END: measure
}

// ANCHOR: guard
/// A request that is under way. It is counted when it is dropped, for that happens however it ends.
struct Begun {
    red: Red,
    method: &'static str,
    route: String,
    active: Gauge,
    at: Duration,
    status: Option<StatusCode>,
}

impl Begun {
    fn ends(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let status = match self.status {
            Some(status) => status.as_u16(),
            // It is in the future that panics, so it is dropped while the panic passes by.
            None if std::thread::panicking() => 500,
            None => HUNG_UP,
        };
        self.active.dec();
        let took = self.red.clock.now().saturating_sub(self.at).as_secs_f64();
        self.red.durations.observe([&self.route, self.method, &status.to_string()], took);
    }
}
// ANCHOR_END: guard

/// Measures the requests of a server: see [`Registry::layer`].
///
/// It belongs inside of what knows whose request it is, [`IdLayer`](crate::correlation_ids::IdLayer),
/// or the exemplars are nobody's; and outside of what refuses or limits, for that is an answer, too.
#[derive(Clone, Debug)]
pub struct MeasureLayer {
    red: Red,
    route: fn(&Extensions) -> Option<&str>,
}

impl MeasureLayer {
    pub(super) fn new(red: Red, route: fn(&Extensions) -> Option<&str>) -> MeasureLayer {
        MeasureLayer { red, route }
    }
}

impl<S> Layer<S> for MeasureLayer {
    type Service = Surrounded<S, MeasureLayer>;

    fn layer(&self, inner: S) -> Self::Service {
        Surrounded::new(inner, self.clone())
    }
}

/// What the service answers with an error is counted as 500.
impl Around for MeasureLayer {
    fn call<S, I, O>(&self, mut service: S, request: Request<I>) -> Answering<O, S::Error>
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static,
    {
        let begun = self.red.begin(request.method(), (self.route)(request.extensions()));
        Box::pin(async move {
            // Moved in here, it is dropped while a panic passes by, and not behind it.
            let begun = begun;
            // To be made ready takes time that the customer waits, too.
            let answer = async {
                poll_fn(|context| service.poll_ready(context)).await?;
                service.call(request).await
            }
            .await;
            let status = answer.as_ref().map(Response::status);
            begun.ends(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
            answer
        })
    }
}
