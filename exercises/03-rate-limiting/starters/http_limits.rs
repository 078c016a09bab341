//! 03.7 · Limits over HTTP
//!
//! There is a limiter, and it says yes or no. Put it in front of a service that answers HTTP: a
//! tower layer, as axum, hyper and tonic all take it.
//!
//! What you build has to keep five promises, and the checks will try to break each of them:
//!
//! 1. Every answer, refused or not, tells in two fields what the quota is and what is left of it.
//! 2. A client that waits for as long as it was told succeeds at its first retry.
//! 3. Nobody chooses their own key: neither by a header, nor by a name, nor by another address of
//!    the network that their provider gave them.
//! 4. What is refused never reaches the service, and holds no place in it.
//! 5. A limiter that is lost tells nobody anything that it does not know.
//!
//! The contract with all its details is the trait `HttpLimits`:
//! sandbox/03-rate-limiting/src/http_limits.rs. The boilerplate of tower is done; write `call`. All
//! that it needs is in `self.limits`: the limiter, the policy, the proxies, the rules.
//!
//! A first step: ask the rules for the cost, the limiter for a decision on the key "everybody", and
//! call `self.inner`, or answer 429. Then run the checks and read the first timeline.

use http::{Request, Response};
use rate_limiting::http_limits::{Handler, HttpLimits, Limits};
use rate_limiting::limiter::Limiter;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;

/// Your limits.
pub struct MyLimits;

impl HttpLimits for MyLimits {
    fn limit<L, S, I, O>(inner: S, limits: Arc<Limits<L>>) -> impl Handler<I, O, Error = S::Error>
    where
        L: Limiter,
        S: Handler<I, O>,
        I: Send + 'static,
        O: From<String> + Send + 'static,
    {
        Limited { inner, limits }
    }
}

/// A service behind a limit. `L` is the limiter, `S` the service, `I` and `O` the bodies of
/// requests and answers; an answer of your own is `Response::new(O::from(text))`.
#[allow(dead_code)] // until call uses the fields
struct Limited<L, S> {
    inner: S,
    limits: Arc<Limits<L>>,
}

impl<L, S: Clone> Clone for Limited<L, S> {
    fn clone(&self) -> Limited<L, S> {
        Limited { inner: self.inner.clone(), limits: Arc::clone(&self.limits) }
    }
}

impl<L, S, I, O> Service<Request<I>> for Limited<L, S>
where
    L: Limiter,
    S: Service<Request<I>, Response = Response<O>, Future: Send> + Clone + Send + 'static,
    I: Send + 'static,
    O: From<String> + Send + 'static,
{
    type Response = Response<O>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<O>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, _request: Request<I>) -> Self::Future {
        // The future outlives this call, so it needs its own of everything:
        // Box::pin(async move { … })
        todo!("ask the limiter, then the service, and tell the client of both")
    }
}
