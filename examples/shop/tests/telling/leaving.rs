//! Who leaves hands in what it has recorded, and says what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;
use shop_contracts::Peers;
use tokio::task::JoinSet;

use crate::collector::{Collector, Mood, Taken};
use crate::customers::Customer;
use crate::program::{PATIENCE, Program, first_product, ports};

/// What it says of its spans at its end.
#[derive(Debug, PartialEq)]
struct Spans {
    recorded: usize,
    sent: usize,
    lost: usize,
}

fn spans(said: &[String]) -> Spans {
    let line = said.iter().find_map(|line| line.trim().strip_prefix("spans: "));
    let line = line.unwrap_or_else(|| panic!("it does not say what became of them: {said:#?}"));
    let line = line.replace(',', "");
    let numbers: Vec<usize> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [recorded, sent, lost] = numbers[..] else { panic!("`{line}` is of other numbers") };
    Spans { recorded, sent, lost }
}

fn up(folder: &Path, collector: &Collector) -> Program {
    Program::with(ports(), folder, &["up"], |command| {
        // That the collector is away it tells the log as well, and here that is no news.
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()).env("RUST_LOG", "error");
    })
}

/// So many customers go in and out, until the shop closes.
async fn crowd(program: &Program, size: usize) -> (JoinSet<()>, Arc<AtomicUsize>) {
    let answered = Arc::default();
    let mut crowd = JoinSet::new();
    for number in 0..size {
        let mut one = Customer::new(program.gateway(), number, &answered);
        one.comes().await;
        crowd.spawn(async move { one.goes_on(first_product(3000)).await });
    }
    (crowd, answered)
}

async fn until(answered: &AtomicUsize, wanted: usize) {
    let begun = std::time::Instant::now();
    while answered.load(Ordering::Relaxed) < wanted {
        assert!(begun.elapsed() < PATIENCE, "{answered:?} answers in all");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_under_load_it_loses_no_span() {
    let folder = tempfile::tempdir().expect("a folder");
    let collector = Collector::open(Mood::Takes).await;
    let program = up(folder.path(), &collector);
    let (crowd, answered) = crowd(&program, 6).await;
    until(&answered, 60).await;
    program.signal("TERM");
    crowd.join_all().await;
    let (status, _, said) = program.ends_saying();
    assert!(status.success(), "{said:?}");
    let told = spans(&said);
    let taken = collector.spans();
    assert_eq!(told, Spans { recorded: taken.len(), sent: taken.len(), lost: 0 });

    let ids: BTreeSet<_> = taken.iter().map(|one| &one.span.span_id).collect();
    assert_eq!(ids.len(), taken.len(), "none came twice");
    // Counted from the other side: each answer has the span in which it was made.
    let doors = taken
        .iter()
        .filter(|one| one.service == "gateway" && one.span.kind == i32::from(SpanKind::Server));
    assert_eq!(doors.count(), answered.load(Ordering::Relaxed));

    // And so have the figures, which are told a last time at the end.
    let counted = collector.observed("gateway", "http_server_request_duration_seconds");
    assert_eq!(counted, answered.load(Ordering::Relaxed) as u64);

    // Eight services are eight resources, although they are one process.
    assert!(taken.iter().all(|one| one.service == one.scope), "of another service");
    let mut services = BTreeMap::<_, usize>::new();
    taken.iter().for_each(|one| *services.entry(one.service.as_str()).or_default() += 1);
    let all: Vec<_> = services.keys().copied().collect();
    let mut expected = Peers::NAMES.to_vec();
    expected.push("gateway");
    expected.sort_unstable();
    assert_eq!(all, expected, "{services:?}");
}

/// So many are served although nobody takes what is recorded of it.
const SERVED: usize = 300;

async fn is_served(program: &Program) {
    let gateway = program.gateway();
    for _ in 0..SERVED {
        let answer = gateway.forward(Method::GET, "/api/products?size=1", "".into(), &[]).await;
        assert_eq!(answer.expect("an answer").status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_hangs_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().expect("a folder");
    let collector = Collector::open(Mood::Hangs).await;
    let program = up(folder.path(), &collector);
    let begun = std::time::Instant::now();
    is_served(&program).await;
    // One message takes it two seconds to give up: had each request waited for one, it were minutes.
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    program.signal("TERM");
    let (status, took, said) = program.ends_saying();
    assert!(status.success(), "{said:?}");
    // Nobody was inside; two seconds are for the collector.
    assert!(took < Duration::from_secs(20), "{took:?}");
    let told = spans(&said);
    assert!(told.recorded >= SERVED, "{told:?}");
    assert_eq!((told.sent, told.lost), (0, told.recorded));
    assert!(said.iter().any(|line| line.contains("next: ")), "{said:?}");
    assert!(collector.turned_away() > 0, "it was asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_collector_has_not_taken_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let collector = Collector::open(Mood::Takes).await;
    let program = up(folder.path(), &collector);
    is_served(&program).await;
    collector.until(PATIENCE, |spans| spans.len() >= SERVED).await;
    collector.becomes(Mood::Refuses);
    is_served(&program).await;
    program.signal("TERM");
    let (_, _, said) = program.ends_saying();
    let told = spans(&said);
    let taken = collector.spans().len();
    assert!(taken >= SERVED && collector.turned_away() > 0, "{taken}");
    assert_eq!((told.sent, told.lost), (taken, told.recorded - taken), "{told:?}");
    assert!(told.lost >= SERVED, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_collector_nothing_is_said_of_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = Program::open(folder.path(), &["up"]);
    is_served(&program).await;
    program.signal("TERM");
    let (status, _, said) = program.ends_saying();
    assert!(status.success() && !said.iter().any(|line| line.contains("spans: ")), "{said:?}");
}

/// One service in a process of its own tells the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_one_service_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let collector = Collector::open(Mood::Takes).await;
    let port = ports();
    let catalog = Program::with(port, folder.path(), &["run", "catalog"], |command| {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    });
    let peer = &catalog.peers().catalog.0;
    for _ in 0..10 {
        let page = peer.get::<Value>("/products?size=1").await;
        page.expect("a page");
    }
    catalog.signal("TERM");
    let (status, _, said) = catalog.ends_saying();
    assert!(status.success(), "{said:?}");
    let told = spans(&said);
    let taken: Vec<Taken> = collector.spans();
    assert!(taken.len() >= 10 && taken.iter().all(|one| one.service == "catalog"), "{taken:?}");
    assert_eq!(told, Spans { recorded: taken.len(), sent: taken.len(), lost: 0 });
}
