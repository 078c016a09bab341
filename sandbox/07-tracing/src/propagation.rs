//! 07.4 · Propagation: one order is one trace, over HTTP, an outbox and a queue.
//!
//! A customer's mail came two hours late. The trace of the checkout ends where the order was written
//! down; the trace of the mail begins where a job of ours, the relay, took it from the table. Between
//! them lie the two hours, in no trace at all. The contract [`Propagation`] names the promises,
//! [`OneTrace`] keeps them:
//!
//! | promise | how |
//! | --- | --- |
//! | A request is one trace over all services | the door takes the context from [`TRACEPARENT`], and each call writes its own there |
//! | A message belongs to whoever caused it | the context is written down when the message is, beside it, and goes along as it is |
//! | Whoever carries messages is nobody's parent | the relay's span links to what it carries |
//! | Each attempt can be told from the others | a redelivery is a span of its own, child of the message and not of the last attempt |
//! | A batch belongs to nobody alone | no parent, and a link to each message |
//! | What is not recorded is not recorded anywhere | the flag goes along, too |
//! | A stranger decides nothing | what is not well-formed is no context; a stranger's trace is linked and not continued |
//! | No message is lost for its context | one that cannot be read is none, and the work is done |
//!
//! *Context* is OpenTelemetry's [`Context::current`], and nothing else: of the spans that this makes,
//! of those that you begin by its [`Tracer`], and of those of `tracing` under
//! `tracing-opentelemetry`. All of them are one tree, in any order. And it is there also when a
//! filter lets no span of `tracing` pass: 07.1 has the story.
//!
//! [`ContextLayer`] is the door of a server, [`InjectLayer`] goes around a client, inside of whatever
//! repeats. [`Carrier`] is what lies in the outbox's row and in the headers of a message.
//!
//! What it does not promise:
//!
//! - **That anybody records.** That is the exporter's part, and the sampler's: 07.9. Without an SDK,
//!   contexts still go through.
//! - **What happened in a process that was killed.** Its spans were not sent. The message has come
//!   again, and the trace shows the attempt that ended.
//! - **The body of an answer.** The span ends when the head is there.
//!
//! Sources: [W3C Trace Context](https://www.w3.org/TR/trace-context/), level 1, and
//! [W3C Baggage](https://www.w3.org/TR/baggage/); OpenTelemetry's conventions for
//! [HTTP spans](https://opentelemetry.io/docs/specs/semconv/http/http-spans/), which are stable, and
//! for [messaging spans](https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/),
//! which are in development.

mod carrier;
pub mod conventions;
mod layers;
pub mod w3c;
mod within;

use crate::correlation_ids::Hop;
use http::{Request, Response};
use opentelemetry::Context;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::noop::NoopTracer;
use opentelemetry::trace::{Link, SpanBuilder, TraceContextExt, Tracer};
use std::future::{Future, poll_fn};
use std::sync::Arc;

pub use crate::spans::Route;
pub use carrier::{BAGGAGE, Carrier, TRACEPARENT, TRACESTATE};
pub use layers::{ContextLayer, InjectLayer};
pub use within::{Ending, Within};

// ANCHOR: contract
/// The contract: how the context of a request comes in, where it is while the request is worked on,
/// and how it goes out, to services and into messages.
///
/// What is promised for a future holds in all that it does: whenever it is polled, by whomever, and
/// when it is dropped. Its span is there for all of that, and ends when it has its result or is
/// dropped, whatever tasks still hold its context, and whoever still holds the future.
///
/// What comes in, by [`serve`](Self::serve) or [`receive`](Self::receive), brings its own context:
/// that in which these are called gives it neither a parent nor baggage.
pub trait Propagation: Send + Sync + 'static {
    /// Spans are begun by this tracer, whose sampler decides what is recorded.
    fn new(tracer: BoxedTracer) -> Self;

    /// A request has come: has `service` answer it, as soon as that is ready, in a span of kind
    /// `Server` named by its method and [`Route`]: `POST /orders`, or `POST` without one. The wait
    /// until it is ready is in the span.
    ///
    /// The span continues what the caller says in the headers, baggage included, also where that is
    /// all, if the caller is one of [`Ours`](Peer::Ours). Of a [`Stranger`](Peer::Stranger) it only
    /// has a link, in a trace of its own, and no baggage. What [`w3c`] does not allow is as if it
    /// were not there.
    ///
    /// The status is an attribute, and an error if it is 500 or more, or if `service` fails. The
    /// answer says nothing of the trace, whatever `service` has put there. Errors are passed on as
    /// they are.
    fn serve<S, I, O>(
        &self,
        caller: Peer,
        service: S,
        request: Request<I>,
    ) -> impl Future<Output = Result<Response<O>, S::Error>> + Send + 'static
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static;

    /// Asks the next service through `client`, as soon as that is ready, in a span of kind `Client`
    /// named by the method: a child of the context in which this is *called*. Each call has its own,
    /// and the wait until it is ready is in it.
    ///
    /// The next service is told this span, in the place of whatever was copied along, and whether or
    /// not it is recorded; the context's baggage as well, unless it is a stranger. All other headers
    /// stay as they are. The status is an attribute, and an error if it is 400 or more, or if
    /// `client` fails.
    fn ask<S, I, O>(
        &self,
        callee: Peer,
        client: S,
        request: Request<I>,
    ) -> impl Future<Output = Result<Response<O>, S::Error>> + Send + 'static
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static;

    /// A message is being written down, to be sent to `to`: what to keep beside it, in the same row
    /// of the same transaction. Its context is that of a span `create …` of kind `Producer`, a child
    /// of the context in which this is called, that has ended.
    fn enqueue(&self, to: &str) -> Carrier;

    /// Later, somewhere else, a message is sent: `publish` gets the carrier to send along, which is
    /// `stored` as it is, also if that is empty or nonsense. The work is in a span `send …` of kind
    /// `Client`, which belongs to whoever sends, as a child of the context in which this is *called*,
    /// and links to the message.
    fn send<P, F>(
        &self,
        to: &str,
        stored: Carrier,
        publish: P,
    ) -> impl Future<Output = F::Output> + Send + 'static
    where
        P: FnOnce(Carrier) -> F + Send + 'static,
        F: Future<Output: Send> + Send + 'static;

    /// Messages have come from `from`: does `work` on them, in a span `process …` of kind
    /// `Consumer`. It links to each message that has a context. A single one is also its parent, at
    /// each attempt, and its baggage is there again; several have none, nor a common baggage, also
    /// if only one of them has a context. What [`w3c`] does not allow is as if it were not there.
    ///
    /// Where one of them was delivered before, [`conventions::REDELIVERED`] is `true`. `work` is done
    /// whatever the carriers are, and also if there are none.
    fn receive<F>(
        &self,
        from: &str,
        deliveries: &[Delivery],
        work: F,
    ) -> impl Future<Output = F::Output> + Send + 'static
    where
        F: Future<Output: Send> + Send + 'static;
}

/// Who is on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// One of our services: it may say in which trace we are, and is told all that we know.
    Ours,
    /// Anybody else: a browser, a partner, a provider of payments.
    Stranger,
}

/// A message has come.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// What was sent along.
    pub carrier: Carrier,
    /// Whether it was delivered before, as far as the broker knows: AMQP's flag `redelivered`, or an
    /// `x-delivery-count` above 0.
    pub redelivered: bool,
}
// ANCHOR_END: contract

/// The trace of here and now, in hexadecimal digits: for a line of a log, or an exemplar. Also where
/// it is not recorded, so that lines still belong together.
pub fn trace() -> Option<Arc<str>> {
    let id = Context::map_current(|context| context.span().span_context().trace_id());
    (id != opentelemetry::TraceId::INVALID).then(|| id.to_string().into())
}

/// The reference. Clones share the tracer.
#[derive(Clone, Debug)]
pub struct OneTrace {
    tracer: Arc<BoxedTracer>,
}

/// Records nothing, and still passes on what it is told.
impl Default for OneTrace {
    fn default() -> OneTrace {
        OneTrace::new(BoxedTracer::new(Box::new(NoopTracer::new())))
    }
}

impl OneTrace {
    fn begin(&self, span: SpanBuilder, parent: &Context) -> Context {
        parent.with_span(self.tracer.build_with_context(span, parent))
    }
}

/// A link to what somebody said. Of those to nothing, `with_links` keeps none.
fn link(to: &Context) -> Link {
    Link::with_context(to.span().span_context().clone())
}

impl Propagation for OneTrace {
    fn new(tracer: BoxedTracer) -> OneTrace {
        OneTrace { tracer: Arc::new(tracer) }
    }

    // ANCHOR: http
    fn serve<S, I, O>(
        &self,
        caller: Peer,
        mut service: S,
        request: Request<I>,
    ) -> impl Future<Output = Result<Response<O>, S::Error>> + Send + 'static
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static,
    {
        let said = w3c::read(&Carrier::of_headers(request.headers()));
        let span = conventions::server(&request);
        let context = match caller {
            Peer::Ours => self.begin(span, &said),
            // A new trace, so that nobody outside decides what is recorded here, or writes into the
            // trace of another. The link is for the day on which both sides compare.
            Peer::Stranger => self.begin(span.with_links(vec![link(&said)]), &Context::new()),
        };
        let ending = Ending::of(&context);
        Within::of(context, async move {
            let answer = async {
                poll_fn(|task| service.poll_ready(task)).await?;
                service.call(request).await
            };
            let mut answer = answer.await;
            conventions::answered(&ending.span(), answer.as_ref(), 500);
            if let Ok(answer) = &mut answer {
                Carrier::default().tell(answer.headers_mut());
            }
            answer
        })
    }

    fn ask<S, I, O>(
        &self,
        callee: Peer,
        mut client: S,
        mut request: Request<I>,
    ) -> impl Future<Output = Result<Response<O>, S::Error>> + Send + 'static
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static,
    {
        // Not inside of the future: that may be polled in a task which is nobody's.
        let context = self.begin(conventions::client(&request), &Context::current());
        let mut carrier = w3c::write(&context);
        if callee == Peer::Stranger {
            carrier.remove(&BAGGAGE);
        }
        carrier.tell(request.headers_mut());
        let ending = Ending::of(&context);
        Within::of(context, async move {
            let answer = async {
                poll_fn(|task| client.poll_ready(task)).await?;
                client.call(request).await
            };
            let answer = answer.await;
            conventions::answered(&ending.span(), answer.as_ref(), 400);
            answer
        })
    }
    // ANCHOR_END: http

    // ANCHOR: messages
    fn enqueue(&self, to: &str) -> Carrier {
        let context = self.begin(conventions::create(to), &Context::current());
        let _ending = Ending::of(&context);
        w3c::write(&context)
    }

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
        let message = link(&w3c::read(&stored));
        let span = conventions::send(to).with_links(vec![message]);
        let context = self.begin(span, &Context::current());
        let ending = Ending::of(&context);
        Within::of(context, async move {
            let _ending = ending;
            // What was stored, and not this span: whoever works on the message works for the
            // customer, and not for the job that brings it.
            publish(stored).await
        })
    }

    fn receive<F>(
        &self,
        from: &str,
        deliveries: &[Delivery],
        work: F,
    ) -> impl Future<Output = F::Output> + Send + 'static
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let mut said: Vec<Context> = deliveries.iter().map(|one| w3c::read(&one.carrier)).collect();
        let messages = said.iter().map(link).collect();
        let parent = match &mut said[..] {
            [one] => std::mem::take(one),
            // A span has one parent, and of several messages none is more so than the others.
            _ => Context::new(),
        };
        let span = conventions::process(from, deliveries).with_links(messages);
        let context = self.begin(span, &parent);
        let ending = Ending::of(&context);
        Within::of(context, async move {
            let _ending = ending;
            work.await
        })
    }
    // ANCHOR_END: messages
}
