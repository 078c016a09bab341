//! The reference as tower layers: one at the door of a server, one around a client.
//!
//! Both say that they are always ready, and wait for what they wrap when they are called. There a
//! request and its deadline are known, so the waiting counts: a client that connects in `poll_ready`
//! and hangs there would hang its caller for ever, and `tower::timeout` with it, whose clock starts
//! in `call`. The price is that nobody outside can see that the service is busy; what sheds load
//! goes inside.
//!
//! So nothing here is called that was not ready: each call waits for its own clone, and calls that.

use super::{Deadlines, Hop, OneDeadline};
use crate::BoxError;
use http::Request;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

type Answering<R> = Pin<Box<dyn Future<Output = Result<R, BoxError>> + Send>>;

/// Puts a deadline before a service: [`Deadlines::serve`]. It belongs outside of whatever lets
/// requests wait.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineLayer {
    longest: Duration,
}

impl DeadlineLayer {
    /// No request is worked on for longer than `longest`, whatever its caller says.
    pub fn new(longest: Duration) -> DeadlineLayer {
        DeadlineLayer { longest }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Serving<S>;

    fn layer(&self, inner: S) -> Serving<S> {
        Serving { inner, longest: self.longest }
    }
}

/// A service that works until the deadline of each request, and then answers
/// [`Late`](super::Late).
#[derive(Clone, Debug)]
pub struct Serving<S> {
    inner: S,
    longest: Duration,
}

// ANCHOR: serving
impl<S, B> Service<Request<B>> for Serving<S>
where
    S: Hop<B> + Clone,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Answering<S::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Box::pin(OneDeadline::serve(self.inner.clone(), request, self.longest))
    }
}
// ANCHOR_END: serving

/// Puts a patience around a client: [`Deadlines::ask`].
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer {
    patience: Duration,
}

impl TimeoutLayer {
    /// No call takes longer than `patience`, connecting included, nor longer than the
    /// [`Deadline`](super::Deadline) in the request's extensions.
    pub fn new(patience: Duration) -> TimeoutLayer {
        TimeoutLayer { patience }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Asking<S>;

    fn layer(&self, inner: S) -> Asking<S> {
        Asking { inner, patience: self.patience }
    }
}

/// A client that tells its server how much time is left, and gives up with
/// [`Late`](super::Late).
#[derive(Clone, Debug)]
pub struct Asking<S> {
    inner: S,
    patience: Duration,
}

impl<S, B> Service<Request<B>> for Asking<S>
where
    S: Hop<B> + Clone,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Answering<S::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Box::pin(OneDeadline::ask(self.inner.clone(), request, self.patience))
    }
}
