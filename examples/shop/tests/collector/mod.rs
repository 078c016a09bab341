//! A collector of the tests' own: it takes OTLP over HTTP, and keeps each message as it came.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use http::StatusCode;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::time::sleep;

const TRACES: &str = "/v1/traces";
const METRICS: &str = "/v1/metrics";
const LOGS: &str = "/v1/logs";

/// What it does with what comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mood {
    /// Keeps it.
    Takes,
    /// Says that it is out of order, and keeps nothing.
    Refuses,
    /// Says nothing.
    Hangs,
}

/// What was sent to it. Clones are the same.
#[derive(Clone)]
pub(crate) struct Collector {
    url: String,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    mood: Mood,
    /// Each by the path to which it was sent.
    taken: Vec<(&'static str, Bytes)>,
    /// That came while it had another mood.
    turned_away: usize,
}

/// A span, and the service that it is of by its resource.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) service: String,
    /// Which the shop gives to each of its services.
    pub(crate) scope: String,
    pub(crate) span: Span,
}

impl Collector {
    pub(crate) async fn open(mood: Mood) -> Collector {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Seen { mood, taken: Vec::new(), turned_away: 0 };
        let collector = Collector { url, seen: Arc::new(Mutex::new(seen)) };
        let taking = |kind: &'static str| {
            let this = collector.clone();
            post(async move |body: Bytes| {
                let mood = this.sees(kind, body);
                if mood == Mood::Hangs {
                    std::future::pending::<()>().await;
                }
                match mood {
                    Mood::Takes => StatusCode::OK,
                    _ => StatusCode::SERVICE_UNAVAILABLE,
                }
            })
        };
        let kinds = [TRACES, METRICS, LOGS].into_iter();
        let router = kinds.fold(Router::new(), |router, kind| router.route(kind, taking(kind)));
        tokio::spawn(async move { axum::serve(listener, router).await });
        collector
    }

    fn sees(&self, kind: &'static str, body: Bytes) -> Mood {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.mood {
            Mood::Takes => seen.taken.push((kind, body)),
            _ => seen.turned_away += 1,
        }
        seen.mood
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn becomes(&self, mood: Mood) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).mood = mood;
    }

    pub(crate) fn turned_away(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).turned_away
    }

    /// All of them as they came: the texts of a message stand in it as they are.
    pub(crate) fn messages(&self) -> Vec<Bytes> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.taken.iter().map(|(_, body)| body.clone()).collect()
    }

    fn of(&self, kind: &str) -> Vec<Bytes> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let of = seen.taken.iter().filter(|(path, _)| *path == kind);
        of.map(|(_, body)| body.clone()).collect()
    }

    /// How many lines of the log it has.
    pub(crate) fn lines(&self) -> usize {
        let sent = self.of(LOGS).into_iter();
        let sent = sent.map(|one| ExportLogsServiceRequest::decode(one).expect("protobuf"));
        let all = sent.flat_map(|one| one.resource_logs).flat_map(|one| one.scope_logs);
        all.map(|one| one.log_records.len()).sum()
    }

    /// How often something was observed in the histogram `name` of `service`, by the newest message:
    /// in all its series together.
    pub(crate) fn observed(&self, service: &str, name: &str) -> u64 {
        let message = self.of(METRICS).pop().expect("it was told figures");
        let sent = ExportMetricsServiceRequest::decode(message).expect("protobuf");
        let is_it = |one: &&ResourceMetrics| {
            one.resource.iter().any(|resource| name_of(&resource.attributes) == service)
        };
        let mut metrics = sent
            .resource_metrics
            .iter()
            .filter(is_it)
            .flat_map(|one| one.scope_metrics.iter().flat_map(|scope| &scope.metrics));
        let found = metrics.find(|metric| metric.name == name);
        match found.and_then(|metric| metric.data.as_ref()) {
            Some(Data::Histogram(histogram)) => {
                histogram.data_points.iter().map(|point| point.count).sum()
            }
            other => panic!("{name} of {service} is {other:?}"),
        }
    }

    pub(crate) fn spans(&self) -> Vec<Taken> {
        let mut spans = Vec::new();
        for message in self.of(TRACES) {
            let sent = ExportTraceServiceRequest::decode(message).expect("protobuf");
            for service in sent.resource_spans {
                let says = service.resource.map(|resource| resource.attributes);
                let name = name_of(&says.unwrap_or_default());
                for scope in service.scope_spans {
                    let of = scope.scope.map(|scope| scope.name).unwrap_or_default();
                    let taken = |span| Taken { service: name.clone(), scope: of.clone(), span };
                    spans.extend(scope.spans.into_iter().map(taken));
                }
            }
        }
        spans
    }

    /// Waits until what it has is `enough`, as what is recorded is sent a moment later.
    pub(crate) async fn until(
        &self,
        patience: Duration,
        enough: impl Fn(&[Taken]) -> bool,
    ) -> Vec<Taken> {
        let begun = std::time::Instant::now();
        loop {
            let spans = self.spans();
            if enough(&spans) || begun.elapsed() > patience {
                return spans;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Taken {
    pub(crate) fn trace(&self) -> String {
        hex(&self.span.trace_id)
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        let found = self.span.attributes.iter().find(|one| one.key == name)?;
        Some(text(found.value.as_ref()))
    }
}

/// A resource is one service, and no more.
fn name_of(attributes: &[KeyValue]) -> String {
    let names: Vec<_> = attributes.iter().filter(|one| one.key == "service.name").collect();
    let [name] = names[..] else { panic!("a service with {} names", names.len()) };
    text(name.value.as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(yes)) => yes.to_string(),
        Some(Value::IntValue(whole)) => whole.to_string(),
        other => format!("{other:?}"),
    }
}
