//! 07.1 · Correlation ids
//!
//! A checkout failed at 21:04, and in that minute eight services wrote 90,000 lines. See to it that
//! one search finds those of this checkout, all of them, and no others.
//!
//! What you build has to keep five promises, and the checks will try to break each of them:
//!
//! 1. Every line that is logged for a request carries its id: the first and the last, in tasks, in
//!    threads, in a panic, and when the customer hangs up.
//! 2. No line carries another's.
//! 3. Every service that is asked on the way is told the id, and every answer carries it.
//! 4. What comes from outside is believed only if it is plain and short. Otherwise a new id is made,
//!    which nobody else has.
//! 5. None of that depends on how much is logged.
//!
//! The contract with all its details is the trait `CorrelationIds`:
//! sandbox/07-tracing/src/correlation_ids.rs. The lines are written by `observability::lines`, which
//! asks your `current` for each of them. (`RequestId` is a part of the answer. Leave it for later.)
//!
//! A first step: in `serve`, make an id, write it into the request and into the answer. Then find a
//! place for it, from which `current` can take it. Run the checks and read the first timeline.
//! `uuid::Uuid::now_v7()` makes ids, `tokio::task_local!` makes places.

use http::{Request, Response};
use observability::correlation_ids::{CorrelationIds, Hop};
use std::future::Future;
use std::sync::Arc;

/// Your ids.
pub struct MyIds;

#[allow(clippy::manual_async_fn, unused_variables, unreachable_code)] // until you have written them
impl CorrelationIds for MyIds {
    /// A request has come. `std::future::poll_fn(|context| service.poll_ready(context)).await` waits
    /// until the service is ready, `service.call(request).await` is its answer; both need
    /// `tower_service::Service`.
    fn serve<S, I, O>(
        service: S,
        request: Request<I>,
    ) -> impl Future<Output = Result<Response<O>, S::Error>> + Send
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static,
    {
        async { todo!("whose request is it? then let the service answer, in that name") }
    }

    /// The next service is asked.
    fn ask<S, I, O>(
        client: S,
        request: Request<I>,
    ) -> impl Future<Output = Result<Response<O>, S::Error>> + Send
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static,
    {
        async { todo!("tell it whose request this is, and ask") }
    }

    /// Work goes on in a task of its own.
    fn in_task<F>(work: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future + Send + 'static,
    {
        async { todo!("the same work, in the name of whoever calls this now") }
    }

    /// Work goes on in a thread of its own.
    fn in_thread<T>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl FnOnce() -> T + Send + 'static {
        || todo!("the same work, in the name of whoever calls this now")
    }

    /// Whose request is it? Asked for each line.
    fn current() -> Option<Arc<str>> {
        todo!("the id of the request that is worked on here and now")
    }
}
