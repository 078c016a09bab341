//! The door of a service: in which trace a request is answered, and a line for each at level `INFO`.
//! (Under which id, says [`serve`]: that holds also for what no route takes.)
//!
//! [`serve`]: crate::serve

use std::time::Instant;

use axum::extract::MatchedPath;
use http::{Request, Response};
use observability::around::{Answering, Around, Surrounded};
use observability::correlation_ids::Hop;
use observability::propagation::{OneTrace, Peer, Propagation, Route};
use tower::{Layer, ServiceExt};
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
    type Service = Surrounded<S, Door>;

    fn layer(&self, inner: S) -> Self::Service {
        Surrounded::new(inner, self.clone())
    }
}

impl Around for Door {
    fn call<S, I, O>(&self, service: S, mut request: Request<I>) -> Answering<O, S::Error>
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static,
    {
        let route =
            request.extensions().get::<MatchedPath>().map(|path| Route(path.as_str().into()));
        if let Some(route) = &route {
            request.extensions_mut().insert(route.clone());
        }
        let (name, method) = (self.service, request.method().clone());
        // Within the span, so that the line names the trace. Nobody pays for it who does not want it.
        let logged = service.map_future(move |answer| {
            let began = tracing::enabled!(Level::INFO).then(Instant::now);
            let (route, method) = (route.clone(), method.clone());
            async move {
                let answer: Result<Response<O>, S::Error> = answer.await;
                if let (Some(began), Ok(answer)) = (began, &answer) {
                    let route = route.as_ref().map(|Route(route)| &**route);
                    let (status, took) = (answer.status().as_u16(), began.elapsed().as_millis());
                    tracing::info!(service = name, %method, route, status, took_ms = took, "answered");
                }
                answer
            }
        });
        Box::pin(self.traces.serve(self.caller, logged, request))
    }
}
