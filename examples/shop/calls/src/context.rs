//! What a request brings along, and passes on to whom its handler asks: until when its answer is of
//! use, and whether somebody above asks again by himself.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use circuit_breakers::retry::ATTEMPT;
use circuit_breakers::timeouts::{Deadline, Deadlines, Late, OneDeadline};
use http::HeaderValue;
use shop_contracts::{Kind, Problem};
use shop_flags::{Flags, PatternTimeout};

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

/// Runs `work`, which is repeated by whoever calls this where it fails. So nobody below repeats it:
/// three layers of three attempts each are 27.
pub async fn asked_again<T>(work: impl Future<Output = T>) -> T {
    let attempt = Some(HeaderValue::from_static("1"));
    Context { attempt, ..Context::now() }.scope(work).await
}

/// `router`, whose requests have a context: with `pattern.timeout` on, the deadline that came with
/// them, and at most `longest` from their arrival on. What comes too late is refused before any work
/// is done for it, and a handler is dropped at its deadline.
pub fn arriving<S>(router: Router<S>, flags: Flags, longest: Duration) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router.layer(from_fn(move |request: Request, next: Next| {
        let deadlines = flags.get::<PatternTimeout>() == PatternTimeout::Deadline;
        async move {
            let attempt = request.headers().get(ATTEMPT).cloned();
            let known = request.extensions().get::<Deadline>().copied();
            let context = match known {
                _ if !deadlines => Context { attempt, ..Context::default() },
                // It comes from this process, from somebody who drops it at the deadline.
                Some(known) if !known.is_over() => {
                    Context { deadline: Some(known), attempt, is_dropped: true }
                }
                _ => return late_or(request, attempt, next, longest).await,
            };
            NOW.scope(context, next.run(request)).await
        }
    }))
}

/// An answer, until the deadline.
async fn late_or(
    request: Request,
    attempt: Option<HeaderValue>,
    next: Next,
    longest: Duration,
) -> Response {
    let work = tower::service_fn(move |request: Request| {
        let deadline = request.extensions().get::<Deadline>().copied();
        let context = Context { deadline, attempt: attempt.clone(), is_dropped: true };
        let next = next.clone();
        async move { Ok::<Response, Infallible>(NOW.scope(context, next.run(request)).await) }
    });
    let answer = OneDeadline::serve(work, request, longest).await;
    answer.unwrap_or_else(|late| {
        debug_assert!(late.is::<Late>(), "a handler has no other error: {late}");
        Problem::new(Kind::TimedOut, "nobody waits for this any more").into_response()
    })
}
