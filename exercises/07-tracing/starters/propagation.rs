//! 07.4 · Propagation
//!
//! A customer's mail came two hours late. The trace of the checkout ends where the order was written
//! into the outbox, and the trace of the mail begins where the relay took it out. See to it that one
//! order is one trace: over HTTP, the outbox, the queue, and to whoever works on the message.
//!
//! What you build has to keep six promises, and the checks will try to break each of them:
//!
//! 1. Every service continues the trace of the one that asks, and every call is a span of its own.
//! 2. A message belongs to the request that wrote it down, however late and by whomever it is sent,
//!    and whether or not the customer is still there.
//! 3. Each attempt at a message is a span of its own, child of the message. A batch has links.
//! 4. What comes from outside is believed only if W3C allows it. A stranger's trace is linked.
//! 5. What is not recorded stays so, everywhere, and is still one trace.
//! 6. No message is lost because its context cannot be read.
//!
//! The contract with all its details is the trait `Propagation`:
//! sandbox/07-tracing/src/propagation.rs. `Carrier` beside it holds the three headers as text. (The
//! modules `w3c` and `within` there, and `Ending`, are a part of the answer. Leave them for later;
//! the names in `conventions` you may use.)
//!
//! Where you are is `opentelemetry::Context::current()`, and nothing else. A first step: in `serve`,
//! build a span with `self.tracer`, put it into a context with `with_span`, and let the service
//! answer within that: `opentelemetry::trace::FutureExt::with_context`. Run the checks and read the
//! first timeline. Then let `ask` write a `traceparent`, and `serve` read it.

use http::{Request, Response};
use observability::correlation_ids::Hop;
use observability::propagation::{Carrier, Delivery, Peer, Propagation};
use opentelemetry::global::BoxedTracer;
use std::future::Future;

/// Yours.
pub struct MyPropagation;

#[allow(clippy::manual_async_fn, unused_variables, unreachable_code)] // until you have written them
impl Propagation for MyPropagation {
    /// A `BoxedTracer` cannot be cloned, and an `Arc` of it can.
    fn new(tracer: BoxedTracer) -> MyPropagation {
        todo!("keep the tracer: all spans are begun by it")
    }

    /// A request has come. `std::future::poll_fn(|task| service.poll_ready(task)).await` waits until
    /// the service is ready, `service.call(request).await` is its answer; both need
    /// `tower_service::Service`.
    fn serve<S, I, O>(
        &self,
        caller: Peer,
        service: S,
        request: Request<I>,
    ) -> impl Future<Output = Result<Response<O>, S::Error>> + Send + 'static
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static,
    {
        async { todo!("what does the caller say? begin a span there, and answer within it") }
    }

    /// The next service is asked.
    fn ask<S, I, O>(
        &self,
        callee: Peer,
        client: S,
        request: Request<I>,
    ) -> impl Future<Output = Result<Response<O>, S::Error>> + Send + 'static
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static,
    {
        async { todo!("a span of this call, told to whoever is asked") }
    }

    /// A message is being written down.
    fn enqueue(&self, to: &str) -> Carrier {
        todo!("a span of this message, as text")
    }

    /// A message is sent, later, by somebody else.
    fn send<P, F>(
        &self,
        to: &str,
        stored: Carrier,
        publish: P,
    ) -> impl Future<Output = F::Output> + Send + 'static
    where
        P: FnOnce(Carrier) -> F + Send + 'static,
        F: Future<Output: Send> + Send + 'static,
    {
        async { todo!("a span of whoever sends; and what goes along with the message?") }
    }

    /// Messages have come.
    fn receive<F>(
        &self,
        from: &str,
        deliveries: &[Delivery],
        work: F,
    ) -> impl Future<Output = F::Output> + Send + 'static
    where
        F: Future<Output: Send> + Send + 'static,
    {
        async { todo!("whose child is this work, and what is it linked to?") }
    }
}
