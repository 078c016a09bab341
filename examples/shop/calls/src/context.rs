//! What a request brings along, and passes on to whom its handler asks: until when its answer is of
//! use, and whether somebody above asks again by himself.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use circuit_breakers::retry::ATTEMPT;
use circuit_breakers::timeouts::{Deadline, Deadlines, Late, OneDeadline};
use http::HeaderValue;
use observability::correlation_ids::{CorrelationIds, TaskIds};
use observability::propagation::Within;
use shop_contracts::{Kind, Problem};
use shop_flags::{Flags, PatternTimeout};
use tower::{Layer, Service, ServiceExt, service_fn};

/// What a request brings along. A handler's own calls carry it on; what it spawns does not.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Until when the answer is of use.
    pub deadline: Option<Deadline>,
    /// Somebody above repeats this, the how-manieth time it is: nobody below does.
    pub(crate) attempt: Option<HeaderValue>,
    /// Whoever runs this drops it at the deadline, and all that it waits for. So nobody below needs
    /// a timer for that: each costs a place in a queue that all threads share.
    pub(crate) is_dropped: bool,
}

tokio::task_local! {
    static NOW: Context;
}

impl Context {
    /// Of no request, and until this deadline.
    pub fn until(deadline: Deadline) -> Context {
        Context { deadline: Some(deadline), ..Context::default() }
    }

    /// That of the request that is being answered here. Outside of one there is nothing in it.
    pub fn now() -> Context {
        NOW.try_with(Clone::clone).unwrap_or_default()
    }

    /// Runs `work` in this context: to take it into a task, or to give it to a single step.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        NOW.scope(Context { is_dropped: false, ..self }, work).await
    }

    /// Whether nobody waits for an answer any more.
    pub fn is_over(&self) -> bool {
        self.deadline.is_some_and(Deadline::is_over)
    }
}

/// Runs `work` without the deadline: what has to come to its end, whoever waits for it.
pub async fn beyond<T>(work: impl Future<Output = T>) -> T {
    Context { deadline: None, ..Context::now() }.scope(work).await
}

/// `work` under the id and in the trace of the request for which this is called, whoever polls it:
/// `tokio::spawn(named(work))`. Without its deadline, and without its attempt.
pub fn named<F>(work: F) -> impl Future<Output = F::Output> + Send + 'static
where
    F: Future<Output: Send> + Send + 'static,
{
    TaskIds::in_task(Within::of(opentelemetry::Context::current(), work))
}

/// Runs `work`, which is repeated by whoever calls this where it fails. So nobody below repeats it:
/// three layers of three attempts each are 27.
pub async fn asked_again<T>(work: impl Future<Output = T>) -> T {
    let attempt = Some(HeaderValue::from_static("1"));
    Context { attempt, ..Context::now() }.scope(work).await
}

/// A layer for routers, whose requests then have a context: with `pattern.timeout` on, the deadline
/// that came with them, and at most `longest` from their arrival on. What comes too late is refused
/// before any work is done for it, and a handler is dropped at its deadline.
#[derive(Clone, Debug)]
pub struct Arrivals {
    flags: Flags,
    longest: Duration,
}

impl Arrivals {
    /// As `flags` say, and each `longest` at most.
    pub fn new(flags: Flags, longest: Duration) -> Arrivals {
        Arrivals { flags, longest }
    }
}

impl<S> Layer<S> for Arrivals {
    type Service = Arriving<S>;

    fn layer(&self, inner: S) -> Arriving<S> {
        Arriving { inner, arrivals: self.clone() }
    }
}

/// A service whose requests have a context. Always ready: the inner one is waited for in the call,
/// where there is a deadline.
#[derive(Clone, Debug)]
pub struct Arriving<S> {
    inner: S,
    arrivals: Arrivals,
}

impl<S> Service<Request> for Arriving<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone,
    S: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (inner, longest) = (self.inner.clone(), self.arrivals.longest);
        let attempt = request.headers().get(ATTEMPT).cloned();
        let known = request.extensions().get::<Deadline>().copied();
        let context = match self.arrivals.flags.get() {
            PatternTimeout::Off => Context { attempt, ..Context::default() },
            PatternTimeout::Deadline => match known {
                // It comes from this process, from somebody who drops it at the deadline.
                Some(known) if !known.is_over() => {
                    Context { deadline: Some(known), attempt, is_dropped: true }
                }
                _ => return Box::pin(late_or(inner, request, attempt, longest)),
            },
        };
        Box::pin(NOW.scope(context, inner.oneshot(request)))
    }
}

/// An answer, until the deadline.
async fn late_or<S>(
    inner: S,
    request: Request,
    attempt: Option<HeaderValue>,
    longest: Duration,
) -> Result<Response, Infallible>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone,
    S: Send + 'static,
{
    let work = service_fn(move |request: Request| {
        let deadline = request.extensions().get::<Deadline>().copied();
        let context = Context { deadline, attempt: attempt.clone(), is_dropped: true };
        NOW.scope(context, inner.clone().oneshot(request))
    });
    let answer = OneDeadline::serve(work, request, longest).await;
    Ok(answer.unwrap_or_else(|late| {
        debug_assert!(late.is::<Late>(), "a handler has no other error: {late}");
        Problem::new(Kind::TimedOut, "nobody waits for this any more").into_response()
    }))
}
