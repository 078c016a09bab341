//! Those who are wrong about what comes from outside.

use super::right::{Right, method, parent, said, within, wrong};
use futures_util::future::Either as Way;
use http::{HeaderMap, HeaderName, HeaderValue};
use observability::propagation::{
    BAGGAGE, Carrier, Peer, Route, TRACEPARENT, TRACESTATE, conventions, w3c,
};
use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Link, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use std::future::Future;

/// A decoy, by what it makes of the headers before they are read as they should be.
macro_rules! reading {
    ($decoy:ident: |$headers:ident| $change:expr) => {
        wrong! { $decoy; ask, enqueue, send, receive;
            method!(serve(self, caller, service, request) {
                let $headers = request.headers_mut();
                $change;
                self.0.one.serve(caller, service, request)
            });
        }
    };
}

pub(super) fn put(headers: &mut HeaderMap, name: &HeaderName, text: &str) {
    match HeaderValue::from_str(text) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => drop(headers.remove(name)),
    }
}

pub(super) fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    said(headers).get(name.as_str()).unwrap_or_default().to_owned()
}

/// Each service begins a trace, as an agent does that knows nothing of the others. Two services,
/// two traces, and nothing that joins them. Rejected by `one_order`.
pub struct BeginsAnew(Right);

reading! {
    BeginsAnew: |headers| headers.remove(TRACEPARENT)
}

/// Hexadecimal is hexadecimal, and capitals are. W3C says small letters: the next service does
/// not understand what this one has. Rejected by `odd_ones`.
pub struct TakesCapitals(Right);

reading! {
    TakesCapitals: |headers| {
        let small = text(headers, &TRACEPARENT).to_lowercase();
        put(headers, &TRACEPARENT, &small);
    }
}

/// Version 00 is the version that there is. With the first caller that has the next one, all
/// traces are cut at this door. Rejected by `believed`.
pub struct RefusesTheFuture(Right);

reading! {
    RefusesTheFuture: |headers| {
        if !text(headers, &TRACEPARENT).starts_with("00-") {
            headers.remove(TRACEPARENT);
        }
    }
}

/// Splits at the hyphens and takes the first four, of any version. Rejected by `odd_ones`.
pub struct TakesTheFirstFour(Right);

reading! {
    TakesTheFirstFour: |headers| {
        let text = text(headers, &TRACEPARENT);
        let first: Vec<&str> = text.split('-').take(4).collect();
        put(headers, &TRACEPARENT, &first.join("-"));
    }
}

/// `headers.get`: the first of two. The next service takes the last. Rejected by `odd_ones`.
pub struct TakesTheFirstOfTwo(Right);

reading! {
    TakesTheFirstOfTwo: |headers| {
        if let Some(first) = headers.get(TRACEPARENT).cloned() {
            headers.insert(TRACEPARENT, first);
        }
    }
}

/// OpenTelemetry's own propagator, as every tutorial has it. It parses numbers: ids may be too
/// short, and have a sign. Rejected by `odd_ones`.
pub struct TakesWhatTheSdkTakes(Right);

reading! {
    TakesWhatTheSdkTakes: |headers| {
        let mut carrier = Carrier::default();
        opentelemetry::propagation::Injector::set(
            &mut carrier,
            "traceparent",
            text(headers, &TRACEPARENT),
        );
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
        match w3c::write(&context).get(TRACEPARENT.as_str()) {
            Some(whole) => put(headers, &TRACEPARENT, whole),
            None => drop(headers.remove(TRACEPARENT)),
        }
    }
}

/// Version `ff` is forbidden, and looks like any other. Rejected by `odd_ones`.
pub struct TakesVersionFf(Right);

reading! {
    TakesVersionFf: |headers| {
        let text = text(headers, &TRACEPARENT);
        if let (Some(rest), 55) = (text.strip_prefix("ff"), text.len()) {
            put(headers, &TRACEPARENT, &format!("00{rest}"));
        }
    }
}

/// What comes is recorded: the flag is for others. One service of ten then fills the storage with
/// halves of traces that nobody else has kept. Rejected by `unsampled`.
pub struct RecordsEverything(Right);

reading! {
    RecordsEverything: |headers| {
        let text = text(headers, &TRACEPARENT);
        if let (Some(rest), 55) = (text.strip_suffix("00"), text.len()) {
            put(headers, &TRACEPARENT, &format!("{rest}01"));
        }
    }
}

/// Keeps as many members of tracestate as are allowed. Which of them, the one who reads does not
/// know. Rejected by `tracestate`.
pub struct CutsTheState(Right);

reading! {
    CutsTheState: |headers| {
        let text = text(headers, &TRACESTATE);
        let first: Vec<&str> = text.split(',').take(w3c::MEMBERS).collect();
        put(headers, &TRACESTATE, &first.join(","));
    }
}

/// tracestate is for other people's systems, and left out. They lose their place. Rejected by
/// `tracestate`.
pub struct LeavesTheState(Right);

reading! {
    LeavesTheState: |headers| headers.remove(TRACESTATE)
}

/// Something is wrong with the headers, so none of them is believed: a bad tracestate costs the
/// trace. Rejected by `tracestate`.
pub struct AllOrNothing(Right);

reading! {
    AllOrNothing: |headers| {
        let state = text(headers, &TRACESTATE);
        let context = w3c::read(&said(headers));
        let kept = context.span().span_context().trace_state().header();
        if !state.is_empty() && kept.is_empty() {
            headers.remove(TRACEPARENT);
        }
    }
}

/// Cuts baggage at the limit. Half a list is another list. Rejected by `baggage`.
pub struct CutsTheBaggage(Right);

reading! {
    CutsTheBaggage: |headers| {
        let text = text(headers, &BAGGAGE);
        let cut = text.get(..w3c::LONGEST_BAGGAGE).unwrap_or(&text).to_owned();
        put(headers, &BAGGAGE, &cut);
    }
}

/// Whoever asks is believed. A stranger who sends the flag has all of their requests recorded,
/// and one who sends another's id writes into that trace. Rejected by `strangers`.
pub struct BelievesStrangers(Right);

wrong! {
    BelievesStrangers; ask, enqueue, send, receive;
    method!(serve(self, caller, service, request) {
        self.0.one.serve(Peer::Ours, service, request)
    });
}

/// Drops what strangers say at the door, also what a link would have kept for the day on which
/// both sides compare. Rejected by `strangers`.
pub struct ForgetsStrangers(Right);

wrong! {
    ForgetsStrangers; ask, enqueue, send, receive;
    method!(serve(self, caller, service, request) {
        if caller == Peer::Stranger {
            request.headers_mut().remove(TRACEPARENT);
        }
        self.0.one.serve(caller, service, request)
    });
}

/// A stranger's trace stays outside, and their baggage comes in: whoever they say the tenant is.
/// Rejected by `strangers`.
pub struct TakesTheirBaggage(Right);

wrong! {
    TakesTheirBaggage; ask, enqueue, send, receive;
    method!(serve(self, caller, service, request) {
        let said = w3c::read(&said(request.headers()));
        let baggage: Vec<_> = said
            .baggage()
            .iter()
            .map(|(key, (value, _))| opentelemetry::KeyValue::new(key.clone(), value.clone()))
            .collect();
        let span = conventions::server(&request);
        let context = match caller {
            Peer::Ours => self.0.begin(span, &said),
            Peer::Stranger => {
                let remote = said.span().span_context().clone();
                let links = Some(remote).filter(SpanContext::is_valid).map(Link::with_context);
                let parent = Context::new().with_baggage(baggage.into_iter().collect::<Baggage>());
                self.0.begin(span.with_links(links.into_iter().collect()), &parent)
            }
        };
        within(context, service, request, 500)
    });
}

/// Reads the fields, and does not ask whether they are zero. OpenTelemetry makes a new trace of
/// that, and a link to nobody. Rejected by `strangers`.
pub struct LinksToNobody(Right);

wrong! {
    LinksToNobody; ask, enqueue, send, receive;
    method!(serve(self, caller, service, request) {
        let zero = parent(request.headers()).is_some_and(|text| text.contains(&"0".repeat(32)));
        if !zero || caller == Peer::Ours {
            return Way::Left(self.0.one.serve(caller, service, request));
        }
        let nobody = SpanContext::new(
            TraceId::INVALID,
            SpanId::from(7),
            TraceFlags::SAMPLED,
            true,
            Default::default(),
        );
        let context = self.0.begin(conventions::server(&request), &Context::new());
        context.span().add_link(nobody, Vec::new());
        Way::Right(within(context, service, request, 500))
    });
}

/// The path is the name: each order is a name of its own, and no two spans can be compared.
/// Rejected by `named`.
pub struct NamesThePath(Right);

wrong! {
    NamesThePath; ask, enqueue, send, receive;
    method!(serve(self, caller, service, request) {
        let path = request.uri().path().into();
        request.extensions_mut().insert(Route(path));
        self.0.one.serve(caller, service, request)
    });
}

/// 404 is an error, and the service is red whenever somebody mistypes. Rejected by `named`.
pub struct BlamesItself(Right);

wrong! {
    BlamesItself; ask, enqueue, send, receive;
    method!(serve(self, caller, service, request) {
        let said = w3c::read(&said(request.headers()));
        let context = self.0.begin(conventions::server(&request), &said);
        within(context, service, request, 400)
    });
}

/// All of the URL, with the token in its query, in a system that everybody may search. Rejected
/// by `named`.
pub struct KeepsTheQuery(Right);

wrong! {
    KeepsTheQuery; ask, enqueue, send, receive;
    method!(serve(self, caller, service, request) {
        let said = w3c::read(&said(request.headers()));
        let context = self.0.begin(conventions::server(&request), &said);
        let url = opentelemetry::KeyValue::new("url.full", request.uri().to_string());
        context.span().set_attribute(url);
        within(context, service, request, 500)
    });
}

pub(super) use reading;
