//! 07.1 · Correlation ids: all that was logged for one request, in every service, by one search.
//!
//! A customer's checkout failed at 21:04, and in that minute eight services wrote 90,000 lines. With
//! an id on each of them the question is a search; without it, it is a guess. The contract
//! [`CorrelationIds`] names the promises, [`TaskIds`] keeps them:
//!
//! | promise | how |
//! | --- | --- |
//! | Every line carries the id | it is kept beside the *task*, and whoever writes a line asks for it then |
//! | No line carries another's | it is there while the request's future is polled or dropped, and at no other time |
//! | It goes along into tasks and threads | [`CorrelationIds::in_task`], [`CorrelationIds::in_thread`]: nothing is inherited by itself |
//! | It goes along to the next service | the header [`REQUEST_ID`], on every call out |
//! | Whoever asked learns it | the same header on every answer, refusals included |
//! | Nobody writes into the log from outside | what arrives is believed only when it is short and plain; otherwise a new id is made |
//!
//! [`IdLayer`] is the door of a server, and belongs outside of every layer that answers or logs.
//! [`PassOnLayer`] goes around a client, inside of whatever repeats.
//!
//! What it does not promise:
//!
//! - **That an id from outside is unique.** It only looks like one. A stranger may send the same id
//!   twice, or somebody else's. So it is for finding, and never a key: not of a cache, not of an
//!   idempotent request. Where that is too little, take none from strangers: remove the header at
//!   the edge, as a gateway does.
//! - **The body of an answer.** A service has answered when the head is there. What produces a long
//!   body does so later, in nobody's name, unless it is a task of [`CorrelationIds::in_task`].
//! - **When and why.** That two lines belong together says nothing of which caused which, or how
//!   long it took. That is what spans are for.
//! - **Messages.** A consumer takes the id from the message; 07.4 has queues.
//!
//! Sources: [Heroku, *HTTP Request IDs*](https://devcenter.heroku.com/articles/http-request-id), and
//! [Rails' `ActionDispatch::RequestId`](https://api.rubyonrails.org/classes/ActionDispatch/RequestId.html),
//! where the header comes from; [CWE-117](https://cwe.mitre.org/data/definitions/117.html), what
//! happens to a log that believes everything.

mod id;
mod layers;

use http::{HeaderName, Request, Response};
use std::future::{Future, poll_fn};
use std::sync::Arc;
use tower_service::Service;

pub use id::RequestId;
pub use layers::{IdLayer, PassOnLayer};

// ANCHOR: contract
/// The contract: how the id of a request comes in, where it is while the request is worked on, and
/// how it goes out.
pub trait CorrelationIds: Send + Sync + 'static {
    /// A request has come: has `service` answer it, as soon as that is ready, in the name of one id.
    ///
    /// The id is what the one line [`REQUEST_ID`] of the request says, if that is of 1 to
    /// [`LONGEST`] characters, each an ASCII letter, a digit, `-`, `_` or `.`. Anything else is not
    /// mended: a new id is made. So it is when there are several such lines, of which another
    /// service might believe another. A new id is of the same form, and nobody else has it, in no
    /// process.
    ///
    /// [`CorrelationIds::current`] is that id in all that `service` does for this request on the
    /// way: while it is made ready, in its `call`, whenever its future is polled, and when that is
    /// dropped, be it that the client has hung up or that it panics. It is not that id anywhere
    /// else.
    ///
    /// `service` finds the id as the one and only [`REQUEST_ID`] of the request, and the answer
    /// carries it as its one and only one, whatever the status. Errors are passed on as they are.
    fn serve<S, I, O>(
        service: S,
        request: Request<I>,
    ) -> impl Future<Output = Result<Response<O>, S::Error>> + Send
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static;

    /// Asks the next service through `client`, as soon as that is ready, in the name of the request
    /// for which this is *called*; who polls the future later does not matter.
    ///
    /// The next service is told the id in the one and only [`REQUEST_ID`], in the place of any that
    /// was copied along, and what `client` logs carries it. Outside of any request nothing is
    /// known, and `request` goes out as it is.
    fn ask<S, I, O>(
        client: S,
        request: Request<I>,
    ) -> impl Future<Output = Result<Response<O>, S::Error>> + Send
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static;

    /// `work` in the name of the request for which this is called, or of none, whoever polls it:
    /// `tokio::spawn(Ids::in_task(work))`. Whose name it is outside of `work` stays as it is.
    fn in_task<F>(work: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future + Send + 'static;

    /// `work` in the name of the request for which this is called, or of none, whatever thread runs
    /// it: `tokio::task::spawn_blocking(Ids::in_thread(work))`. Afterwards the thread is as it was
    /// before, also if `work` panics.
    fn in_thread<T>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl FnOnce() -> T + Send + 'static;

    /// The id of the request that is worked on here and now. Every line that is logged asks for it.
    /// It does not depend on whether anything is logged.
    fn current() -> Option<Arc<str>>;
}

/// Any tower service that answers HTTP: requests with bodies of type `I`, answers with `O`.
pub trait Hop<I, O>:
    Service<Request<I>, Response = Response<O>, Error: Send, Future: Send> + Send + 'static
{
}

/// The header in which an id travels, in both directions.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// So many characters an id may have. A UUID has 36; more than twice that is not needed to be
/// unique, and every line pays for it.
pub const LONGEST: usize = 64;
// ANCHOR_END: contract

impl<S, I, O> Hop<I, O> for S where
    S: Service<Request<I>, Response = Response<O>, Error: Send, Future: Send> + Send + 'static
{
}

/// The reference: the id lies beside the task, in a task-local.
///
/// Not in a span of `tracing`, which would be the obvious place: a filter that lets only warnings
/// pass lets no span of level `INFO` pass either, and the id would be gone from the warnings and
/// from the calls to the next service.
#[derive(Clone, Copy, Debug)]
pub struct TaskIds;

// ANCHOR: now
tokio::task_local! {
    /// Whose work this is. It is set again at each poll, on whatever thread that happens, taken back
    /// at its end, and set when the future is dropped, too.
    static NOW: Option<RequestId>;
}

impl RequestId {
    /// That of the request that is worked on here and now.
    pub fn current() -> Option<RequestId> {
        NOW.try_with(Clone::clone).ok().flatten()
    }
}
// ANCHOR_END: now

// ANCHOR: ids
impl CorrelationIds for TaskIds {
    fn serve<S, I, O>(
        mut service: S,
        mut request: Request<I>,
    ) -> impl Future<Output = Result<Response<O>, S::Error>> + Send
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static,
    {
        let id = RequestId::believe(request.headers()).unwrap_or_else(RequestId::new);
        // The old one is gone from here on: a service that passes on all headers, as gateways do,
        // would pass on what was not believed.
        id.tell(request.headers_mut());
        NOW.scope(Some(id.clone()), async move {
            poll_fn(|context| service.poll_ready(context)).await?;
            // Inside of the scope: `call` may log before it returns its future.
            let mut response = service.call(request).await?;
            id.tell(response.headers_mut());
            Ok(response)
        })
    }

    fn ask<S, I, O>(
        mut client: S,
        mut request: Request<I>,
    ) -> impl Future<Output = Result<Response<O>, S::Error>> + Send
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static,
    {
        // Not inside of the future: that may be polled in a task which is nobody's.
        if let Some(id) = RequestId::current() {
            id.tell(request.headers_mut());
        }
        Self::in_task(async move {
            poll_fn(|context| client.poll_ready(context)).await?;
            client.call(request).await
        })
    }

    fn in_task<F>(work: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future + Send + 'static,
    {
        // Of none as well: what was begun for nobody stays nobody's, also where a request that
        // waits for it polls it.
        NOW.scope(RequestId::current(), work)
    }

    fn in_thread<T>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl FnOnce() -> T + Send + 'static {
        let id = RequestId::current();
        move || NOW.sync_scope(id, work)
    }

    fn current() -> Option<Arc<str>> {
        NOW.try_with(|id| id.as_ref().map(RequestId::text)).ok().flatten()
    }
}
// ANCHOR_END: ids
