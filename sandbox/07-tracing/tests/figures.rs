//! What is counted comes to a collector as `/metrics` says it.

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use observability::metrics::text::{self, Labels};
use observability::metrics::{Registry, Sources, Unit};
use observability::telemetry::{Setup, Telemetry};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, HistogramDataPoint, Metric, NumberDataPoint, number_data_point,
};
use prost::Message;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

const LONGEST: Duration = Duration::from_secs(5);
const OPEN_METRICS: Option<&str> = Some("application/openmetrics-text");
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

type Taken = Arc<Mutex<Vec<ExportMetricsServiceRequest>>>;

async fn collector() -> (String, Taken) {
    let taken = Taken::default();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let at = format!("http://{}", listener.local_addr().expect("an address"));
    let takes = Arc::clone(&taken);
    let take = post(move |body: Bytes| async move {
        let sent = ExportMetricsServiceRequest::decode(body).expect("protobuf");
        takes.lock().expect("not poisoned").push(sent);
    });
    let router = Router::new().route("/v1/metrics", take);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (at, taken)
}

fn registry(name: &str) -> Registry {
    let sources = Sources { trace: || Some(TRACE.into()), ..Sources::default() };
    let registry = Registry::new(name, sources);
    let sold = registry.counters("sold_total", "Sold", ["item"]);
    for item in ["tea", "tea", "a \"cup\"\nof \\ it"] {
        sold.with([item]).inc();
    }
    registry.gauges("waiting", "Who waits", ["for"]).with(["tea"]).set(-3);
    let took = registry.histograms("took", "How long", Unit::Seconds, &[0.1, 1.0], ["route"]);
    for seconds in [0.05, 0.1, 0.5, 7.0] {
        took.observe(["/orders/{id}"], seconds);
    }
    took.observe(["/cart"], 0.5);
    registry
}

fn told(registry: &Registry) -> impl Fn() -> std::future::Ready<String> + Send + Sync + 'static {
    let registry = registry.clone();
    move || std::future::ready(registry.text(OPEN_METRICS).text)
}

fn labels(attributes: &[KeyValue]) -> Labels {
    let text = |one: &KeyValue| match one.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        other => panic!("{other:?} is no text"),
    };
    attributes.iter().map(|one| (one.key.clone(), text(one))).collect()
}

/// Each value under the name and the labels that it has in the text.
type Figures = BTreeMap<(String, Labels), f64>;

fn figures(metric: &Metric) -> Figures {
    let name = |suffix: &str| format!("{}{suffix}", metric.name);
    let cumulative = i32::from(AggregationTemporality::Cumulative);
    let numbers = |suffix: &str, points: &[NumberDataPoint]| {
        let value = |point: &NumberDataPoint| match point.value {
            Some(number_data_point::Value::AsDouble(value)) => value,
            ref other => panic!("{other:?} is no number of ours"),
        };
        let told =
            |point: &NumberDataPoint| ((name(suffix), labels(&point.attributes)), value(point));
        points.iter().map(told).collect()
    };
    match metric.data.as_ref().expect("something") {
        Data::Sum(sum) => {
            assert!(sum.is_monotonic && sum.aggregation_temporality == cumulative);
            numbers("_total", &sum.data_points)
        }
        Data::Gauge(gauge) => {
            let suffix =
                if metric.name == "service" || metric.name == "target" { "_info" } else { "" };
            numbers(suffix, &gauge.data_points)
        }
        Data::Histogram(histogram) => {
            assert_eq!(histogram.aggregation_temporality, cumulative);
            let mut figures = Figures::new();
            for point in &histogram.data_points {
                let labels = labels(&point.attributes);
                figures.insert((name("_sum"), labels.clone()), point.sum.expect("a sum"));
                figures.insert((name("_count"), labels.clone()), point.count as f64);
                figures.extend(buckets(point).map(|(le, count)| {
                    let mut labels = labels.clone();
                    labels.insert("le".to_owned(), le.to_string());
                    ((name("_bucket"), labels), count)
                }));
            }
            figures
        }
        other => panic!("{other:?} is none of ours"),
    }
}

/// As the text has them: each holds those below it.
fn buckets(point: &HistogramDataPoint) -> impl Iterator<Item = (f64, f64)> {
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
    let bounds = point.explicit_bounds.iter().copied().chain([f64::INFINITY]);
    bounds.zip(&point.bucket_counts).scan(0, |below, (le, count)| {
        *below += count;
        Some((le, *below as f64))
    })
}

/// What a scrape says, with bounds in one spelling.
fn scraped(registry: &Registry) -> Figures {
    let samples = text::samples(&registry.text(OPEN_METRICS).text).expect("our own text");
    let told = samples.into_iter().map(|mut sample| {
        if let Some(le) = sample.labels.get_mut("le") {
            *le = le.parse::<f64>().expect("a bound").to_string();
        }
        ((sample.name, sample.labels), sample.value)
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_is_told_what_a_scrape_is_told() {
    let (at, taken) = collector().await;
    let setup = Setup { collector: Some(at), ..Setup::default() };
    let telemetry = Telemetry::start(setup).expect("an address");
    let (orders, payments) = (registry("orders"), registry("payments"));
    telemetry.measures("orders", told(&orders));
    telemetry.measures("payments", told(&payments));
    payments.counters("paid", "Paid", []).with([]).inc_by(41);
    telemetry.stop(LONGEST).await;

    let taken = taken.lock().unwrap();
    let [message] = &taken[..] else { panic!("{} messages", taken.len()) };
    for (name, registry) in [("orders", &orders), ("payments", &payments)] {
        let of = |attributes: &[KeyValue]| labels(attributes)["service.name"] == name;
        let mut resources = message.resource_metrics.iter();
        let found = resources.find(|one| one.resource.iter().any(|one| of(&one.attributes)));
        let metrics = &found.expect("a resource for each service").scope_metrics[0].metrics;
        let sent: Figures = metrics.iter().flat_map(figures).collect();
        assert_eq!(sent, scraped(registry), "{name}");
        assert!(sent.len() >= 14, "{sent:?}");
    }
    assert_eq!(scraped(&payments)[&("paid_total".to_owned(), Labels::new())], 41.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exemplars_name_their_trace() {
    let (at, taken) = collector().await;
    let setup = Setup { collector: Some(at), ..Setup::default() };
    let telemetry = Telemetry::start(setup).expect("an address");
    telemetry.measures("orders", told(&registry("orders")));
    telemetry.stop(LONGEST).await;
    let taken = taken.lock().unwrap();
    let metrics = &taken[0].resource_metrics[0].scope_metrics[0].metrics;
    let took = metrics.iter().find(|metric| metric.name == "took_seconds").expect("a family");
    assert_eq!((took.unit.as_str(), took.description.as_str()), ("s", "How long."));
    let Some(Data::Histogram(histogram)) = &took.data else { panic!("{took:?}") };
    let exemplars: Vec<_> =
        histogram.data_points.iter().flat_map(|point| &point.exemplars).collect();
    assert_eq!(exemplars.len(), 4, "one for each bucket that has counted: {exemplars:?}");
    let trace = u128::from_str_radix(TRACE, 16).unwrap().to_be_bytes();
    assert!(exemplars.iter().all(|one| one.trace_id == trace && one.time_unix_nano > 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_told_again_and_again_and_a_collector_that_is_away_harms_nobody() {
    let (at, taken) = collector().await;
    let every = Duration::from_millis(20);
    let setup = Setup { collector: Some(at), figures_every: every, ..Setup::default() };
    let telemetry = Telemetry::start(setup).expect("an address");
    telemetry.measures("orders", told(&registry("orders")));
    let begun = Instant::now();
    while taken.lock().unwrap().len() < 3 {
        assert!(begun.elapsed() < LONGEST, "it was told {} times", taken.lock().unwrap().len());
        tokio::time::sleep(every).await;
    }

    let nowhere = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let at = format!("http://{}", nowhere.local_addr().expect("an address"));
    // It accepts, by its backlog, and says nothing.
    let setup = Setup { collector: Some(at), figures_every: every, ..Setup::default() };
    let telemetry = Telemetry::start(setup).expect("an address");
    telemetry.measures("orders", told(&registry("orders")));
    let begun = Instant::now();
    telemetry.stop(Duration::from_secs(1)).await;
    assert!(begun.elapsed() < LONGEST, "{:?}", begun.elapsed());
}
