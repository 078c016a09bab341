//! Retries around a tower service.

use super::{Retries, Retry};
use crate::BoxError;
use http::{Request, Response};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Puts a [`Retrying`] before a service. All services that one layer makes, and their clones, share
/// one budget.
///
/// It belongs outside of what limits one attempt (a timeout, a breaker, a bulkhead), and inside of
/// what limits all of them (the deadline). In a pause it holds no place of the service's.
#[derive(Debug)]
pub struct RetryLayer<P = Retries> {
    retry: Arc<P>,
}

impl<P> RetryLayer<P> {
    /// By these rules, and out of this budget.
    pub fn new(retry: Arc<P>) -> RetryLayer<P> {
        RetryLayer { retry }
    }
}

// Derived, it would ask for a P that is Clone.
impl<P> Clone for RetryLayer<P> {
    fn clone(&self) -> RetryLayer<P> {
        RetryLayer { retry: Arc::clone(&self.retry) }
    }
}

impl<P, S> Layer<S> for RetryLayer<P> {
    type Service = Retrying<P, S>;

    fn layer(&self, inner: S) -> Retrying<P, S> {
        Retrying { inner, retry: Arc::clone(&self.retry) }
    }
}

/// A service whose failures are attempted again.
#[derive(Debug)]
pub struct Retrying<P, S> {
    inner: S,
    retry: Arc<P>,
}

impl<P, S: Clone> Clone for Retrying<P, S> {
    fn clone(&self) -> Retrying<P, S> {
        Retrying { inner: self.inner.clone(), retry: Arc::clone(&self.retry) }
    }
}

// ANCHOR: service
impl<P, S, B, R> Service<Request<B>> for Retrying<P, S>
where
    P: Retry,
    S: Service<Request<B>, Response = Response<R>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Clone + Send + 'static,
    R: Send + 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that said that it is ready makes the first attempt, for its place is kept for
        // that. It ends with the attempt, and the place is free while we wait. Each further attempt
        // asks a clone whether there is a place, as anybody else does.
        let next = self.inner.clone();
        let mut ready = Some(std::mem::replace(&mut self.inner, next.clone()));
        let retry = Arc::clone(&self.retry);
        Box::pin(async move {
            let attempt = move |request| {
                let first = ready.take();
                let asked = first.is_some();
                let mut service = first.unwrap_or_else(|| next.clone());
                async move {
                    if !asked {
                        poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
                    }
                    service.call(request).await.map_err(Into::into)
                }
            };
            retry.send(request, attempt).await
        })
    }
}
// ANCHOR_END: service
