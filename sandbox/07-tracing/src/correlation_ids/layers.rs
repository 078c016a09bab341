//! The reference as tower layers: one at the door of a server, one around a client.

use super::{CorrelationIds, Hop, TaskIds};
use crate::around::{Answering, Around, Surrounded};
use http::Request;
use tower_layer::Layer;

/// Gives each request its id: [`CorrelationIds::serve`]. It belongs outside of every layer that
/// answers by itself or logs, for theirs are lines and answers as well.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdLayer;

impl<S> Layer<S> for IdLayer {
    type Service = Surrounded<S, IdLayer>;

    fn layer(&self, inner: S) -> Self::Service {
        Surrounded::new(inner, *self)
    }
}

// ANCHOR: serving
impl Around for IdLayer {
    fn call<S, I, O>(&self, service: S, request: Request<I>) -> Answering<O, S::Error>
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static,
    {
        Box::pin(TaskIds::serve(service, request))
    }
}
// ANCHOR_END: serving

/// Tells the next service the id: [`CorrelationIds::ask`].
#[derive(Clone, Copy, Debug, Default)]
pub struct PassOnLayer;

impl<S> Layer<S> for PassOnLayer {
    type Service = Surrounded<S, PassOnLayer>;

    fn layer(&self, inner: S) -> Self::Service {
        Surrounded::new(inner, *self)
    }
}

impl Around for PassOnLayer {
    fn call<S, I, O>(&self, client: S, request: Request<I>) -> Answering<O, S::Error>
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static,
    {
        Box::pin(TaskIds::ask(client, request))
    }
}
