//! Those who are wrong about calls and answers, or about how long a context lasts.

use super::right::{
    Edited, Right, answer, method, parent, right, said, with_parent, within, wrong,
};
use http::{HeaderMap, HeaderValue};
use observability::propagation::{BAGGAGE, Carrier, Ending, Peer, Propagation, TRACEPARENT, w3c};
use opentelemetry::Context;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::FutureExt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

/// `append`, where `insert` was meant. There are two then, and each reader has its favourite.
/// Rejected by `told_once`.
pub struct TellsASecond(Right);

wrong! {
    TellsASecond; serve, enqueue, send, receive;
    method!(ask(self, callee, client, request) {
        let old = request.headers().get(TRACEPARENT).cloned();
        let client = Edited(client, move |headers: &mut HeaderMap| {
            if let Some(old) = &old {
                headers.append(TRACEPARENT, old.clone());
            }
        });
        self.0.one.ask(callee, client, request)
    });
}

/// Does not touch what is there already: somebody will have put it there on purpose. It was
/// copied. Rejected by `told_once`.
pub struct KeepsWhatWasCopied(Right);

wrong! {
    KeepsWhatWasCopied; serve, enqueue, send, receive;
    method!(ask(self, callee, client, request) {
        let old = request.headers().get(TRACEPARENT).cloned();
        let client = Edited(client, move |headers: &mut HeaderMap| {
            if let Some(old) = &old {
                headers.insert(TRACEPARENT, old.clone());
            }
        });
        self.0.one.ask(callee, client, request)
    });
}

/// Tells the span of the request and not that of the call. Of three attempts nobody can say which
/// of them was answered. Rejected by `told_once`.
pub struct TellsTheRequest(Right);

wrong! {
    TellsTheRequest; serve, enqueue, send, receive;
    method!(ask(self, callee, client, request) {
        let carrier = w3c::write(&Context::current());
        let tell = move |headers: &mut HeaderMap| carrier.tell(headers);
        self.0.one.ask(callee, Edited(client, tell), request)
    });
}

/// `start` without a parent: each call begins a trace. Rejected by `one_order`.
pub struct BeginsAtEachCall(Right);

wrong! {
    BeginsAtEachCall; serve, enqueue, send, receive;
    method!(ask(self, callee, client, request) {
        let _nobody = Context::new().attach();
        self.0.one.ask(callee, client, request)
    });
}

/// An `async` block that asks where it is when it is polled. That is in another task. Rejected
/// by `told_once`.
pub struct AsksWhenPolled(Right);

wrong! {
    AsksWhenPolled; serve, enqueue, send, receive;
    method!(ask(self, callee, client, request) {
        let one = self.0.one.clone();
        async move { one.ask(callee, client, request).await }
    });
}

/// What is not recorded need not be told. The next service knows of no trace, begins one, and
/// records it. Rejected by `unsampled`.
pub struct TellsTheRecordedOnly(Right);

wrong! {
    TellsTheRecordedOnly; serve, enqueue, send, receive;
    method!(ask(self, callee, client, request) {
        let client = Edited(client, |headers: &mut HeaderMap| {
            if parent(headers).is_some_and(|text| text.ends_with("-00")) {
                headers.remove(TRACEPARENT);
            }
        });
        self.0.one.ask(callee, client, request)
    });
}

/// The same in the row: nothing is stored of what is not recorded. Rejected by `unsampled`.
pub struct StoresTheRecordedOnly(Right);

wrong! {
    StoresTheRecordedOnly; serve, ask, send, receive;
    fn enqueue(&self, to: &str) -> Carrier {
        let carrier = self.0.one.enqueue(to);
        let is_recorded = !carrier.iter().any(|(_, text)| text.ends_with("-00"));
        if is_recorded { carrier } else { Carrier::default() }
    }
}

/// A constant at the end of the text: all are told to record. Rejected by `unsampled`.
pub struct SaysAlwaysRecorded(Right);

wrong! {
    SaysAlwaysRecorded; serve, ask, send, receive;
    fn enqueue(&self, to: &str) -> Carrier {
        let carrier = self.0.one.enqueue(to);
        with_parent(&carrier, |text| format!("{}01", text.strip_suffix("00").unwrap_or(&text[..53])))
    }
}

/// The other constant: none are. Rejected by `unsampled`.
pub struct SaysNeverRecorded(Right);

wrong! {
    SaysNeverRecorded; serve, ask, send, receive;
    fn enqueue(&self, to: &str) -> Carrier {
        with_parent(&self.0.one.enqueue(to), |text| format!("{}00", &text[..53]))
    }
}

/// Our baggage for everybody: the provider of payments learns the tenant and the campaign.
/// Rejected by `strangers`.
pub struct TellsStrangersAll(Right);

wrong! {
    TellsStrangersAll; serve, enqueue, send, receive;
    method!(ask(self, callee, client, request) {
        self.0.one.ask(Peer::Ours, client, request)
    });
}

/// Adds no baggage for a stranger, and leaves that which was copied along. Rejected by
/// `strangers`.
pub struct LeavesCopiedBaggage(Right);

wrong! {
    LeavesCopiedBaggage; serve, enqueue, send, receive;
    method!(ask(self, callee, client, request) {
        let copied = request.headers().get(BAGGAGE).cloned().filter(|_| callee == Peer::Stranger);
        let client = Edited(client, move |headers: &mut HeaderMap| {
            if let Some(copied) = &copied {
                headers.insert(BAGGAGE, copied.clone());
            }
        });
        self.0.one.ask(callee, client, request)
    });
}

/// Tells the trace to whoever asked, for the support. So does the provider's mirror tell ours.
/// Rejected by `answers`.
pub struct AnswersWithIt(Right);

wrong! {
    AnswersWithIt; ask, enqueue, send, receive;
    method!(serve(self, caller, service, request) {
        let serving = self.0.one.serve(caller, service, request);
        async move {
            let mut answer = serving.await?;
            answer.headers_mut().insert(TRACEPARENT, HeaderValue::from_static("00-"));
            Ok(answer)
        }
    });
}

/// `with_context`, as OpenTelemetry has it. It holds while the future is polled. A customer who
/// hangs up drops it. Rejected by `hung_up_on`.
pub struct WhilePolled(Right);

wrong! {
    WhilePolled; ask, enqueue, send, receive;
    method!(serve(self, caller, service, request) {
        let context = self.0.serves(caller, &request);
        let ending = Ending::of(&context);
        let work = answer(service, request, context.clone(), 500);
        async move {
            let _ending = ending;
            work.await
        }
        .with_context(context)
    });
}

/// The span ends when nobody holds it any more. A task does, and the request seems to have taken
/// as long. Rejected by `after_the_answer`.
pub struct EndsWithTheLast(Right);

wrong! {
    EndsWithTheLast; ask, enqueue, send, receive;
    method!(serve(self, caller, service, request) {
        let context = self.0.serves(caller, &request);
        let work = answer(service, request, context.clone(), 500);
        observability::propagation::Within::of(context, work)
    });
}

tokio::task_local! {
    static HERE: Context;
}

/// A place of its own for the context. What everybody else uses, `with_current_context`, does not
/// know of it. Rejected by `after_the_answer`.
pub struct APlaceOfItsOwn(Right);

wrong! {
    APlaceOfItsOwn; ask, send, receive;
    method!(serve(self, caller, service, request) {
        let context = self.0.serves(caller, &request);
        HERE.scope(context.clone(), within(context, service, request, 500))
    });
    fn enqueue(&self, to: &str) -> Carrier {
        let _here = HERE.try_with(Clone::clone).unwrap_or_default().attach();
        self.0.one.enqueue(to)
    }
}

/// The request of the moment is a field of the service. There are always two. Rejected by
/// `two_orders`.
pub struct OneForAll(Right, Arc<Mutex<Context>>);

impl Propagation for OneForAll {
    fn new(tracer: BoxedTracer) -> OneForAll {
        OneForAll(Right::new(tracer), Arc::default())
    }

    method!(serve(self, caller, service, request) {
        let context = self.0.serves(caller, &request);
        *self.1.lock().unwrap_or_else(PoisonError::into_inner) = context.clone();
        within(context, service, request, 500)
    });

    fn enqueue(&self, to: &str) -> Carrier {
        let _now = self.1.lock().unwrap_or_else(PoisonError::into_inner).clone().attach();
        self.0.one.enqueue(to)
    }

    right!(ask);
    right!(send);
    right!(receive);
}

/// Spans of `tracing`, and the parent is set from inside of the span, where it has begun:
/// `AlreadyStarted`, says the `Result` that nobody reads. Rejected by `between`.
pub struct SetsTheParentTooLate(Right);

wrong! {
    SetsTheParentTooLate; ask, enqueue, send, receive;
    method!(serve(self, caller, service, request) {
        let said = w3c::read(&said(request.headers()));
        let span = tracing::info_span!("serves", otel.name = "POST /checkout", otel.kind = "server");
        let serving = async move {
            let _ = tracing_opentelemetry::OpenTelemetrySpanExt::set_parent(
                &tracing::Span::current(),
                said,
            );
            answer(service, request, Context::current(), 500).await
        };
        tracing::Instrument::instrument(serving, span)
    });
}

/// Spans of `tracing`, done well. In production the filter lets warnings pass, and there is no
/// span, no context, and nothing to tell. Rejected by `between`.
pub struct LivesInASpan(Right);

wrong! {
    LivesInASpan; ask, enqueue, send, receive;
    method!(serve(self, caller, service, request) {
        let said = w3c::read(&said(request.headers()));
        let span = tracing::info_span!("serves", otel.name = "POST /checkout", otel.kind = "server");
        let _ = tracing_opentelemetry::OpenTelemetrySpanExt::set_parent(&span, said);
        let serving = async move { answer(service, request, Context::current(), 500).await };
        tracing::Instrument::instrument(serving, span)
    });
}
