//! Those who do by hand, around the service, what `call` does already.

use super::Careful;
use super::around::{Answering, Around, Calling, Places, around, asked_and_called, calling, taken};
use super::usual::{Right, Usual};
use circuit_breakers::BoxError;
use circuit_breakers::bulkhead::{Bulkhead, Config, Counts, Full};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use tower_service::Service;

fn refused(places: &Places) {
    places.doors.refused.fetch_add(1, Ordering::Relaxed);
}

/// Says no before anybody has called, where that is cheapest. But to tower a `poll_ready` that fails
/// is a service that is done for: pools and balancers throw it away, with its connection. Rejected by
/// `ready_holds_nothing`.
pub(super) struct RefusesWhenAsked(Arc<Places>);

calling!(RefusesWhenAsked: |places, inner, request| {
    let inner = taken(inner);
    Box::pin(async move { places.call(asked_and_called(inner, request)).await? })
};
    fn ready<S, R>(places: &Places, _: &mut S, _: &mut Context<'_>) -> Poll<Result<(), BoxError>>
    where
        S: Service<R, Error: Into<BoxError>>,
    {
        if places.doors.tickets.available_permits() > 0 {
            return Poll::Ready(Ok(()));
        }
        refused(places);
        Poll::Ready(Err(Full::Queue.into()))
    }
);

/// One limit for the whole of a call, as a layer has it that is put around: whoever waits is told in
/// time, and whoever works is cut off. Rejected by `service_waits`.
pub(super) struct TimesTheAnswer(Arc<Places>);

calling!(TimesTheAnswer: |places, inner, request| {
    let inner = taken(inner);
    Box::pin(async move {
        let longest = places.doors.config.longest_wait;
        let answer = places.call(asked_and_called(inner, request));
        tokio::time::timeout(longest, answer).await.unwrap_or(Err(Full::Waited(longest)))?
    })
});

/// The service's callers queue at the semaphore itself, where the limit was forgotten. Rejected by
/// `service_waits`.
pub(super) struct WaitsAtTheService(Arc<Places>);

calling!(WaitsAtTheService: |places, inner, request| {
    let inner = taken(inner);
    Box::pin(async move {
        let _ticket = Right::ticket(&places.doors).await.inspect_err(|_| refused(&places))?;
        let _place = places.doors.wait().await;
        asked_and_called(inner, request).await
    })
});

/// A guard that keeps out of the way of a panic, and a driver that panics when it is asked whether it
/// is ready. Rejected by `service_that_panics`.
pub(super) struct CarefulService(Arc<Places>);

calling!(CarefulService: |places, inner, request| {
    let inner = taken(inner);
    Box::pin(async move {
        let inside = Right::enter(&places.doors).await.inspect_err(|_| refused(&places))?;
        let _inside = Careful(Some(inside));
        asked_and_called(inner, request).await
    })
});

/// Clones must share, so they share one service behind a lock. It is held until the answer is there,
/// and all places but one are for show. Rejected by `clones_share`.
pub(super) struct OneAtATime(Arc<Places>);

struct Locked<S> {
    inner: Arc<tokio::sync::Mutex<S>>,
    places: Arc<Places>,
}

impl<S> Clone for Locked<S> {
    fn clone(&self) -> Self {
        Locked { inner: Arc::clone(&self.inner), places: Arc::clone(&self.places) }
    }
}

impl<S, R> Service<R> for Locked<S>
where
    S: Service<R, Response: Send, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Answering<S::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let (inner, places) = (Arc::clone(&self.inner), Arc::clone(&self.places));
        Box::pin(async move {
            let answer = async {
                let mut inner = inner.lock().await;
                std::future::poll_fn(|context| inner.poll_ready(context))
                    .await
                    .map_err(Into::into)?;
                inner.call(request).await.map_err(Into::into)
            };
            places.call(answer).await?
        })
    }
}

around!(OneAtATime: |places, inner| Locked { inner: Arc::new(inner.into()), places });
