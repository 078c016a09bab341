//! What wrong answers do right: each makes one mistake, and takes the rest from the reference.

use http::{HeaderMap, Request, Response};
use observability::correlation_ids::Hop;
use observability::propagation::{
    BAGGAGE, Carrier, Delivery, Ending, OneTrace, Peer, Propagation, TRACEPARENT, Within,
    conventions, w3c,
};
use opentelemetry::Context;
use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{Link, SpanBuilder, TraceContextExt, Tracer};
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use tower_service::Service;

/// The reference, and its tracer for what is done by hand.
pub struct Right {
    pub(super) one: OneTrace,
    tracer: Arc<BoxedTracer>,
}

struct Shared(Arc<BoxedTracer>);

impl Tracer for Shared {
    type Span = BoxedSpan;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> BoxedSpan {
        self.0.build_with_context(builder, parent)
    }
}

impl Right {
    pub(super) fn new(tracer: BoxedTracer) -> Right {
        let tracer = Arc::new(tracer);
        let shared = BoxedTracer::new(Box::new(Shared(Arc::clone(&tracer))));
        Right { one: OneTrace::new(shared), tracer }
    }

    pub(super) fn begin(&self, span: SpanBuilder, parent: &Context) -> Context {
        parent.with_span(self.tracer.build_with_context(span, parent))
    }

    /// A request has come.
    pub(super) fn serves<I>(&self, caller: Peer, request: &Request<I>) -> Context {
        let theirs = w3c::read(&said(request.headers()));
        let span = conventions::server(request);
        match caller {
            Peer::Ours => self.begin(span, &theirs),
            Peer::Stranger => self.begin(span.with_links(vec![link(&theirs)]), &Context::new()),
        }
    }

    /// Another service is asked, and told so.
    pub(super) fn asks<I>(&self, callee: Peer, request: &mut Request<I>) -> Context {
        let context = self.begin(conventions::client(request), &Context::current());
        let mut carrier = w3c::write(&context);
        if callee == Peer::Stranger {
            carrier.remove(&BAGGAGE);
        }
        carrier.tell(request.headers_mut());
        context
    }

    /// A message is sent.
    pub(super) fn sends(&self, to: &str, stored: &Carrier) -> Context {
        let message = vec![link(&w3c::read(stored))];
        self.begin(conventions::send(to).with_links(message), &Context::current())
    }

    /// Messages have come.
    pub(super) fn processes(&self, from: &str, deliveries: &[Delivery]) -> Context {
        let (mut said, links) = heard(deliveries);
        let parent = match &mut said[..] {
            [one] => std::mem::take(one),
            _ => Context::new(),
        };
        self.begin(conventions::process(from, deliveries).with_links(links), &parent)
    }
}

pub(super) fn link(context: &Context) -> Link {
    Link::with_context(context.span().span_context().clone())
}

/// What each message says, and the links to all of them.
pub(super) fn heard(deliveries: &[Delivery]) -> (Vec<Context>, Vec<Link>) {
    let said: Vec<Context> = deliveries.iter().map(|one| w3c::read(&one.carrier)).collect();
    let links = said.iter().map(link).collect();
    (said, links)
}

/// What `hop` answers, noted in the span of `ending`.
pub(super) async fn answer<S, I, O>(
    mut hop: S,
    request: Request<I>,
    context: Context,
    error: u16,
) -> Result<Response<O>, S::Error>
where
    S: Hop<I, O>,
    I: Send + 'static,
    O: Send + 'static,
{
    let answer = async {
        poll_fn(|task| hop.poll_ready(task)).await?;
        hop.call(request).await
    };
    let mut answer = answer.await;
    conventions::answered(&context.span(), answer.as_ref(), error);
    if let (500.., Ok(answer)) = (error, &mut answer) {
        Carrier::default().tell(answer.headers_mut());
    }
    answer
}

/// Asks `hop` in `context`, whose span ends with the answer.
pub(super) fn within<S, I, O>(
    context: Context,
    hop: S,
    request: Request<I>,
    error: u16,
) -> impl Future<Output = Result<Response<O>, S::Error>> + Send + 'static
where
    S: Hop<I, O>,
    I: Send + 'static,
    O: Send + 'static,
{
    let ending = Ending::of(&context);
    Within::of(context.clone(), async move {
        let _ending = ending;
        answer(hop, request, context, error).await
    })
}

/// Work in `context`, whose span ends with it.
pub(super) fn working<F>(
    context: Context,
    work: F,
) -> impl Future<Output = F::Output> + Send + 'static
where
    F: Future<Output: Send> + Send + 'static,
{
    let ending = Ending::of(&context);
    Within::of(context, async move {
        let _ending = ending;
        work.await
    })
}

/// What a request's headers say.
pub(super) fn said(headers: &HeaderMap) -> Carrier {
    Carrier::of_headers(headers)
}

/// The one traceparent, as text.
pub(super) fn parent(headers: &HeaderMap) -> Option<String> {
    said(headers).get(TRACEPARENT.as_str()).map(str::to_owned)
}

/// The carrier with another traceparent.
pub(super) fn with_parent(carrier: &Carrier, change: impl Fn(&str) -> String) -> Carrier {
    let fields = carrier.iter().map(|(name, value)| match name {
        "traceparent" => (name.to_owned(), change(value)),
        _ => (name.to_owned(), value.to_owned()),
    });
    fields.collect()
}

/// A client whose requests are changed after all that the reference has done to them.
#[derive(Clone)]
pub(super) struct Edited<S, E>(pub(super) S, pub(super) E);

impl<S, E, I> Service<Request<I>> for Edited<S, E>
where
    S: Service<Request<I>>,
    E: FnMut(&mut HeaderMap),
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, task: &mut std::task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(task)
    }

    fn call(&mut self, mut request: Request<I>) -> S::Future {
        (self.1)(request.headers_mut());
        self.0.call(request)
    }
}

/// A method as it should be.
macro_rules! right {
    (new) => {
        fn new(tracer: opentelemetry::global::BoxedTracer) -> Self {
            Self($crate::decoys::propagation::right::Right::new(tracer))
        }
    };
    (serve) => {
        $crate::decoys::propagation::right::method!(serve(self, caller, service, request) {
            self.0.one.serve(caller, service, request)
        });
    };
    (ask) => {
        $crate::decoys::propagation::right::method!(ask(self, callee, client, request) {
            self.0.one.ask(callee, client, request)
        });
    };
    (enqueue) => {
        fn enqueue(&self, to: &str) -> observability::propagation::Carrier {
            self.0.one.enqueue(to)
        }
    };
    (send) => {
        $crate::decoys::propagation::right::method!(send(self, to, stored, publish) {
            self.0.one.send(to, stored, publish)
        });
    };
    (receive) => {
        $crate::decoys::propagation::right::method!(receive(self, from, deliveries, work) {
            self.0.one.receive(from, deliveries, work)
        });
    };
}

/// A method, by its body.
macro_rules! method {
    (send($this:ident, $to:ident, $stored:ident, $publish:ident) $body:block) => {
        #[allow(unused_mut)]
        fn send<P, F>(
            &$this,
            $to: &str,
            mut $stored: observability::propagation::Carrier,
            $publish: P,
        ) -> impl Future<Output = F::Output> + Send + 'static
        where
            P: FnOnce(observability::propagation::Carrier) -> F + Send + 'static,
            F: Future<Output: Send> + Send + 'static,
        $body
    };
    (receive($this:ident, $from:ident, $deliveries:ident, $work:ident) $body:block) => {
        fn receive<F>(
            &$this,
            $from: &str,
            $deliveries: &[observability::propagation::Delivery],
            $work: F,
        ) -> impl Future<Output = F::Output> + Send + 'static
        where
            F: Future<Output: Send> + Send + 'static,
        $body
    };
    ($method:ident($this:ident, $peer:ident, $hop:ident, $request:ident) $body:block) => {
        #[allow(unused_mut, unused_variables)]
        fn $method<S, I, O>(
            &$this,
            $peer: observability::propagation::Peer,
            mut $hop: S,
            mut $request: http::Request<I>,
        ) -> impl Future<Output = Result<http::Response<O>, S::Error>> + Send + 'static
        where
            S: observability::correlation_ids::Hop<I, O>,
            I: Send + 'static,
            O: Send + 'static,
        $body
    };
}

/// A wrong answer: what it does by itself, and the names of what it has from the reference.
macro_rules! wrong {
    ($decoy:ident; $($right:ident),* ; $($own:tt)*) => {
        impl observability::propagation::Propagation for $decoy {
            $crate::decoys::propagation::right::right!(new);
            $($crate::decoys::propagation::right::right!($right);)*
            $($own)*
        }
    };
}

pub(super) use {method, right, wrong};
