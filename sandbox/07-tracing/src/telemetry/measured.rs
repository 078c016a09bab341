//! Figures to a collector, every few seconds.
//!
//! What is sent is what was counted since the beginning, each time. So a message that is lost takes
//! nothing with it: the next one says the same and more, and there is nothing to queue.

use super::figures::{self, Time};
use super::otlp::Sender;
use super::resource;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use prost::Message;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// What a service has counted, in OpenMetrics, when it is asked.
type Read = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

/// What the services of a process count, and where it goes. Clones are the same.
#[derive(Clone)]
pub(super) struct Measured(Arc<Inner>);

struct Inner {
    at: String,
    sender: Sender,
    since: SystemTime,
    services: Mutex<Vec<(&'static str, Read)>>,
    /// One message at a time: an old one that arrives last would be believed.
    turn: tokio::sync::Mutex<()>,
}

impl Measured {
    /// Sends to the collector `at` each time that `pause` is over, until the last clone is gone.
    pub(super) fn sending(at: &str, sender: Sender, pause: Duration) -> Measured {
        let at = format!("{}/v1/metrics", at.trim_end_matches('/'));
        let (since, services) = (SystemTime::now(), Mutex::default());
        let turn = tokio::sync::Mutex::default();
        let inner = Arc::new(Inner { at, sender, since, services, turn });
        let weak = Arc::downgrade(&inner);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                let Some(inner) = weak.upgrade() else { return };
                inner.send().await;
            }
        });
        Measured(inner)
    }

    /// The service `name` has counted what `read` says.
    pub(super) fn add<F>(&self, name: &'static str, read: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = String> + Send + 'static,
    {
        let mut services = self.0.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.push((name, Arc::new(move || Box::pin(read()))));
    }

    /// What was counted up to now. Whether the collector has taken it.
    pub(super) async fn send(&self) -> bool {
        self.0.send().await
    }
}

impl Inner {
    async fn send(&self) -> bool {
        let _turn = self.turn.lock().await;
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut request = ExportMetricsServiceRequest::default();
        for (name, read) in services {
            // The registry's own text; what somebody else makes up is left out, and no more than that.
            let Ok(metrics) = figures::metrics(&read().await, Time::since(self.since)) else {
                continue;
            };
            let scope = InstrumentationScope { name: name.to_owned(), ..Default::default() };
            let scope_metrics = ScopeMetrics { scope: Some(scope), metrics, ..Default::default() };
            request.resource_metrics.push(ResourceMetrics {
                resource: Some(resource(name)),
                scope_metrics: vec![scope_metrics],
                ..Default::default()
            });
        }
        self.sender.post(&self.at, request.encode_to_vec()).await
    }
}

impl fmt::Debug for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measured").field("at", &self.0.at).finish_non_exhaustive()
    }
}
