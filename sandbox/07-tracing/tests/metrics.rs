//! What the checks of the lesson leave out: the layer around an axum router, the formats, the limits
//! of a registry, reading.

use axum::Router;
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::routing::get;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use observability::metrics::text::{buckets, samples};
use observability::metrics::{
    ABANDONED, ACTIVE, BOUNDS, Bucket, Clock, DURATION, HUNG_UP, IN_USE, Point, Registry, Sources,
    UNMATCHED, Unit, WAITING, merged, quantile, rate, since,
};
use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tower_service::Service;

fn sources() -> Sources {
    Sources {
        route: |found| found.get::<MatchedPath>().map(MatchedPath::as_str),
        ..Sources::default()
    }
}

async fn ask(router: &Router, method: Method, path: &str) -> StatusCode {
    let request = Request::builder().method(method).uri(path).body(Body::empty());
    let request = request.expect("a request");
    router.clone().call(request).await.expect("an answer").status()
}

/// The number of requests with these labels.
fn counted(registry: &Registry, labels: &[(&str, &str)]) -> f64 {
    let text = registry.text(Some("application/openmetrics-text")).text;
    let all = samples(&text).expect("samples");
    buckets(&all, DURATION, labels).last().map_or(0.0, |bucket| bucket.count)
}

fn shown(registry: &Registry, name: &str) -> f64 {
    let text = registry.text(None).text;
    let all = samples(&text).expect("samples");
    all.iter().filter(|sample| sample.name == name).map(|sample| sample.value).sum()
}

#[tokio::test]
async fn a_router_is_measured_by_route_and_what_it_does_not_know_as_one() {
    let registry = Registry::new("orders", sources());
    let router = Router::new()
        .route("/orders/{id}", get(async || "an order"))
        .route("/broken", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .layer(registry.layer());
    for id in 0..300 {
        assert_eq!(ask(&router, Method::GET, &format!("/orders/{id}")).await, 200);
        assert_eq!(ask(&router, Method::GET, &format!("/{id}.php")).await, 404);
    }
    assert_eq!(ask(&router, Method::POST, "/orders/7").await, 405);
    assert_eq!(ask(&router, Method::GET, "/broken").await, 500);
    assert_eq!(counted(&registry, &[("http_route", "/orders/{id}")]), 301.0);
    assert_eq!(counted(&registry, &[("http_route", UNMATCHED)]), 300.0);
    assert_eq!(counted(&registry, &[("http_response_status_code", "405")]), 1.0);
    assert_eq!(counted(&registry, &[("http_response_status_code", "500")]), 1.0);
    assert_eq!(counted(&registry, &[]), 602.0);
    assert_eq!(shown(&registry, ACTIVE), 0.0);
}

/// A service that is ready, calls and answers as it is told.
#[derive(Clone)]
struct Odd(&'static str);

impl Service<Request<()>> for Odd {
    type Response = http::Response<()>;
    type Error = &'static str;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<http::Response<()>, &'static str>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(if self.0 == "not ready" { Err("not ready") } else { Ok(()) })
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let how = self.0;
        Box::pin(async move {
            match how {
                "waits" => std::future::pending().await,
                "panics" => std::panic::resume_unwind(Box::new("on purpose")),
                how => Err(how),
            }
        })
    }
}

#[tokio::test]
async fn the_layer_counts_errors_panics_and_who_hangs_up() {
    let registry = Registry::new("orders", Sources::default());
    let call = |how| registry.measured(Odd(how)).call(Request::new(()));
    assert_eq!(call("refuses").await.unwrap_err(), "refuses");
    assert_eq!(call("not ready").await.unwrap_err(), "not ready");
    assert!(tokio::spawn(call("panics")).await.unwrap_err().is_panic());
    assert_eq!(counted(&registry, &[("http_response_status_code", "500")]), 3.0);
    {
        let mut waits = pin!(call("waits"));
        let mut context = Context::from_waker(Waker::noop());
        assert!(waits.as_mut().poll(&mut context).is_pending());
        assert_eq!(shown(&registry, ACTIVE), 1.0);
    }
    // Dropped before it was ever polled: it had come, and it is gone.
    drop(call("waits"));
    assert_eq!(shown(&registry, ACTIVE), 0.0);
    let code = HUNG_UP.to_string();
    assert_eq!(counted(&registry, &[("http_response_status_code", &code)]), 2.0);
    assert_eq!(counted(&registry, &[]), 5.0);
}

#[tokio::test]
async fn a_pool_shows_its_use_and_forgets_no_second_of_it() {
    let hand = Arc::new(AtomicU64::new(0));
    let clock = Clock::by({
        let hand = Arc::clone(&hand);
        move || Duration::from_millis(hand.load(Ordering::SeqCst))
    });
    let registry = Registry::new("orders", Sources { clock, ..Sources::default() });
    let (database, mail) = (registry.pool("database", 1), registry.pool("mail", 3));
    let held = database.take().await;
    let others = mail.take().await;
    hand.store(1_500, Ordering::SeqCst);
    {
        let mut waits = pin!(database.take());
        let mut context = Context::from_waker(Waker::noop());
        assert!(waits.as_mut().poll(&mut context).is_pending());
        assert_eq!(shown(&registry, WAITING), 1.0);
    }
    assert_eq!(shown(&registry, WAITING), 0.0);
    assert_eq!(shown(&registry, ABANDONED), 1.0);
    assert_eq!(shown(&registry, IN_USE), 2.0);
    assert_eq!(shown(&registry, "pool_size"), 4.0);
    drop((held, others));
    assert_eq!(shown(&registry, IN_USE), 0.0);
    assert_eq!(shown(&registry, "pool_busy_seconds_total"), 3.0);
    drop(database.take().await);
}

#[test]
fn a_family_ends_at_its_limit_and_says_so() {
    let registry = Registry::limited("orders", Sources::default(), 2);
    let sold = registry.counters("items_sold_total", "Sold", ["item"]);
    for item in ["a", "b", "c", "a", "d"] {
        sold.with([item]).inc();
    }
    let text = registry.text(None).text;
    assert!(text.contains("# TYPE items_sold_total counter\n"), "{text}");
    assert!(text.contains("items_sold_total{item=\"a\"} 2\n"), "{text}");
    assert!(text.contains("items_sold_total{item=\"b\"} 1\n"), "{text}");
    assert!(text.contains("items_sold_total{item=\"other\"} 2\n"), "{text}");
    assert!(text.contains("metrics_series_refused_total{metric=\"items_sold\"} 2\n"), "{text}");
}

#[test]
fn at_the_last_place_only_one_gets_it() {
    let registry = Registry::limited("orders", Sources::default(), 8);
    let gauges = registry.gauges("rooms", "Rooms", ["room"]);
    let together = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (gauges, together) = (&gauges, &together);
            scope.spawn(move || {
                together.wait();
                for room in 0..50 {
                    gauges.with([&format!("{thread}-{room}")]).inc();
                }
            });
        }
    });
    let text = registry.text(None).text;
    let rooms: Vec<_> = samples(&text).unwrap();
    let rooms: Vec<_> = rooms.iter().filter(|sample| sample.name == "rooms").collect();
    assert_eq!(rooms.len(), 9);
    assert_eq!(rooms.iter().map(|sample| sample.value).sum::<f64>(), 400.0);
}

#[test]
fn both_formats_tell_the_same() {
    let sources = Sources { trace: || Some("4bf92f3577b34da6".into()), ..Sources::default() };
    let registry = Registry::new("orders", sources);
    registry.counters("sold", "Sold\nand \\ paid", []).with([]).inc();
    let sizes = registry.histograms("body", "Bytes", Unit::Bytes, &[10.0, 100.0], ["kind"]);
    sizes.observe(["a \"#\" # {x=\"1\"} 2"], 10.0);
    sizes.observe(["a \"#\" # {x=\"1\"} 2"], f64::NAN);
    sizes.observe(["a \"#\" # {x=\"1\"} 2"], f64::INFINITY);

    let mut headers = HeaderMap::new();
    let kind = |headers: &HeaderMap| {
        let answer = registry.answer(headers);
        let kind = answer.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        (kind.split(';').next().unwrap().to_owned(), answer.into_body())
    };
    let (plain_kind, plain) = kind(&headers);
    assert_eq!(plain_kind, "text/plain");
    // As Prometheus asks.
    let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                      text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    headers.insert(header::ACCEPT, HeaderValue::from_static(prometheus));
    let (open_kind, open) = kind(&headers);
    assert_eq!(open_kind, "application/openmetrics-text");
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/openmetrics-text;q=0"));
    assert_eq!(kind(&headers).0, "text/plain");
    headers.insert(header::ACCEPT, HeaderValue::from_static("text/html,*/*;q=0.8"));
    assert_eq!(kind(&headers).0, "text/plain");

    assert!(open.ends_with("# EOF\n"), "{open}");
    assert!(open.contains("# TYPE sold counter\n"), "{open}");
    assert!(open.contains("# HELP sold Sold\\nand \\\\ paid"), "{open}");
    assert!(open.contains("# UNIT body_bytes bytes\n"), "{open}");
    assert!(open.contains("target_info{service_name=\"orders\"} 1\n"), "{open}");
    assert!(plain.contains("# TYPE sold_total counter\n"), "{plain}");
    assert!(plain.contains("# TYPE target_info gauge\n"), "{plain}");
    assert!(
        !plain.contains("EOF") && !plain.contains("UNIT") && !plain.contains("4bf9"),
        "{plain}"
    );
    let (mut of_open, of_plain) = (samples(&open).unwrap(), samples(&plain).unwrap());
    let named = of_open.iter().filter_map(|sample| sample.exemplar.as_ref());
    let ids: BTreeSet<_> = named.map(|exemplar| exemplar.labels["trace_id"].clone()).collect();
    assert_eq!(ids, BTreeSet::from(["4bf92f3577b34da6".to_owned()]));
    of_open.iter_mut().for_each(|sample| sample.exemplar = None);
    assert_eq!(of_open, of_plain);
    let count = of_plain.iter().find(|sample| sample.name == "body_bytes_count").unwrap();
    assert_eq!(count.value, 1.0);
    assert_eq!(count.labels["kind"], "a \"#\" # {x=\"1\"} 2");
}

#[test]
#[should_panic(expected = "sold is registered already")]
fn a_name_is_taken_once() {
    let registry = Registry::new("orders", Sources::default());
    registry.counters("sold_total", "Sold", []);
    registry.gauges("sold", "Sold", []);
}

#[test]
#[should_panic(expected = "`le` is no name of a label")]
fn the_label_of_the_buckets_is_theirs() {
    Registry::new("orders", Sources::default()).counters("sold", "Sold", ["le"]);
}

#[test]
fn what_is_no_sample_is_named_by_its_line() {
    for odd in
        ["a{b=\"c\"", "a", "a x", "1a 2", "a{b=\"c\",b=\"d\"} 1", "a{b=\"\\x\"} 1", "a 1 2 3"]
    {
        let error = samples(&format!("good 1\n{odd}\n")).unwrap_err();
        assert_eq!(error.line, 2, "{odd}");
        assert_eq!(error.text, odd);
    }
    let odd = "a{b=\"\\\"\\\\\\n}\",} +Inf 12 # {t=\"1\"} 2.5 1e9\n# EOF\n";
    let read = samples(odd).unwrap();
    assert_eq!(read[0].labels["b"], "\"\\\n}");
    assert_eq!(read[0].value, f64::INFINITY);
    let exemplar = read[0].exemplar.as_ref().unwrap();
    assert_eq!((exemplar.value, exemplar.at), (2.5, Some(1e9)));
}

fn counts(counts: [f64; 3]) -> Vec<Bucket> {
    let bounds = [0.1, 1.0, f64::INFINITY];
    bounds.into_iter().zip(counts).map(|(le, count)| Bucket { le, count }).collect()
}

#[test]
fn buckets_are_subtracted_over_time_and_added_over_instances() {
    let (before, now) = (counts([1.0, 2.0, 3.0]), counts([1.0, 5.0, 9.0]));
    assert_eq!(since(&before, &now), counts([0.0, 3.0, 6.0]));
    // A restart, or a first look.
    assert_eq!(since(&now, &before), before);
    assert_eq!(since(&[], &now), now);
    assert_eq!(merged(&[before.clone(), now.clone(), Vec::new()]), counts([2.0, 7.0, 12.0]));
    assert_eq!(merged(&[]), []);
    // In the middle of a deployment one has a bound that the other has not.
    let mut finer = now;
    finer.insert(1, Bucket { le: 0.5, count: 4.0 });
    assert_eq!(merged(&[finer, before]), counts([2.0, 7.0, 12.0]));
}

#[test]
fn a_quantile_is_in_the_bucket_of_the_true_one() {
    proptest::proptest!(|(mut all in proptest::collection::vec(0.0..15.0_f64, 1..200), q in 0.0..=1.0_f64)| {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        let within = |le: f64| all.iter().filter(|value| **value <= le).count() as f64;
        let buckets: Vec<Bucket> = bounds.map(|le| Bucket { le, count: within(le) }).collect();
        all.sort_by(f64::total_cmp);
        let nth = (q * all.len() as f64).ceil().max(1.0) as usize;
        let truth = all[nth - 1];
        let found = quantile(&buckets, q);
        let above = BOUNDS.iter().position(|le| truth <= *le);
        let (lower, upper) = match above {
            Some(0) => (0.0, BOUNDS[0]),
            Some(at) => (BOUNDS[at - 1], BOUNDS[at]),
            None => (BOUNDS[13], BOUNDS[13]),
        };
        proptest::prop_assert!((lower..=upper).contains(&found), "{found} for {truth}, {q}");
    });
}

/// The example that ClickHouse gives for its `quantilePrometheusHistogram`.
#[test]
fn others_who_do_as_prometheus_find_the_same() {
    let bounds = [0.0, 0.5, 1.0, f64::INFINITY];
    let counts = [6.0, 11.0, 14.0, 19.0];
    let all: Vec<Bucket> =
        bounds.into_iter().zip(counts).map(|(le, count)| Bucket { le, count }).collect();
    assert!((quantile(&all, 0.5) - 0.35).abs() < 1e-12);
}

#[test]
fn where_negative_values_are_the_lowest_bucket_has_no_lower_edge() {
    let bounds = [-1.0, 1.0, f64::INFINITY];
    let all: Vec<Bucket> =
        bounds.into_iter().zip([4.0, 8.0, 8.0]).map(|(le, count)| Bucket { le, count }).collect();
    assert_eq!(quantile(&all, 0.25), -1.0);
    assert_eq!(quantile(&all, 0.75), 0.0);
    assert!(quantile(&all[..2], 0.5).is_nan());
    assert!(quantile(&all[2..], 0.5).is_nan());
}

#[test]
fn a_rate_is_never_negative() {
    proptest::proptest!(|(values in proptest::collection::vec(0.0..1e6_f64, 2..30))| {
        let points = values.iter().zip(1..);
        let points: Vec<Point> =
            points.map(|(value, at)| Point { at: Duration::from_secs(at), value: *value }).collect();
        let sum: f64 = values.iter().sum();
        let rate = rate(&points).unwrap();
        proptest::prop_assert!((0.0..=sum).contains(&rate));
    });
}

#[tokio::test]
async fn a_service_is_measured_from_the_wait_until_it_is_ready() {
    let registry = Registry::new("orders", Sources::default());
    let mut service = registry.measured(Odd("refuses"));
    poll_fn(|context| service.poll_ready(context)).await.unwrap();
    let _ = service.call(Request::new(())).await;
    assert_eq!(counted(&registry, &[("http_route", UNMATCHED)]), 1.0);
}
