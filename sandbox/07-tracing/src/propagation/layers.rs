//! The reference as tower layers: one at the door of a server, one around a client.
//!
//! As those of 07.1, both wait for what they wrap in the call, where it is known for whom, and say
//! that they are ready before that.

use super::{OneTrace, Peer, Propagation};
use crate::correlation_ids::Answering;
use http::{Request, Response};
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Answers each request in a span that continues the caller's: [`Propagation::serve`].
///
/// The span is named by the route, so whatever knows the route puts it into the request's extensions
/// before: with axum, a layer of the router that turns `MatchedPath` into
/// [`Route`](super::Route), and this one inside of it.
#[derive(Clone, Debug)]
pub struct ContextLayer {
    traces: OneTrace,
    caller: Peer,
}

impl ContextLayer {
    /// For a door at which our own services ask.
    pub fn new(traces: OneTrace) -> ContextLayer {
        ContextLayer { traces, caller: Peer::Ours }
    }

    /// For the door to the street: each request begins a trace.
    pub fn public(traces: OneTrace) -> ContextLayer {
        ContextLayer { traces, caller: Peer::Stranger }
    }
}

impl<S> Layer<S> for ContextLayer {
    type Service = Opening<S>;

    fn layer(&self, inner: S) -> Opening<S> {
        Opening { inner, traces: self.traces.clone(), caller: self.caller }
    }
}

/// A service that answers each request in a span.
#[derive(Clone, Debug)]
pub struct Opening<S> {
    inner: S,
    traces: OneTrace,
    caller: Peer,
}

// ANCHOR: opening
impl<S, I, O> Service<Request<I>> for Opening<S>
where
    S: Service<Request<I>, Response = Response<O>, Error: Send, Future: Send>,
    S: Clone + Send + 'static,
    I: Send + 'static,
    O: Send + 'static,
{
    type Response = Response<O>;
    type Error = S::Error;
    type Future = Answering<O, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<I>) -> Self::Future {
        Box::pin(self.traces.serve(self.caller, self.inner.clone(), request))
    }
}
// ANCHOR_END: opening

/// Tells the next service in which span it is asked: [`Propagation::ask`]. Inside of what repeats,
/// so that each attempt is a span of its own.
#[derive(Clone, Debug)]
pub struct InjectLayer {
    traces: OneTrace,
    callee: Peer,
}

impl InjectLayer {
    /// For a client of our own services.
    pub fn new(traces: OneTrace) -> InjectLayer {
        InjectLayer { traces, callee: Peer::Ours }
    }

    /// For a client of somebody else's, who gets the trace's id and no baggage.
    pub fn outward(traces: OneTrace) -> InjectLayer {
        InjectLayer { traces, callee: Peer::Stranger }
    }
}

impl<S> Layer<S> for InjectLayer {
    type Service = Injecting<S>;

    fn layer(&self, inner: S) -> Injecting<S> {
        Injecting { inner, traces: self.traces.clone(), callee: self.callee }
    }
}

/// A client that tells whom it asks in which span.
#[derive(Clone, Debug)]
pub struct Injecting<S> {
    inner: S,
    traces: OneTrace,
    callee: Peer,
}

impl<S, I, O> Service<Request<I>> for Injecting<S>
where
    S: Service<Request<I>, Response = Response<O>, Error: Send, Future: Send>,
    S: Clone + Send + 'static,
    I: Send + 'static,
    O: Send + 'static,
{
    type Response = Response<O>;
    type Error = S::Error;
    type Future = Answering<O, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<I>) -> Self::Future {
        Box::pin(self.traces.ask(self.callee, self.inner.clone(), request))
    }
}
