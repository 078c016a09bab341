//! The reference as tower layers: one at the door of a server, one around a client.

use super::{OneTrace, Peer, Propagation};
use crate::around::{Answering, Around, Surrounded};
use crate::correlation_ids::Hop;
use http::Request;
use tower_layer::Layer;

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
    type Service = Surrounded<S, ContextLayer>;

    fn layer(&self, inner: S) -> Self::Service {
        Surrounded::new(inner, self.clone())
    }
}

impl Around for ContextLayer {
    fn call<S, I, O>(&self, service: S, request: Request<I>) -> Answering<O, S::Error>
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static,
    {
        Box::pin(self.traces.serve(self.caller, service, request))
    }
}

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
    type Service = Surrounded<S, InjectLayer>;

    fn layer(&self, inner: S) -> Self::Service {
        Surrounded::new(inner, self.clone())
    }
}

impl Around for InjectLayer {
    fn call<S, I, O>(&self, client: S, request: Request<I>) -> Answering<O, S::Error>
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static,
    {
        Box::pin(self.traces.ask(self.callee, client, request))
    }
}
