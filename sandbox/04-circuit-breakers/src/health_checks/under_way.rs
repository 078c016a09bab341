//! What is under way, counted, so that who leaves knows when nobody is waiting any more.

use super::Health;
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::watch;
use tower_layer::Layer;
use tower_service::Service;

/// What became of what was under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Came to their end since the drain began, those included that came after it.
    pub finished: usize,
    /// Were still under way when time was up. Who stops now loses them.
    pub lost: usize,
}

#[derive(Clone, Debug)]
pub(super) struct UnderWay {
    flow: watch::Sender<Flow>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    draining: bool,
    under_way: usize,
    /// Since the drain began.
    finished: usize,
}

/// One request under way, until it is dropped.
#[derive(Debug)]
pub struct Ticket {
    flow: watch::Sender<Flow>,
}

impl Default for UnderWay {
    fn default() -> UnderWay {
        UnderWay { flow: watch::Sender::new(Flow::default()) }
    }
}

// ANCHOR: under_way
impl UnderWay {
    pub(super) fn enter(&self) -> Ticket {
        self.flow.send_modify(|flow| flow.under_way += 1);
        Ticket { flow: self.flow.clone() }
    }

    pub(super) fn drain(&self) {
        self.flow.send_modify(|flow| flow.draining = true);
    }

    pub(super) fn draining(&self) -> bool {
        self.flow.borrow().draining
    }

    pub(super) async fn drained(&self, within: Duration) -> Drained {
        self.drain();
        let mut flow = self.flow.subscribe();
        let empty = flow.wait_for(|flow| flow.under_way == 0);
        // Time that is up is no error here: the figures say it.
        let _ = tokio::time::timeout(within, empty).await;
        let Flow { finished, under_way, .. } = *self.flow.borrow();
        Drained { finished, lost: under_way }
    }
}

/// Given back by drop, and nowhere else. A line at the end of the handler is not reached by a
/// panic, nor by a client that hangs up: the future is dropped where it waits.
impl Drop for Ticket {
    fn drop(&mut self) {
        self.flow.send_modify(|flow| {
            flow.under_way -= 1;
            flow.finished += usize::from(flow.draining);
        });
    }
}
// ANCHOR_END: under_way

/// Counts what a service has under way: put it around what serves customers, and not around the
/// probes. The services that one layer makes are counted together.
///
/// It ends with the answer's head. Who streams bodies takes a place by [`Health::enter`], and
/// keeps it with the body.
#[derive(Debug)]
pub struct DrainLayer<H> {
    health: Arc<H>,
}

impl<H> DrainLayer<H> {
    /// Counted by `health`.
    pub fn new(health: Arc<H>) -> DrainLayer<H> {
        DrainLayer { health }
    }
}

// Derived, it would ask for a health that is Clone.
impl<H> Clone for DrainLayer<H> {
    fn clone(&self) -> DrainLayer<H> {
        DrainLayer { health: Arc::clone(&self.health) }
    }
}

impl<H, S> Layer<S> for DrainLayer<H> {
    type Service = Counted<H, S>;

    fn layer(&self, inner: S) -> Counted<H, S> {
        Counted { inner, health: Arc::clone(&self.health) }
    }
}

/// A service whose requests are counted while they are under way.
#[derive(Debug)]
pub struct Counted<H, S> {
    inner: S,
    health: Arc<H>,
}

impl<H, S: Clone> Clone for Counted<H, S> {
    fn clone(&self) -> Counted<H, S> {
        Counted { inner: self.inner.clone(), health: Arc::clone(&self.health) }
    }
}

// ANCHOR: layer
impl<H, S, R> Service<R> for Counted<H, S>
where
    H: Health,
    S: Service<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Draining<S::Future, H::UnderWay>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        // Here and not when it is first polled: what was accepted counts, also while it waits for
        // a thread. And before `inner`, which may panic.
        let under_way = self.health.enter();
        Draining { inner: self.inner.call(request), under_way: Some(under_way) }
    }
}

pin_project! {
    /// An answer under way, and its place in the count: until it is there, or until this is dropped.
    #[derive(Debug)]
    pub struct Draining<F, T> {
        #[pin]
        inner: F,
        under_way: Option<T>,
    }
}

impl<F: Future, T> Future for Draining<F, T> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(context));
        drop(this.under_way.take());
        Poll::Ready(answer)
    }
}
// ANCHOR_END: layer
