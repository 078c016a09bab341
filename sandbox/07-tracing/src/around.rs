//! What the layers of this topic have in common: each call of a service goes through something.
//!
//! They say that they are ready at once, and wait for what they stand around within each call, where
//! it is known for whom. Each call waits for its own clone, and calls that, so nothing is called that
//! was not ready. What sheds load belongs outside of them.

use crate::correlation_ids::Hop;
use http::{Request, Response};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_service::Service;

/// What each call goes through.
pub trait Around {
    /// Has `service` answer `request`, as soon as it is ready.
    fn call<S, I, O>(&self, service: S, request: Request<I>) -> Answering<O, S::Error>
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static;
}

/// An answer, or why there is none.
pub type Answering<O, E> = Pin<Box<dyn Future<Output = Result<Response<O>, E>> + Send>>;

/// A service each call of which goes through `A`.
#[derive(Clone, Debug)]
pub struct Surrounded<S, A> {
    inner: S,
    around: A,
}

impl<S, A> Surrounded<S, A> {
    /// `inner`, with this around it.
    pub fn new(inner: S, around: A) -> Surrounded<S, A> {
        Surrounded { inner, around }
    }
}

// ANCHOR: surrounded
impl<S, A, I, O> Service<Request<I>> for Surrounded<S, A>
where
    A: Around,
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
        self.around.call(self.inner.clone(), request)
    }
}
// ANCHOR_END: surrounded
