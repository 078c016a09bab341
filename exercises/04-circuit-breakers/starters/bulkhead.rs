//! 04.5 · Bulkhead
//!
//! One dependency has become slow. Whoever calls it waits, and holds meanwhile what callers of the
//! others need as well: workers, connections, memory. Give each dependency so many places, and a
//! short queue in front of them; who finds both full is refused at once.
//!
//! What you build has to keep five promises, and the checks will try to break each of them:
//!
//! 1. There are never more calls at once than places, and no place lies idle while somebody waits.
//! 2. A place is held until its call is gone, and comes back whatever becomes of it: an answer, an
//!    error, a panic, a caller that goes away. The same holds for room in the queue.
//! 3. Nobody waits behind a full queue, and nobody longer than the longest wait.
//! 4. Who came first is served first, also past somebody who comes at the very moment in which a
//!    place comes free.
//! 5. As a tower service it takes nothing before `call`, and does nothing of the call before there
//!    is a place.
//!
//! The contract with all its details is the trait `Bulkhead`:
//! sandbox/04-circuit-breakers/src/bulkhead.rs. The boilerplate of tower is done.
//!
//! A first step: a `tokio::sync::Semaphore` with as many permits as places, and `try_acquire` in
//! `call`; who gets none is refused. Tell in `counts` how many are inside. Then run the checks, and
//! let the first timeline tell you what is missing.

use circuit_breakers::BoxError;
use circuit_breakers::bulkhead::{Bulkhead, Config, Counts, Full};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;

/// Your bulkhead.
pub struct MyBulkhead {}

impl Bulkhead for MyBulkhead {
    fn new(_config: Config) -> Self {
        todo!("places and queue, of the size that the config says")
    }

    async fn call<F>(&self, _call: F) -> Result<F::Output, Full>
    where
        F: Future<Output: Send> + Send,
    {
        todo!("a place, then the call, then give the place back, whatever happens")
    }

    fn counts(&self) -> Counts {
        todo!("who is inside, who waits, how many were refused")
    }

    fn around<S, R>(
        self: Arc<Self>,
        inner: S,
    ) -> impl Service<R, Response = S::Response, Error = BoxError, Future: Send + 'static>
    + Clone
    + Send
    + 'static
    where
        S: Service<R, Response: Send, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
        R: Send + 'static,
    {
        Around { inner, bulkhead: self }
    }
}

/// A service behind your bulkhead.
#[allow(dead_code)] // until call uses the fields
struct Around<S> {
    inner: S,
    bulkhead: Arc<MyBulkhead>,
}

impl<S: Clone> Clone for Around<S> {
    fn clone(&self) -> Around<S> {
        Around { inner: self.inner.clone(), bulkhead: Arc::clone(&self.bulkhead) }
    }
}

impl<S, R> Service<R> for Around<S>
where
    S: Service<R, Response: Send, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        todo!("who only asks must hold nothing afterwards")
    }

    fn call(&mut self, _request: R) -> Self::Future {
        // The future outlives this call, so it needs its own of everything:
        // Box::pin(async move { … })
        todo!("inside a place: wait until the service is ready, and call it")
    }
}
