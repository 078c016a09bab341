//! What the checks of the lesson leave out: the layers, a carrier's forms, and life without an SDK.

use http::{HeaderMap, HeaderValue, Request, Response};
use observability::propagation::{
    BAGGAGE, Carrier, ContextLayer, Delivery, InjectLayer, OneTrace, Peer, Propagation,
    TRACEPARENT, TRACESTATE, trace, w3c,
};
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::global::BoxedTracer;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::noop::NoopTracerProvider;
use opentelemetry::trace::{FutureExt, TraceContextExt, TracerProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use tower_layer::Layer;
use tower_service::Service;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Answers with the traceparents that it was told. Only the clone that was asked whether it is
/// ready is.
#[derive(Default)]
struct Next {
    is_ready: bool,
}

impl Clone for Next {
    fn clone(&self) -> Next {
        Next::default()
    }
}

impl Service<Request<()>> for Next {
    type Response = Response<Vec<String>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Vec<String>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called before it was ready");
        let lines = request.headers().get_all(TRACEPARENT).iter();
        let lines = lines.map(|line| line.to_str().expect("text").to_owned()).collect();
        ready(Ok(Response::new(lines)))
    }
}

#[derive(Clone, Debug, Default)]
struct Ended(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Ended {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().expect("no panic").append(&mut batch);
        Ok(())
    }
}

impl Ended {
    fn take(&self) -> Vec<SpanData> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

fn traces(ended: &Ended) -> OneTrace {
    let provider = SdkTracerProvider::builder().with_simple_exporter(ended.clone()).build();
    OneTrace::new(BoxedTracer::new(Box::new(provider.tracer("test"))))
}

fn with_parent() -> Request<()> {
    let mut request = Request::new(());
    request.headers_mut().insert(TRACEPARENT, HeaderValue::from_static(PARENT));
    request
}

#[tokio::test]
async fn the_layers_go_around_each_other_and_each_has_a_span() {
    let ended = Ended::default();
    let traces = traces(&ended);
    let inside = InjectLayer::new(traces.clone()).layer(Next::default());
    let mut shop = ContextLayer::new(traces.clone()).layer(inside);
    for _ in 0..3 {
        poll_fn(|task| shop.poll_ready(task)).await.unwrap();
        let told = shop.call(with_parent()).await.unwrap().into_body();
        let spans = ended.take();
        assert_eq!(spans.len(), 2);
        let (client, server) = (&spans[0], &spans[1]);
        assert_eq!(told, [format!("00-{TRACE}-{}-01", client.span_context.span_id())]);
        assert_eq!(client.parent_span_id, server.span_context.span_id());
        assert_eq!(server.parent_span_id.to_string(), "b7ad6b7169203331");
    }
    let inside = InjectLayer::outward(traces.clone()).layer(Next::default());
    let mut shop = ContextLayer::public(traces).layer(inside);
    let told = shop.call(with_parent()).await.unwrap().into_body();
    assert!(!told[0].contains(TRACE), "{told:?}");
    assert_eq!(ended.take()[1].links[0].span_context.trace_id().to_string(), TRACE);
}

#[tokio::test]
async fn without_an_sdk_contexts_still_go_through() {
    let traces = OneTrace::new(BoxedTracer::new(Box::new(NoopTracerProvider::new().tracer(""))));
    let inside = InjectLayer::new(traces.clone()).layer(Next::default());
    let mut shop = ContextLayer::new(traces.clone()).layer(inside);
    assert_eq!(shop.call(with_parent()).await.unwrap().into_body(), [PARENT]);
    // Where nobody has said anything, nothing is told.
    assert!(shop.call(Request::new(())).await.unwrap().into_body().is_empty());
    assert!(traces.enqueue("orders").is_empty());
    let mut stored = Carrier::default();
    stored.set("traceparent", PARENT.to_owned());
    let message = Delivery { carrier: stored, redelivered: false };
    let heard = traces.receive("orders", &[message], async { trace() }).await;
    assert_eq!(heard.as_deref(), Some(TRACE));
}

#[tokio::test]
async fn outside_of_everything_there_is_no_trace() {
    assert_eq!(trace(), None);
    let ended = Ended::default();
    let traces = traces(&ended);
    let sent = traces.send("orders", Carrier::default(), async |_| trace()).await;
    assert!(sent.is_some());
    assert_eq!(trace(), None);
    assert_eq!(ended.take().len(), 1);
}

#[tokio::test]
async fn a_span_ends_also_if_nobody_ever_polls() {
    let ended = Ended::default();
    let traces = traces(&ended);
    let context = Context::new();
    let asked = async { drop(traces.ask(Peer::Ours, Next::default(), Request::new(()))) };
    asked.with_context(context).await;
    assert_eq!(ended.take().len(), 1);
}

#[test]
fn a_carrier_survives_a_row_and_a_table_of_headers() {
    let mut carrier = Carrier::default();
    for (name, value) in [("traceparent", PARENT), ("tracestate", "a=1"), ("baggage", "b=\"2\"")] {
        carrier.set(name, value.to_owned());
    }
    assert_eq!(Carrier::from_json(&carrier.to_json()), carrier);
    let table = carrier.iter().map(|(name, value)| (name.to_uppercase(), value.to_owned()));
    assert_eq!(table.collect::<Carrier>(), carrier);
    // What is not of a trace is left out, and what is no text.
    let other = r#"{"traceparent":"x","tracestate":["a=1"],"x-customer":"7"}"#;
    assert_eq!(Carrier::from_json(other).to_json(), r#"{"traceparent":"x"}"#);
    assert_eq!(Carrier::default().to_json(), "{}");
}

#[test]
fn what_no_header_can_hold_is_not_told() {
    let mut headers = HeaderMap::new();
    headers.append(TRACESTATE, HeaderValue::from_static("old=1"));
    headers.append(TRACESTATE, HeaderValue::from_static("old=2"));
    let mut carrier = Carrier::default();
    carrier.set("traceparent", PARENT.to_owned());
    carrier.set("baggage", "a=1\r\nx-admin: yes".to_owned());
    carrier.tell(&mut headers);
    assert_eq!(headers.len(), 1);
    assert_eq!(headers[TRACEPARENT], PARENT);
}

#[test]
fn what_is_written_is_read_again_also_by_the_sdk() {
    let mut carrier = Carrier::default();
    carrier.set("traceparent", PARENT.to_owned());
    carrier.set("tracestate", "rojo=1,congo=t61rcWkgMzE".to_owned());
    carrier.set("baggage", "tenant=J%C3%BCrgen%2C;ttl=1".to_owned());
    let context = w3c::read(&carrier);
    let again = w3c::write(&context);
    for name in [TRACEPARENT, TRACESTATE] {
        assert_eq!(again.get(name.as_str()), carrier.get(name.as_str()));
    }
    assert_eq!(again.get(BAGGAGE.as_str()), Some("tenant=J%C3%BCrgen%2C;ttl=1"));
    let theirs = TraceContextPropagator::new().extract_with_context(&Context::new(), &again);
    assert_eq!(theirs.span().span_context(), context.span().span_context());
    // Here they differ, and this is why we do not use it.
    carrier.set("traceparent", "0-7-+9-1".to_owned());
    let theirs = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    assert!(theirs.span().span_context().is_valid());
    assert!(!w3c::read(&carrier).span().span_context().is_valid());
}

#[test]
fn what_is_too_long_is_left_out_and_not_cut() {
    let mut carrier = Carrier::default();
    carrier.set("traceparent", PARENT.to_owned());
    carrier.set("tracestate", format!("a={0},b={0},c={0}", "x".repeat(w3c::LONGEST_STATE / 3)));
    // As it came it is short enough, and encoded it is not.
    carrier.set("baggage", format!("tenant={}", "/".repeat(w3c::LONGEST_BAGGAGE / 2)));
    let context = w3c::read(&carrier);
    assert_eq!(context.baggage().len(), 1);
    let written = w3c::write(&context);
    assert_eq!(written.to_json(), format!(r#"{{"traceparent":"{PARENT}"}}"#));
}

/// Whatever is read of version 00 is written as it was: nothing else looks like it.
#[test]
fn a_letter_more_or_less_is_another_text_or_none() {
    let read = |text: &str| {
        let mut carrier = Carrier::default();
        carrier.set("traceparent", text.to_owned());
        let written = w3c::write(&w3c::read(&carrier));
        written.get("traceparent").map(str::to_owned)
    };
    assert_eq!(read(PARENT).as_deref(), Some(PARENT));
    for at in 0..PARENT.len() {
        assert_eq!(read(&PARENT[..at]), None, "cut at {at}");
        for letter in ['0', '1', 'f', 'F', 'g', '+', '-', ' ', '_', 'é', '\0'] {
            let text = format!("{}{letter}{}", &PARENT[..at], &PARENT[at + 1..]);
            let more = format!("{}{letter}{}", &PARENT[..at], &PARENT[at..]);
            // A later version, or flags that only the next level knows.
            let is_told = (2..=52).contains(&at);
            let is_like = |read: &str| !is_told || read == text;
            assert!(read(&text).is_none_or(|read| is_like(&read)), "{text}");
            assert_eq!(read(&more), None, "{more}");
        }
    }
}
