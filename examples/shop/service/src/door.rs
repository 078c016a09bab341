//! The door of a service: in which trace a request is answered, and a line for each at level `INFO`.
//! (Under which id, says [`serve`]: that holds also for what no route takes.)
//!
//! [`serve`]: crate::serve

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use observability::correlation_ids::Answering;
use observability::propagation::{OneTrace, Peer, Propagation, Route};
use tower::{Layer, Service, ServiceExt};
use tracing::Level;

/// A layer for routes: each request is answered in a span of its own, named by its route.
#[derive(Clone, Debug)]
pub struct Door {
    service: &'static str,
    traces: OneTrace,
    caller: Peer,
}

impl Door {
    /// At which our own services ask: they say in which trace.
    pub fn inside(service: &'static str, traces: OneTrace) -> Door {
        Door { service, traces, caller: Peer::Ours }
    }

    /// To the street: each request begins a trace.
    pub fn to_the_street(service: &'static str, traces: OneTrace) -> Door {
        Door { service, traces, caller: Peer::Stranger }
    }
}

impl<S> Layer<S> for Door {
    type Service = AtTheDoor<S>;

    fn layer(&self, inner: S) -> AtTheDoor<S> {
        AtTheDoor { inner, door: self.clone() }
    }
}

/// A service behind its [`Door`].
#[derive(Clone, Debug)]
pub struct AtTheDoor<S> {
    inner: S,
    door: Door,
}

impl<S> Service<Request> for AtTheDoor<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone,
    S: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Answering<axum::body::Body, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let route =
            request.extensions().get::<MatchedPath>().map(|path| Route(path.as_str().into()));
        if let Some(route) = &route {
            request.extensions_mut().insert(route.clone());
        }
        let Door { service, traces, caller } = &self.door;
        let (service, method) = (*service, request.method().clone());
        // Within the span, so that the line names the trace. Nobody pays for it who does not want it.
        let logged = self.inner.clone().map_future(move |answer| {
            let began = tracing::enabled!(Level::INFO).then(Instant::now);
            let (route, method) = (route.clone(), method.clone());
            async move {
                let answer: Result<Response, Infallible> = answer.await;
                if let (Some(began), Ok(answer)) = (began, &answer) {
                    let route = route.as_ref().map(|Route(route)| &**route);
                    let (status, took) = (answer.status().as_u16(), began.elapsed().as_millis());
                    tracing::info!(service, %method, route, status, took_ms = took, "answered");
                }
                answer
            }
        });
        Box::pin(traces.serve(*caller, logged, request))
    }
}
