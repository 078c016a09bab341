//! A bulkhead as a tower layer.

use super::Bulkhead;
use crate::BoxError;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Puts a bulkhead before a service. All services that come of one layer, and of its clones, share
/// the places; so one layer is for one dependency.
///
/// tower has a layer with nearly the same task, [`ConcurrencyLimit`]: it takes the permit in
/// `poll_ready` and keeps it until `call`. A clone that was asked, and then lies idle in a pool,
/// a `select!` or a connection that is kept alive, holds a place of which nobody knows. A few of
/// them, and everybody waits, while the dependency has nothing to do. And its queue is unbounded.
///
/// [`ConcurrencyLimit`]: https://docs.rs/tower/latest/tower/limit/concurrency/struct.ConcurrencyLimit.html
#[derive(Debug)]
pub struct BulkheadLayer<B> {
    bulkhead: Arc<B>,
}

impl<B> BulkheadLayer<B> {
    /// Of this bulkhead. Keep a clone of it for [`Bulkhead::counts`].
    pub fn new(bulkhead: Arc<B>) -> BulkheadLayer<B> {
        BulkheadLayer { bulkhead }
    }
}

// Derived, it would ask for a bulkhead that is Clone.
impl<B> Clone for BulkheadLayer<B> {
    fn clone(&self) -> BulkheadLayer<B> {
        BulkheadLayer { bulkhead: Arc::clone(&self.bulkhead) }
    }
}

impl<B, S> Layer<S> for BulkheadLayer<B> {
    type Service = BulkheadService<B, S>;

    fn layer(&self, inner: S) -> BulkheadService<B, S> {
        BulkheadService { inner, bulkhead: Arc::clone(&self.bulkhead) }
    }
}

/// A service behind a bulkhead.
#[derive(Debug)]
pub struct BulkheadService<B, S> {
    inner: S,
    bulkhead: Arc<B>,
}

impl<B, S: Clone> Clone for BulkheadService<B, S> {
    fn clone(&self) -> BulkheadService<B, S> {
        BulkheadService { inner: self.inner.clone(), bulkhead: Arc::clone(&self.bulkhead) }
    }
}

// ANCHOR: service
impl<B, S, R> Service<R> for BulkheadService<B, S>
where
    B: Bulkhead,
    S: Service<R, Response: Send, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    /// Always. What is reserved here is held until `call`, which may never come. And to wait for
    /// `inner` here would be a second queue, which nobody bounds.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        // A clone will do: nobody has asked `self.inner` whether it is ready, so there is nothing
        // in it that a clone would lack.
        let mut inner = self.inner.clone();
        let bulkhead = Arc::clone(&self.bulkhead);
        Box::pin(async move {
            // `inner.call` inside, too. Services are free to begin their work in it, before
            // anybody polls the future that it returns.
            let inside = async move {
                poll_fn(|context| inner.poll_ready(context)).await.map_err(Into::into)?;
                inner.call(request).await.map_err(Into::into)
            };
            bulkhead.call(inside).await?
        })
    }
}
// ANCHOR_END: service
