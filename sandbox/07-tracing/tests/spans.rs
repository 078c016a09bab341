//! What the checks of the lesson leave out: the recorder's bounds, and the layer at an axum router.

use axum::body::Body;
use axum::extract::MatchedPath;
use http::Request;
use observability::spans::{
    Place, Recorder, Route, SpanId, SpanLayer, Spans, TraceId, TracingSpans,
};
use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;
use tower_service::Service;
use tracing::Level;
use tracing::instrument::WithSubscriber;
use tracing_subscriber::layer::SubscriberExt;

/// Does this where the recorder listens.
fn recorded<T>(recorder: &Recorder, work: impl FnOnce() -> T) -> T {
    let subscriber = tracing_subscriber::registry().with(recorder.clone());
    tracing::subscriber::with_default(subscriber, work)
}

fn names(recorder: &Recorder) -> Vec<Vec<String>> {
    let traces = recorder.traces().into_iter();
    traces.map(|trace| trace.spans.iter().map(|span| span.name.to_string()).collect()).collect()
}

#[test]
fn the_newest_traces_are_kept_and_the_others_counted() {
    let recorder = Recorder::new("shop", 2);
    recorded(&recorder, || {
        for order in 0..5 {
            tracing::info_span!("order", order).in_scope(|| ());
        }
    });
    let kept: Vec<_> = recorder.traces();
    let orders: Vec<_> = kept.iter().map(|trace| trace.spans[0].attribute("order")).collect();
    assert_eq!(orders, [Some("3"), Some("4")]);
    assert_eq!(recorder.dropped(), 3);
    assert!(recorder.find(kept[0].id).is_some());
    assert!(recorder.find(TraceId(1)).is_none());
}

#[test]
fn of_many_spans_so_many_are_kept_and_the_first_of_all() {
    let recorder = Recorder::new("shop", 2).spans(3);
    recorded(&recorder, || {
        tracing::info_span!("root").in_scope(|| {
            for _ in 0..10 {
                tracing::info_span!("step").in_scope(|| ());
            }
        });
    });
    assert_eq!(names(&recorder), [["root", "step", "step", "step"]]);
    assert_eq!(recorder.traces()[0].dropped, 7);
}

#[test]
fn of_many_lines_so_many_are_kept() {
    let recorder = Recorder::new("shop", 2);
    recorded(&recorder, || {
        tracing::info_span!("root").in_scope(|| {
            for line in 0..1_000 {
                tracing::info!(line, "says");
            }
        });
    });
    let lines = &recorder.traces()[0].spans[0].events;
    assert_eq!(lines.len(), 128);
    assert_eq!((lines[7].message.as_str(), lines[7].level), ("says", Level::INFO));
    assert_eq!(lines[7].attributes, [("line".into(), "7".to_owned())]);
}

#[test]
fn beneath_a_span_that_is_too_fine_one_hangs_on_the_next_above() {
    let recorder = Recorder::new("shop", 2).up_to(Level::INFO);
    let here = recorded(&recorder, || {
        let root = tracing::info_span!("root");
        root.in_scope(|| {
            tracing::debug_span!("detail").in_scope(|| {
                tracing::debug!("too fine");
                tracing::info!("said within the detail");
                tracing::info_span!("step").in_scope(|| ());
                Recorder::here()
            })
        })
    });
    let trace = recorder.traces().remove(0);
    assert_eq!(names(&recorder), [["root", "step"]]);
    assert_eq!(trace.spans[1].parent, Some(trace.spans[0].place.span));
    assert_eq!(here, Some(trace.spans[0].place));
    let lines: Vec<_> = trace.spans[0].events.iter().map(|said| said.message.as_str()).collect();
    assert_eq!(lines, ["said within the detail"]);
}

#[test]
fn nobody_records_and_nowhere_is_here() {
    assert_eq!(Recorder::here(), None);
    let nobody = tracing_subscriber::registry();
    let here = tracing::subscriber::with_default(nobody, || {
        tracing::info_span!("root").in_scope(Recorder::here)
    });
    assert_eq!(here, None);
}

#[test]
fn what_comes_from_elsewhere_twice_is_found_at_once() {
    let recorder = Recorder::new("shop", 10);
    let caller = Place { trace: TraceId(7), span: SpanId(9) };
    recorded(&recorder, || {
        for name in ["quote", "order"] {
            let span = tracing::info_span!("request", otel.name = name);
            Recorder::set_parent(&span, caller);
            span.in_scope(|| {
                let step = tracing::info_span!("step");
                // Only the first span of a trace comes from elsewhere.
                Recorder::set_parent(&step, Place { trace: TraceId(8), span: SpanId(8) });
                assert_eq!(Recorder::place_of(&step).map(|place| place.trace), Some(TraceId(7)));
            });
        }
    });
    let found = recorder.find(TraceId(7)).expect("it is kept");
    assert_eq!(found.spans.len(), 4);
    assert!(found.spans.iter().all(|span| span.place.trace == TraceId(7)));
    let from_elsewhere = found.spans.iter().filter(|span| span.parent == Some(SpanId(9)));
    assert_eq!(from_elsewhere.count(), 2);
    assert_eq!(caller.to_string(), "00000000000000000000000000000007-0000000000000009");
}

#[test]
fn two_services_in_one_process_are_told_apart() {
    let recorder = Recorder::new("shop", 10);
    recorded(&recorder, || {
        tracing::info_span!("ask").in_scope(|| {
            let answer = tracing::info_span!("answer", service.name = tracing::field::Empty);
            answer.record("service.name", "payments");
            answer.in_scope(|| tracing::info_span!("ask bank").in_scope(|| ()));
        });
    });
    let spans = recorder.traces().remove(0).spans;
    let services: Vec<&str> = spans.iter().map(|span| &*span.service).collect();
    assert_eq!(services, ["shop", "payments", "payments"]);
    assert!(spans[1].attributes.is_empty());
}

#[test]
fn links_and_fields_are_kept_as_they_are_in_the_end() {
    let recorder = Recorder::new("shop", 10);
    recorded(&recorder, || {
        let first =
            tracing::info_span!("first", state = "new", price = 0.5, paid = true, left = -1);
        first.record("state", "sold");
        let second = tracing::info_span!("second", otel.kind = "consumer", otel.status_code = "OK");
        second.follows_from(&first);
    });
    let spans: Vec<_> = recorder.traces().into_iter().flat_map(|trace| trace.spans).collect();
    let (second, first) = (&spans[0], &spans[1]);
    assert_eq!(second.links, [first.place]);
    assert_eq!(second.kind, observability::spans::Kind::Consumer);
    assert!(!second.failed && first.links.is_empty());
    let told: Vec<_> = first.attributes.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(told, ["sold", "0.5", "true", "-1"]);
}

#[test]
fn who_enters_twice_is_busy_once() {
    let recorder = Recorder::new("shop", 10);
    recorded(&recorder, || {
        let span = tracing::info_span!("root");
        let again = span.clone();
        span.in_scope(|| again.in_scope(|| std::thread::sleep(Duration::from_millis(5))));
        std::thread::sleep(Duration::from_millis(5));
        span.in_scope(|| ());
    });
    let span = &recorder.traces()[0].spans[0];
    assert!(span.busy >= Duration::from_millis(5) && span.idle() >= Duration::from_millis(5));
    assert_eq!(span.busy + span.idle(), span.duration);
}

#[test]
fn ids_are_not_made_twice() {
    let recorder = Recorder::new("shop", 1_000);
    recorded(&recorder, || {
        for _ in 0..1_000 {
            tracing::info_span!("root").in_scope(|| ());
        }
    });
    let places: std::collections::HashSet<_> =
        recorder.traces().into_iter().map(|trace| trace.spans[0].place).collect();
    assert_eq!(places.len(), 1_000);
}

#[tokio::test]
async fn at_a_router_the_layer_finds_the_route() {
    let order = || async {
        let loaded = TracingSpans::step("load order", ready(Ok::<_, Infallible>("an order"))).await;
        loaded.expect("infallible")
    };
    let layer = SpanLayer::routed(|extensions| {
        Some(Route(extensions.get::<MatchedPath>()?.as_str().into()))
    });
    let recorder = Recorder::new("shop", 10);
    let router = axum::Router::new().route("/orders/{id}", axum::routing::get(order)).layer(layer);
    let listens = tracing_subscriber::registry().with(recorder.clone());
    let asked = async {
        for path in ["/orders/7", "/nowhere"] {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = path.parse().expect("a path");
            router.clone().call(request).await.expect("infallible");
        }
    };
    asked.with_subscriber(listens).await;
    assert_eq!(names(&recorder), [vec!["GET /orders/{id}", "load order"], vec!["GET"]]);
    let spans: Vec<_> = recorder.traces().into_iter().flat_map(|trace| trace.spans).collect();
    assert_eq!(spans[0].attribute("http.response.status_code"), Some("200"));
    assert_eq!(spans[2].attribute("http.response.status_code"), Some("404"));
    assert!(!spans[2].failed);
}
