//! The breaker as a tower layer.

use super::{CallError, CircuitBreaker, Judgement};
use crate::BoxError;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// What an answer, or the lack of one, says of the service.
pub type Judge<Response> = fn(&Result<Response, BoxError>) -> Judgement;

/// Puts a [`Guarded`] before a service. The services that one layer makes share its breaker, and so
/// do their clones: give each dependency a breaker of its own.
pub struct BreakerLayer<B, Response> {
    breaker: Arc<B>,
    judge: Judge<Response>,
}

/// A service behind a breaker. What the breaker refuses fails with [`Open`](super::Open), to be
/// found by `downcast_ref`; any other error is the service's own.
pub struct Guarded<B, S, Response> {
    inner: S,
    breaker: Arc<B>,
    judge: Judge<Response>,
}

impl<B, Response> BreakerLayer<B, Response> {
    /// Of this breaker, which `judge` tells what the answers mean.
    pub fn new(breaker: Arc<B>, judge: Judge<Response>) -> BreakerLayer<B, Response> {
        BreakerLayer { breaker, judge }
    }
}

impl<B, S, Response> Layer<S> for BreakerLayer<B, Response> {
    type Service = Guarded<B, S, Response>;

    fn layer(&self, inner: S) -> Guarded<B, S, Response> {
        Guarded { inner, breaker: Arc::clone(&self.breaker), judge: self.judge }
    }
}

// ANCHOR: service
impl<B, S, Request> Service<Request> for Guarded<B, S, S::Response>
where
    B: CircuitBreaker,
    S: Service<Request, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    S::Response: Send,
    Request: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    /// Always ready. The wait for a place in the service is part of the call: where nobody is
    /// answered, places run out first, and who waits for one here could neither be refused nor
    /// counted.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // A clone that is made ready and called. `self.inner` was never made ready, so no place is
        // left behind in it.
        let mut service = self.inner.clone();
        let (breaker, judge) = (Arc::clone(&self.breaker), self.judge);
        Box::pin(async move {
            let call = async move {
                poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
                service.call(request).await.map_err(Into::into)
            };
            breaker.call(judge, call).await.map_err(|error| match error {
                CallError::Open(open) => open.into(),
                CallError::Call(error) => error,
            })
        })
    }
}
// ANCHOR_END: service

// Derived, these would ask the breaker and the response for what only the service has to be.

impl<B, Response> Clone for BreakerLayer<B, Response> {
    fn clone(&self) -> Self {
        BreakerLayer { breaker: Arc::clone(&self.breaker), judge: self.judge }
    }
}

impl<B, S: Clone, Response> Clone for Guarded<B, S, Response> {
    fn clone(&self) -> Self {
        let (inner, breaker) = (self.inner.clone(), Arc::clone(&self.breaker));
        Guarded { inner, breaker, judge: self.judge }
    }
}

impl<B: fmt::Debug, Response> fmt::Debug for BreakerLayer<B, Response> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerLayer").field("breaker", &self.breaker).finish_non_exhaustive()
    }
}

impl<B: fmt::Debug, S: fmt::Debug, Response> fmt::Debug for Guarded<B, S, Response> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("inner", &self.inner)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}
