//! The reference as tower layers: one at the door of a server, one around a client.
//!
//! Both wait for what they wrap in the call, where it is known for whom, and say that they are
//! ready before that; what sheds load goes outside. Each call waits for its own clone, and calls
//! that, so nothing is called that was not ready.

use super::{CorrelationIds, TaskIds};
use http::{Request, Response};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// What the layers answer with.
pub type Answering<O, E> = Pin<Box<dyn Future<Output = Result<Response<O>, E>> + Send>>;

/// Gives each request its id: [`CorrelationIds::serve`]. It belongs outside of every layer that
/// answers by itself or logs, for theirs are lines and answers as well.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdLayer;

impl<S> Layer<S> for IdLayer {
    type Service = Serving<S>;

    fn layer(&self, inner: S) -> Serving<S> {
        Serving { inner }
    }
}

/// A service that answers each request in the name of its id.
#[derive(Clone, Debug)]
pub struct Serving<S> {
    inner: S,
}

// ANCHOR: serving
impl<S, I, O> Service<Request<I>> for Serving<S>
where
    // Spelt out and not as `Hop`: the compiler looks for `O` here.
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
        Box::pin(TaskIds::serve(self.inner.clone(), request))
    }
}
// ANCHOR_END: serving

/// Tells the next service the id: [`CorrelationIds::ask`].
#[derive(Clone, Copy, Debug, Default)]
pub struct PassOnLayer;

impl<S> Layer<S> for PassOnLayer {
    type Service = Passing<S>;

    fn layer(&self, inner: S) -> Passing<S> {
        Passing { inner }
    }
}

/// A client that passes on the id of the request for which it is called.
#[derive(Clone, Debug)]
pub struct Passing<S> {
    inner: S,
}

impl<S, I, O> Service<Request<I>> for Passing<S>
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
        Box::pin(TaskIds::ask(self.inner.clone(), request))
    }
}
