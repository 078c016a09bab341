//! To a collector: OTLP over HTTP, by OpenTelemetry's own exporter.
//!
//! The exporter runs in a thread of the SDK's, which knows nothing of tokio. So what it sends is sent
//! by a task of the program's runtime, on connections that are kept, and never in the task of a
//! request.

use super::Error;
use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter as Export,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// How long one message to the collector may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long spans wait for others to go with.
const PAUSE: Duration = Duration::from_millis(500);
/// A collector has little to answer.
const LONGEST_ANSWER: usize = 1 << 20;

/// How many spans a collector has taken. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    count: Arc<AtomicU64>,
    wanted: Arc<AtomicBool>,
}

impl Sent {
    /// So far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether there is a collector that should take them.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }
}

/// Sends to the collector `at`, from a queue of `waiting` spans.
pub(super) fn sending(
    at: &str,
    client: Sender,
    waiting: usize,
    sent: &Sent,
) -> Result<BatchSpanProcessor, Error> {
    let uri: Result<http::Uri, _> = at.parse();
    let why = match &uri {
        Ok(uri) if uri.scheme_str() == Some("http") && uri.host().is_some() => None,
        Ok(_) => Some("it has to begin with http:// and a host".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(why) = why {
        return Err(Error::Collector { at: at.to_owned(), why });
    }
    let exporter = Services {
        traces: format!("{}/v1/traces", at.trim_end_matches('/')),
        client,
        exporters: Mutex::default(),
        sent: sent.clone(),
    };
    sent.wanted.store(true, Ordering::Relaxed);
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(waiting)
        .with_max_export_batch_size(waiting.min(2_048))
        .with_scheduled_delay(PAUSE);
    Ok(BatchSpanProcessor::builder(exporter).with_batch_config(batches.build()).build())
}

/// An exporter for each service of the process: to a collector, a service is a resource, and an
/// exporter has one.
#[derive(Debug)]
struct Services {
    traces: String,
    client: Sender,
    exporters: Mutex<HashMap<String, Arc<SpanExporter>>>,
    sent: Sent,
}

impl Services {
    fn exporter(&self, service: &str) -> Result<Arc<SpanExporter>, OTelSdkError> {
        let mut exporters = self.exporters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = exporters.get(service) {
            return Ok(Arc::clone(known));
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(self.client.clone())
            .with_endpoint(&self.traces)
            .with_timeout(PATIENCE)
            .build();
        let mut exporter =
            exporter.map_err(|error| OTelSdkError::InternalFailure(error.to_string()))?;
        let resource = Resource::builder().with_service_name(service.to_owned()).build();
        exporter.set_resource(&resource);
        let exporter = Arc::new(exporter);
        exporters.insert(service.to_owned(), Arc::clone(&exporter));
        Ok(exporter)
    }
}

impl Export for Services {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut services: HashMap<String, Vec<SpanData>> = HashMap::new();
        for span in batch {
            services.entry(span.instrumentation_scope.name().to_owned()).or_default().push(span);
        }
        let mut result = Ok(());
        for (service, spans) in services {
            let count = spans.len() as u64;
            match self.exporter(&service)?.export(spans).await {
                Ok(()) => drop(self.sent.count.fetch_add(count, Ordering::Relaxed)),
                error => result = error,
            }
        }
        result
    }
}

/// Sends in the program's runtime, whoever asks.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    runtime: Handle,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Sender {
    /// To be called in the program's runtime.
    pub(super) fn new() -> Sender {
        Sender {
            runtime: Handle::current(),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Sends a message of protobuf to `at`. Whether it was taken.
    pub(super) async fn post(&self, at: &str, message: Vec<u8>) -> bool {
        let request = Request::post(at).header(CONTENT_TYPE, "application/x-protobuf");
        let Ok(request) = request.body(Bytes::from(message)) else { return false };
        self.send_bytes(request).await.is_ok_and(|answer| answer.status().is_success())
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move {
            let answer = async {
                let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
                let body = Limited::new(body, LONGEST_ANSWER).collect().await?.to_bytes();
                Ok::<_, HttpError>(Response::from_parts(head, body))
            };
            tokio::time::timeout(PATIENCE, answer).await?
        });
        sending.await?
    }
}
