//! How many requests are under way at once.
//!
//! Every server has such a number, whether or not it is written down: of threads, of connections, of
//! what fits into memory. Requests beyond it wait in front, first come, first served, whatever they
//! are for. That is how one service that hangs takes the others along: what waits for it has taken
//! all places. `pattern.bulkhead` lets it have some of them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shop_contracts::{Kind, Problem};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tower::{Layer, Service, ServiceExt};

/// How long somebody waits for a place at most. No client does for longer.
const LONGEST: Duration = Duration::from_secs(30);

/// The places of one gateway.
#[derive(Debug)]
pub(crate) struct Places {
    all: usize,
    free: Semaphore,
    waited: AtomicU64,
    waiting: AtomicUsize,
}

/// How full it is.
#[derive(Debug, Serialize)]
pub(crate) struct Counts {
    pub(crate) all: usize,
    pub(crate) free: usize,
    /// Requests that found no place free when they came.
    waited: u64,
    /// Requests that wait for one now.
    pub(crate) waiting: usize,
}

impl Places {
    pub(crate) fn new(all: usize) -> Places {
        let (waited, waiting) = (AtomicU64::new(0), AtomicUsize::new(0));
        Places { all, free: Semaphore::new(all), waited, waiting }
    }

    /// A place, until it is dropped; none where somebody has waited too long.
    async fn take(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(place) = self.free.try_acquire() {
            return Some(place);
        }
        self.waited.fetch_add(1, Ordering::Relaxed);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // Also where the client hangs up while it waits.
        let _waits = Waits(&self.waiting);
        timeout(LONGEST, self.free.acquire()).await.ok()?.ok()
    }

    pub(crate) fn counts(&self) -> Counts {
        let waited = self.waited.load(Ordering::Relaxed);
        let waiting = self.waiting.load(Ordering::Relaxed);
        Counts { all: self.all, free: self.free.available_permits(), waited, waiting }
    }
}

/// One who waits, until it is dropped.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A layer for routers, each request of which has a place while it is worked on.
#[derive(Clone, Debug)]
pub(crate) struct PlacesLayer(pub(crate) Arc<Places>);

impl<S> Layer<S> for PlacesLayer {
    type Service = Placed<S>;

    fn layer(&self, inner: S) -> Placed<S> {
        Placed { inner, places: Arc::clone(&self.0) }
    }
}

/// A service behind the places. Always ready: the wait is in the call, where there is a deadline.
#[derive(Clone, Debug)]
pub(crate) struct Placed<S> {
    inner: S,
    places: Arc<Places>,
}

impl<S> Service<Request> for Placed<S>
where
    S: Service<Request, Response = Response, Future: Send> + Clone + Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (inner, places) = (self.inner.clone(), Arc::clone(&self.places));
        Box::pin(async move {
            let Some(_place) = places.take().await else {
                let full = Problem::new(Kind::Unavailable, "the shop is full; try again");
                return Ok(full.after(Some(1)).into_response());
            };
            inner.oneshot(request).await
        })
    }
}
