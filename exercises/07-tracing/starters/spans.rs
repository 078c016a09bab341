//! 07.3 · Spans
//!
//! A checkout took four seconds. Its log has eight lines that say how long something took, and seven of
//! those ran at the same time, or waited for another. Draw the tree instead: each step with its
//! beginning, its end, and the step that caused it.
//!
//! What you build has to keep six promises, and the checks will try to break each of them:
//!
//! 1. A request is one span, `POST /orders/{id}`, and each step hangs beneath the one that called it.
//! 2. Steps at the same time lie beside each other, and no step hangs in another's request.
//! 3. Tasks and threads hang beneath whatever began them, and do not make it longer.
//! 4. What fails says so: an error, a panic, a status of 5xx. And nothing else does.
//! 5. When a customer hangs up, all that was open ends, and says that it was cancelled.
//! 6. Waiting is not working: a span is entered while its future is polled, and left after it.
//!
//! The contract with all its details is the trait `Spans`: sandbox/07-tracing/src/spans.rs. Your spans
//! are those of `tracing`, and a `Recorder` keeps what becomes of them. (`TracingSpans` is a part of the
//! answer. Leave it for later.)
//!
//! A first step: make a span in `step` and look at `tracing::Instrument`. The fields of a span are
//! written as in
//! `tracing::info_span!("step", otel.name = name, error.type = tracing::field::Empty)`; what is
//! recorded later needs its field from the beginning. Run the checks and read the first timeline.

use http::{Request, Response};
use observability::spans::{Hop, Spans};
use std::fmt::Display;
use std::future::Future;

/// Your spans.
pub struct MySpans;

#[allow(clippy::manual_async_fn, unused_variables, unreachable_code)] // until you have written them
impl Spans for MySpans {
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
        async { todo!("a span for the request; the service within it; what has become of it") }
    }

    /// A step of the work.
    fn step<F, T, E>(name: &'static str, work: F) -> impl Future<Output = Result<T, E>> + Send
    where
        F: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: Display + Send,
    {
        async { todo!("a span beneath the current one; the work within it; has it failed?") }
    }

    /// Work goes on in a task of its own.
    fn in_task<F>(name: &'static str, work: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future<Output: Send> + Send + 'static,
    {
        async { todo!("a span beneath the one that is current when this is called") }
    }

    /// Work goes on in a thread of its own.
    fn in_thread<T>(
        name: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl FnOnce() -> T + Send + 'static {
        || todo!("a span beneath the one that is current when this is called")
    }
}
