//! What a program has recorded is kept, and arrives; and what is not there harms nobody.

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use observability::propagation::{Carrier, Delivery, OneTrace, Propagation};
use observability::telemetry::{Left, Logs, Setup, Share, Telemetry};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tracing_subscriber::layer::SubscriberExt;

const LONGEST: Duration = Duration::from_secs(5);

/// What a collector has taken: spans by service.
type Taken = Arc<Mutex<BTreeMap<String, u64>>>;

async fn listener() -> (TcpListener, String) {
    let listener =
        TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a port");
    let at = format!("http://{}", listener.local_addr().expect("an address"));
    (listener, at)
}

async fn collector() -> (String, Taken) {
    let taken = Taken::default();
    let (listener, at) = listener().await;
    let counts = Arc::clone(&taken);
    let take = post(move |body: Bytes| async move {
        let sent = ExportTraceServiceRequest::decode(body).expect("protobuf");
        for service in sent.resource_spans {
            let mut said = service.resource.iter().flat_map(|resource| &resource.attributes);
            let name = said.find(|one| one.key == "service.name").expect("a name");
            let name = format!("{:?}", name.value);
            let spans =
                service.scope_spans.iter().map(|scope| scope.spans.len() as u64).sum::<u64>();
            *counts.lock().expect("not poisoned").entry(name).or_default() += spans;
        }
    });
    let router = Router::new().route("/v1/traces", take);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (at, taken)
}

/// What a collector has taken: lines, each with its trace.
type Lines = Arc<Mutex<Vec<(String, String)>>>;

async fn log_collector() -> (String, Lines) {
    let taken = Lines::default();
    let (listener, at) = listener().await;
    let lines = Arc::clone(&taken);
    let take = post(move |body: Bytes| async move {
        let sent = ExportLogsServiceRequest::decode(body).expect("protobuf");
        let all = sent.resource_logs.into_iter().flat_map(|of| of.scope_logs);
        for line in all.flat_map(|of| of.log_records) {
            let trace = line.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
            let told = format!("{:?} {:?}", line.body, line.attributes);
            lines.lock().expect("not poisoned").push((told, trace));
        }
    });
    let router = Router::new().route("/v1/logs", take);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (at, taken)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_arrives_once_without_its_secrets() {
    let (at, taken) = log_collector().await;
    let logs = Logs::new(8_192);
    let telemetry = Telemetry::start(Setup { logs: Some(logs.clone()), ..to(&at) }).unwrap();
    let also = logs.clone();
    let lines = observability::lines::Lines::new(std::io::sink, || Some("the-request".into()))
        .also(move |record| also.take(record));
    let subscriber = tracing_subscriber::registry().with(lines);
    let traces = telemetry.traces("orders");
    let trace = tracing::subscriber::with_default(subscriber, || {
        let carrier = traces.enqueue("orders");
        let parent =
            carrier.iter().find(|(name, _)| *name == "traceparent").unwrap().1[3..35].to_owned();
        let work = traces.receive("mailer", &[Delivery { carrier, redelivered: false }], async {
            for order in 0..500 {
                tracing::info!(order, password = "hunter2", "placed for anna@example.org");
            }
        });
        // On this thread, whose subscriber it is.
        let here = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| here.block_on(work));
        parent
    });
    telemetry.stop(LONGEST).await;
    assert_eq!(logs.count(), (500, 500));
    let taken = taken.lock().unwrap();
    assert_eq!(taken.len(), 500);
    for order in 0..500 {
        let of_it = |(told, _): &&(String, String)| told.contains(&format!("IntValue({order})"));
        assert_eq!(taken.iter().filter(of_it).count(), 1, "order {order}");
    }
    assert!(taken.iter().all(|(_, its)| *its == trace), "each in its trace");
    assert!(taken.iter().all(|(told, _)| told.contains("the-request")));
    let given_away =
        |(told, _): &&(String, String)| told.contains("hunter2") || told.contains("anna@");
    assert_eq!(taken.iter().find(given_away), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_logs_does_not_wait_for_a_collector() {
    let (_listener, at) = listener().await;
    let logs = Logs::new(100);
    let telemetry = Telemetry::start(Setup { logs: Some(logs.clone()), ..to(&at) }).unwrap();
    let also = logs.clone();
    let lines = observability::lines::Lines::new(std::io::sink, || None)
        .also(move |record| also.take(record));
    let began = Instant::now();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
        (0..20_000).for_each(|order| tracing::info!(order, "placed"));
    });
    assert!(began.elapsed() < LONGEST, "{:?}", began.elapsed());
    telemetry.stop(Duration::from_secs(1)).await;
    assert_eq!(logs.count(), (20_000, 0));
}

/// So many messages are worked on: a span for each.
async fn work(traces: &OneTrace, times: usize) {
    for _ in 0..times {
        traces.receive("mailer", &[Delivery::default()], async {}).await;
    }
}

fn to(collector: &str) -> Setup {
    Setup { collector: Some(collector.to_owned()), ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_span_arrives_before_the_end() {
    let (at, taken) = collector().await;
    let telemetry = Telemetry::start(to(&at)).unwrap();
    work(&telemetry.traces("orders"), 10_000).await;
    work(&telemetry.traces("payments"), 5_000).await;
    let left = telemetry.stop(LONGEST).await;
    assert_eq!(left, Left { recorded: 15_000, sent: 15_000, lost: 0 });
    let taken = taken.lock().unwrap();
    let of = |name: &str| taken.iter().find(|(known, _)| known.contains(name)).map(|(_, n)| *n);
    assert_eq!((of("orders"), of("payments")), (Some(10_000), Some(5_000)), "{taken:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_harms_nobody() {
    let (listener, at) = listener().await;
    drop(listener);
    let telemetry = Telemetry::start(to(&at)).unwrap();
    work(&telemetry.traces("orders"), 100).await;
    let began = Instant::now();
    let left = telemetry.stop(Duration::from_secs(2)).await;
    assert_eq!(left, Left { recorded: 100, sent: 0, lost: 100 });
    assert!(began.elapsed() < LONGEST, "it waited for {:?}", began.elapsed());
    assert_eq!(telemetry.recent().traces().len(), 100, "they are here all the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_does_one_that_hangs() {
    // It accepts, by its backlog, and says nothing.
    let (_listener, at) = listener().await;
    let setup = Setup { waiting: 1_000, ..to(&at) };
    let telemetry = Telemetry::start(setup).unwrap();
    // More than can wait: what is too much is dropped, and nobody waits for a place.
    let began = Instant::now();
    work(&telemetry.traces("orders"), 20_000).await;
    let worked = began.elapsed();
    let left = telemetry.stop(Duration::from_secs(1)).await;
    assert_eq!((left.recorded, left.sent, left.lost), (20_000, 0, 20_000));
    assert!(worked < LONGEST && began.elapsed() < 3 * LONGEST, "{worked:?}, {:?}", began.elapsed());
}

#[tokio::test]
async fn the_newest_are_kept_and_no_more() {
    let telemetry = Telemetry::start(Setup { kept: 100, ..Setup::default() }).unwrap();
    let traces = telemetry.traces("orders");
    work(&traces, 250).await;
    let kept = telemetry.recent().traces();
    assert_eq!((kept.len(), telemetry.recent().recorded()), (100, 250));
    assert_eq!(telemetry.recent().find(kept[0]).len(), 1);
}

#[tokio::test]
async fn what_is_not_recorded_is_still_told() {
    let all = Arc::new(AtomicBool::new(false));
    let share = {
        let all = Arc::clone(&all);
        Share::asking(move || f64::from(u8::from(all.load(Ordering::Relaxed))))
    };
    let telemetry = Telemetry::start(Setup { share, ..Setup::default() }).unwrap();
    let traces = telemetry.traces("orders");
    let parent = |carrier: &Carrier| {
        carrier.iter().find(|(name, _)| *name == "traceparent").map(|(_, value)| value.to_owned())
    };
    let told = parent(&traces.enqueue("orders")).unwrap();
    assert!(told.ends_with("-00"), "{told}");
    assert_eq!(telemetry.recent().recorded(), 0);
    all.store(true, Ordering::Relaxed);
    let told = parent(&traces.enqueue("orders")).unwrap();
    assert!(told.ends_with("-01"), "{told}");
    assert_eq!(telemetry.recent().recorded(), 1);
}

#[tokio::test]
async fn an_address_that_is_none_is_said_at_once() {
    for odd in ["", "collector", "https://collector:4318", "http://", "http://a b"] {
        let error = Telemetry::start(to(odd)).unwrap_err().to_string();
        assert!(error.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{odd}: {error}");
    }
}
