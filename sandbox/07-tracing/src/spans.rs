//! 07.3 · Spans: which step of a request took the time, and what it was begun by.
//!
//! A log of a slow checkout has eight lines that say `took 300 ms`. Some of those steps ran at the same
//! time, some waited for others, and one was slow. A *span* is a step with its beginning, its end and
//! the step that caused it; the spans of one request are a tree, a *trace*. The contract [`Spans`] names
//! the promises, [`TracingSpans`] keeps them:
//!
//! | promise | how |
//! | --- | --- |
//! | A step hangs beneath the one that caused it | its parent is asked for when it is *called*, and not when it is polled |
//! | Steps at the same time lie beside each other | a span is entered while its future is polled, and left again, each time |
//! | No span bleeds into another request | the same |
//! | It goes along into tasks and threads | [`Spans::in_task`], [`Spans::in_thread`]: nothing is inherited by itself |
//! | What fails, panics or is cancelled says so | the future is watched while it is polled, and when it is dropped |
//! | Names are few | `POST /orders/{id}` and never `/orders/4711` |
//!
//! Spans are those of [`tracing`], so what a library says of itself hangs in the same tree. Names and
//! attributes are those of OpenTelemetry; what stands in no field of `tracing`'s is given as
//! [tracing-opentelemetry](https://docs.rs/tracing-opentelemetry/latest/tracing_opentelemetry/#special-fields)
//! reads it: `otel.name`, `otel.kind`, `otel.status_code`. What listens may change; what is said need
//! not.
//!
//! - [`SpanLayer`]: the contract as a layer at the door of a server.
//! - [`Recorder`]: keeps the newest traces in memory, for tests, examples, and a page of a service.
//! - [`Waterfall`]: draws a trace, and marks the step that a request really waited for.
//!
//! What it does not promise:
//!
//! - **Other services.** The next service has to be told; that is 07.4.
//! - **Nobody's work.** Outside of any request a step is a root of its own. Where a request polls a
//!   plain future that was made there, what that logs is within the request.
//! - **Names of people, numbers of cards.** The text of an error becomes an attribute; 07.2 is about
//!   what may stand in one.
//!
//! Sources: B. Sigelman and others, [*Dapper*](https://research.google/pubs/pub36356/), Google 2010,
//! where spans and their trees come from; OpenTelemetry's
//! [tracing API](https://opentelemetry.io/docs/specs/otel/trace/api/#span) and
//! [semantic conventions for HTTP](https://opentelemetry.io/docs/specs/semconv/http/http-spans/);
//! tracing, [`Span`](https://docs.rs/tracing/latest/tracing/struct.Span.html#in-asynchronous-code) in
//! asynchronous code.

mod door;
mod finished;
mod layer;
mod place;
mod recorder;
mod watch;
mod waterfall;

use http::{Request, Response};
use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use tracing::Span;
use tracing::field::Empty;

pub use crate::correlation_ids::Hop;
pub use finished::{Finished, Kind, Said};
pub use layer::{RouteOf, SpanLayer};
pub use place::{Place, SpanId, TraceId};
pub use recorder::{Recorder, Trace};
pub use waterfall::{Culprit, Waterfall};

// ANCHOR: contract
/// The contract: a request and its steps as one tree of spans.
///
/// Spans are of level `INFO`, and are made, with their parent, when a method is *called*: who polls
/// the future later, or what thread runs the job, does not matter. While `work` runs or is dropped,
/// and at no other time, its span is the current one. What `work` logs belongs to it, and what it calls
/// hangs beneath it.
///
/// A span ends with its work, whatever way that ends:
///
/// - with an answer or a value: nothing more is said, and not `OK` either, which says that somebody has
///   looked at it, and is final;
/// - with a panic: `otel.status_code` is `ERROR`, and `error.type` is `panic`;
/// - dropped before its end, be it that it was never polled or called: `cancelled` is `true`, and that
///   is no error. (OpenTelemetry has no word for it.)
///
/// Where nobody listens, no span is made, and the work is done all the same.
pub trait Spans: Send + Sync + 'static {
    /// A request has come: has `service` answer it, as soon as that is ready, within a span of its own.
    ///
    /// That is a root, also where this is called within another request; or beneath the [`Place`] in the
    /// request's extensions, which another service has told. Its `otel.kind` is `server`, its attributes
    /// are
    ///
    /// - `http.request.method`: one of [`METHODS`], or `_OTHER`;
    /// - `http.route`: the [`Route`] in the request's extensions. Where none is known yet, the field
    ///   waits for whoever finds out and records it;
    /// - `http.response.status_code`.
    ///
    /// Its `otel.name` is method and route, or the method alone, or `HTTP` in the place of one that is
    /// none of [`METHODS`]; it may be recorded anew. The path itself stands nowhere, and in no line that
    /// is logged here: it has as many forms as there are orders, and may hold what is secret, as the
    /// links that reset a password do.
    ///
    /// With a status of 500 and more `otel.status_code` is `ERROR`, and `error.type` the status. What
    /// is the client's fault, 4xx, is no error of this service. With an error, also one that says that
    /// the service will not be ready, `otel.status_code` is `ERROR`, and `error.type` the name of its
    /// type. Requests, answers and errors are passed on as they are.
    fn serve<S, I, O>(
        service: S,
        request: Request<I>,
    ) -> impl Future<Output = Result<Response<O>, S::Error>> + Send
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static;

    /// `work` as a step, beneath the span in which this is called, or a root where there is none. It
    /// may be awaited, joined with others, or spawned.
    ///
    /// `name` is one of few. With an error `otel.status_code` is `ERROR`, `error.type` the name of its
    /// type, and `otel.status_description` what it says; the step above decides for itself whether it
    /// has failed.
    fn step<F, T, E>(name: &'static str, work: F) -> impl Future<Output = Result<T, E>> + Send
    where
        F: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: Display + Send;

    /// `work` as a step that goes on by itself: `tokio::spawn(S::in_task("send mail", work))`. It may
    /// outlive the one that began it, and does not make that longer.
    fn in_task<F>(name: &'static str, work: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future<Output: Send> + Send + 'static;

    /// `work` as a step on whatever thread runs it: `spawn_blocking(S::in_thread("hash", work))`.
    /// Afterwards the thread is as it was before, also if `work` panics.
    fn in_thread<T>(
        name: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl FnOnce() -> T + Send + 'static;
}

/// The pattern that a request has matched, as `/orders/{id}`: in the request's extensions. Never the
/// path, which has as many forms as there are orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route(pub Arc<str>);

/// The methods whose names are told; a client may invent others.
pub const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
// ANCHOR_END: contract

/// The reference: spans of `tracing`, which are entered at each poll.
#[derive(Clone, Copy, Debug)]
pub struct TracingSpans;

// ANCHOR: step
/// A span beneath the current one. What is not known yet has its field all the same: what is recorded
/// into a field that the span has not, is lost without a word.
fn below(name: &'static str) -> Span {
    tracing::info_span!(
        "step",
        otel.name = name,
        otel.status_code = Empty,
        otel.status_description = Empty,
        error.type = Empty,
        cancelled = Empty,
    )
}
// ANCHOR_END: step

// ANCHOR: reference
impl Spans for TracingSpans {
    fn serve<S, I, O>(
        mut service: S,
        request: Request<I>,
    ) -> impl Future<Output = Result<Response<O>, S::Error>> + Send
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static,
    {
        let span = door::span(&request);
        let answer = async move {
            poll_fn(|context| service.poll_ready(context)).await?;
            // Inside of the span: `call` may begin steps before it returns its future.
            service.call(request).await
        };
        watch::within(span, answer, door::judge)
    }

    fn step<F, T, E>(name: &'static str, work: F) -> impl Future<Output = Result<T, E>> + Send
    where
        F: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: Display + Send,
    {
        // Not an `async fn`: that would ask for the current span when it is polled, which may be in a
        // task that has none.
        watch::within(below(name), work, |span, ended| {
            if let Err(error) = ended {
                watch::fail(span, std::any::type_name::<E>());
                span.record("otel.status_description", tracing::field::display(error));
            }
        })
    }

    fn in_task<F>(name: &'static str, work: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future<Output: Send> + Send + 'static,
    {
        // A span of its own, and not the current one entered again: that would go on for as long as
        // the task does, and be busy with it.
        watch::within(below(name), work, |_, _| {})
    }

    fn in_thread<T>(
        name: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl FnOnce() -> T + Send + 'static {
        watch::within_call(below(name), work)
    }
}
// ANCHOR_END: reference
