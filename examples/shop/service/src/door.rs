//! The door of a service: in which trace a request is answered. (Under which id, says [`serve`]: that
//! holds also for what no route takes.)
//!
//! [`serve`]: crate::serve

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use observability::correlation_ids::Answering;
use observability::propagation::{OneTrace, Peer, Propagation, Route};
use tower::{Layer, Service};

/// A layer for routes: each request is answered in a span of its own, named by its route.
#[derive(Clone, Debug)]
pub struct Door {
    traces: OneTrace,
    caller: Peer,
}

impl Door {
    /// At which our own services ask: they say in which trace.
    pub fn inside(traces: OneTrace) -> Door {
        Door { traces, caller: Peer::Ours }
    }

    /// To the street: each request begins a trace.
    pub fn to_the_street(traces: OneTrace) -> Door {
        Door { traces, caller: Peer::Stranger }
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
        if let Some(path) = request.extensions().get::<MatchedPath>() {
            let route = Route(path.as_str().into());
            request.extensions_mut().insert(route);
        }
        Box::pin(self.door.traces.serve(self.door.caller, self.inner.clone(), request))
    }
}
