//! How many requests are under way at once.
//!
//! Every server has such a number, whether or not it is written down: of threads, of connections, of
//! what fits into memory. Requests beyond it wait in front, first come, first served, whatever they
//! are for. That is how one service that hangs takes the others along: what waits for it has taken
//! all places. `pattern.bulkhead` lets it have some of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use serde::Serialize;
use shop_contracts::{Kind, Problem};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long somebody waits for a place at most. No client does for longer.
const LONGEST: Duration = Duration::from_secs(30);

/// The places of one gateway.
#[derive(Debug)]
pub(crate) struct Places {
    all: usize,
    free: Semaphore,
    waited: AtomicU64,
}

/// How full it is.
#[derive(Debug, Serialize)]
pub(crate) struct Counts {
    all: usize,
    free: usize,
    /// Requests that found no place free when they came.
    waited: u64,
}

impl Places {
    pub(crate) fn new(all: usize) -> Places {
        Places { all, free: Semaphore::new(all), waited: AtomicU64::new(0) }
    }

    pub(crate) fn counts(&self) -> Counts {
        let waited = self.waited.load(Ordering::Relaxed);
        Counts { all: self.all, free: self.free.available_permits(), waited }
    }
}

/// `router`, each request of which has a place while it is worked on.
pub(crate) fn before<S>(router: Router<S>, places: Arc<Places>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router.layer(from_fn(move |request: Request, next: Next| {
        let places = Arc::clone(&places);
        async move {
            let place = match places.free.try_acquire() {
                Ok(place) => place,
                Err(_) => {
                    places.waited.fetch_add(1, Ordering::Relaxed);
                    match timeout(LONGEST, places.free.acquire()).await {
                        Ok(Ok(place)) => place,
                        _ => {
                            let detail = "the shop is full; try again";
                            let full = Problem::new(Kind::Unavailable, detail).after(Some(1));
                            return full.into_response();
                        }
                    }
                }
            };
            let answer = next.run(request).await;
            drop(place);
            answer
        }
    }))
}
