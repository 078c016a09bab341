//! Those who believe too much of what comes from outside, or lose some of it.

use super::arriving::{put, reading, text};
use super::right::{Edited, Right, method, said, within, wrong};
use futures_util::future::Either as Way;
use http::{HeaderMap, HeaderValue};
use observability::propagation::{BAGGAGE, Peer, TRACEPARENT, TRACESTATE, conventions, w3c};
use opentelemetry::Context;
use opentelemetry::trace::{Link, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId};
use std::future::Future;

/// A trace of its own for a stranger, and their flag: whoever says so is not recorded, which is
/// what somebody wants who tries passwords. Rejected by `strangers`.
pub struct KeepsTheirFlag(Right);

wrong! {
    KeepsTheirFlag; ask, enqueue, send, receive;
    method!(serve(self, caller, service, request) {
        let theirs = w3c::read(&said(request.headers()));
        let theirs = theirs.span().span_context().clone();
        if caller == Peer::Ours || !theirs.is_valid() || theirs.is_sampled() {
            return Way::Left(self.0.one.serve(caller, service, request));
        }
        let quiet = SpanContext::new(
            TraceId::from(7),
            SpanId::from(7),
            TraceFlags::default(),
            true,
            Default::default(),
        );
        let span = conventions::server(&request).with_links(vec![Link::with_context(theirs)]);
        let context = self.0.begin(span, &Context::new().with_remote_span_context(quiet));
        Way::Right(within(context, service, request, 500))
    });
}

/// Asks whether there is a trace to link to, and if not, goes on as with everybody: their baggage
/// comes in. Rejected by `strangers`.
pub struct StrangerWithoutATrace(Right);

wrong! {
    StrangerWithoutATrace; ask, enqueue, send, receive;
    method!(serve(self, caller, service, request) {
        let theirs = w3c::read(&said(request.headers()));
        let caller = if theirs.span().span_context().is_valid() { caller } else { Peer::Ours };
        self.0.one.serve(caller, service, request)
    });
}

/// Takes the trace from the answers to our own services, which know it anyway, and not from those
/// that go to the street. Rejected by `answers`.
pub struct AnswersStrangers(Right);

wrong! {
    AnswersStrangers; ask, enqueue, send, receive;
    method!(serve(self, caller, service, request) {
        let serving = self.0.one.serve(caller, service, request);
        async move {
            let mut answer = serving.await?;
            if caller == Peer::Stranger {
                answer.headers_mut().insert(TRACEPARENT, HeaderValue::from_static("00-"));
            }
            Ok(answer)
        }
    });
}

/// `extract` begins with the context of here and now. At this door that is the loop in which
/// connections are accepted: one trace, for as long as the server is up. Rejected by `nobodys`.
pub struct ContinuesWhatIsHere(Right);

wrong! {
    ContinuesWhatIsHere; ask, enqueue, send, receive;
    method!(serve(self, caller, service, request) {
        let theirs = w3c::read(&said(request.headers()));
        if caller == Peer::Ours && !theirs.span().span_context().is_valid() {
            let context = self.0.begin(conventions::server(&request), &Context::current());
            return Way::Left(within(context, service, request, 500));
        }
        Way::Right(self.0.one.serve(caller, service, request))
    });
}

/// Flags are `00` or something else. The next version has more of them, and all of that is
/// recorded then. Rejected by `unsampled`.
pub struct AnyFlag(Right);

reading! {
    AnyFlag: |headers| {
        let text = text(headers, &TRACEPARENT);
        if w3c::read(&said(headers)).span().span_context().is_valid() && !text.ends_with("00") {
            put(headers, &TRACEPARENT, &format!("{}01", &text[..53]));
        }
    }
}

/// Baggage is something of a trace, and dropped where there is none: W3C has made two documents of
/// them on purpose. Rejected by `baggage`.
pub struct NoTraceNoBaggage(Right);

reading! {
    NoTraceNoBaggage: |headers| {
        if !w3c::read(&said(headers)).span().span_context().is_valid() {
            headers.remove(BAGGAGE);
        }
    }
}

/// `headers.get`: the first line of a list that may have several. Rejected by `baggage`.
pub struct FirstLineOfBaggage(Right);

reading! {
    FirstLineOfBaggage: |headers| {
        if let Some(first) = headers.get(BAGGAGE).cloned() {
            headers.insert(BAGGAGE, first);
        }
    }
}

/// Counts the members of a tracestate and not their letters: 32 are allowed, of 256 and 256 each.
/// Rejected by `tracestate`.
pub struct NoEndOfState(Right);

wrong! {
    NoEndOfState; serve, enqueue, send, receive;
    method!(ask(self, callee, client, request) {
        let copied = request.headers().get(TRACESTATE).cloned().filter(|state| state.len() > 512);
        let client = Edited(client, move |headers: &mut HeaderMap| {
            if let Some(copied) = &copied {
                headers.insert(TRACESTATE, copied.clone());
            }
        });
        self.0.one.ask(callee, client, request)
    });
}

/// Looks for small letters in the ids, and parses the version as a number. Rejected by `odd_ones`.
pub struct CapitalVersion(Right);

reading! {
    CapitalVersion: |headers| {
        let text = text(headers, &TRACEPARENT);
        if let (Some(version @ ("CC" | "FE")), Some(rest)) = (text.get(..2), text.get(2..)) {
            put(headers, &TRACEPARENT, &format!("{}{rest}", version.to_lowercase()));
        }
    }
}

/// `> 500`, and a crash is no error. Rejected by `named`.
pub struct ErrorAbove500(Right);

wrong! {
    ErrorAbove500; ask, enqueue, send, receive;
    method!(serve(self, caller, service, request) {
        within(self.0.serves(caller, &request), service, request, 501)
    });
}

/// `!is_success()`: what has not changed since, and what lies elsewhere, is an error. Rejected by
/// `named`.
pub struct ErrorUnlessSuccess(Right);

wrong! {
    ErrorUnlessSuccess; serve, enqueue, send, receive;
    method!(ask(self, callee, client, request) {
        within(self.0.asks(callee, &mut request), client, request, 300)
    });
}

/// Makes a new request of method and address, and writes the trace there. Who asks, and what they
/// accept, is gone. Rejected by `told_once`.
pub struct DropsHeaders(Right);

wrong! {
    DropsHeaders; serve, enqueue, send, receive;
    method!(ask(self, callee, client, request) {
        request.headers_mut().clear();
        self.0.one.ask(callee, client, request)
    });
}
