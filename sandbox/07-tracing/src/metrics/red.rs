//! RED: the rate, the errors and the durations of requests.
//!
//! One histogram has all three. Its count is the rate, its label for the status has the errors, and
//! who counts failures apart from durations finds that a service which fails at once looks fast.

use super::{ACTIVE, Asked, BOUNDS, Clock, DURATION, Gauges, HUNG_UP, Histograms, METHODS};
use super::{OTHER_METHOD, Registry, UNMATCHED};
use http::{Extensions, Method, Request, Response, StatusCode};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;
use std::fmt::{self, Debug};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

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
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured { inner, by: self.clone() }
    }
}

/// A service whose requests are measured. What it answers with an error is counted as 500.
#[derive(Clone)]
pub struct Measured<S> {
    inner: S,
    by: MeasureLayer,
}

impl<S> Debug for Measured<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measured").finish_non_exhaustive()
    }
}

/// What a measured service answers with.
pub type Measuring<O, E> = Pin<Box<dyn Future<Output = Result<Response<O>, E>> + Send>>;

impl<S, I, O> Service<Request<I>> for Measured<S>
where
    S: Service<Request<I>, Response = Response<O>, Error: Send, Future: Send>,
    S: Clone + Send + 'static,
    I: Send + 'static,
    O: Send + 'static,
{
    type Response = Response<O>;
    type Error = S::Error;
    type Future = Measuring<O, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        // As correlation_ids' layers: each call waits for its own clone, and that is measured, too.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<I>) -> Self::Future {
        let begun = self.by.red.begin(request.method(), (self.by.route)(request.extensions()));
        let mut inner = self.inner.clone();
        Box::pin(async move {
            // Moved in here, it is dropped while a panic passes by, and not behind it.
            let begun = begun;
            let answer = async {
                poll_fn(|context| inner.poll_ready(context)).await?;
                inner.call(request).await
            }
            .await;
            let status = answer.as_ref().map(Response::status);
            begun.ends(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
            answer
        })
    }
}
