//! One set-up for a program that wants to be seen: its traces, kept here and sent to a collector, and
//! its figures and lines, sent there as well.
//!
//! ```no_run
//! use observability::telemetry::{Setup, Telemetry};
//! use std::time::Duration;
//!
//! # async fn program() -> Result<(), observability::telemetry::Error> {
//! let telemetry = Telemetry::start(Setup::from_env()?)?;
//! let orders = telemetry.traces("orders"); // for ContextLayer, InjectLayer, enqueue, receive
//! // … serve, until SIGTERM …
//! let left = telemetry.stop(Duration::from_secs(2)).await;
//! assert_eq!(left.lost, 0);
//! # Ok(())
//! # }
//! ```
//!
//! | promise | how |
//! | --- | --- |
//! | It works without a collector | the newest traces are kept in this process: [`Recent`] |
//! | A collector that is away harms nobody | spans are sent by a thread of their own, from a queue that drops what is too much and counts it |
//! | A collector is told the same figures as a scrape | [`Telemetry::measures`] reads what `/metrics` answers |
//! | A collector is told the same lines as the log | [`Logs`], after redaction, each with its span |
//! | Whoever ends loses no span | [`Telemetry::stop`] sends what waits, and says what it could not |
//! | All services decide alike | [`Share`]: the first service decides by the trace's id, the others follow its flag |
//! | Several services in one process are several services | a tracer for each, and to the collector a resource for each |
//!
//! The environment is OpenTelemetry's own: `OTEL_EXPORTER_OTLP_ENDPOINT` is where the collector is, by
//! OTLP over HTTP (`http://localhost:4318`); without it nothing is sent. `OTEL_TRACES_SAMPLER_ARG` is
//! the share of traces that is recorded, from 0 to 1; all of them where it is not set. See the
//! [SDK's list](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).

mod figures;
mod logs;
mod measured;
mod otlp;
mod recent;
mod share;

use crate::propagation::{OneTrace, Propagation};
use opentelemetry::Context;
use opentelemetry::InstrumentationScope;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::sync::Arc;
use std::time::Duration;

pub use logs::Logs;
use measured::Measured;
use otlp::Sender;
pub use otlp::Sent;
pub use recent::Recent;
pub use share::Share;

/// The trace of here and now, if it is recorded: what an exemplar may name, so that whoever follows it
/// finds something.
pub fn recorded() -> Option<Arc<str>> {
    let (id, is_sampled) = Context::map_current(|context| {
        let span = context.span();
        (span.span_context().trace_id(), span.span_context().is_sampled())
    });
    is_sampled.then(|| id.to_string().into())
}

/// What is recorded, how much of it is kept, and where it goes.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How many of the traces that begin here are recorded.
    pub share: Share,
    /// So many spans are kept in this process, the newest. Each takes a kilobyte or less.
    pub kept: usize,
    /// Where a collector listens, as `http://localhost:4318`: nowhere, if nobody says so.
    pub collector: Option<String>,
    /// So many spans wait for the collector at most. What is more is dropped and counted.
    pub waiting: usize,
    /// How often the collector is told what was counted.
    pub figures_every: Duration,
    /// The program's lines, if the collector is to have them, too.
    pub logs: Option<Logs>,
    /// What the program is called: whose lines they are.
    pub name: String,
}

impl Default for Setup {
    /// All traces, 20,000 spans of them kept, and no collector.
    fn default() -> Setup {
        Setup {
            share: Share::of(1.0),
            kept: 20_000,
            collector: None,
            waiting: 65_536,
            figures_every: Duration::from_secs(5),
            logs: None,
            name: "unknown_service".to_owned(),
        }
    }
}

impl Setup {
    /// As the environment says, and [`Setup::default`] where it says nothing.
    ///
    /// # Errors
    /// [`Error::Share`]: what is set can't be read. Better now than an empty page on the day on which
    /// somebody looks.
    pub fn from_env() -> Result<Setup, Error> {
        let said = |name| std::env::var(name).ok().filter(|said| !said.trim().is_empty());
        let mut setup =
            Setup { collector: said("OTEL_EXPORTER_OTLP_ENDPOINT"), ..Setup::default() };
        if let Some(name) = said("OTEL_SERVICE_NAME") {
            setup.name = name;
        }
        if let Some(share) = said("OTEL_TRACES_SAMPLER_ARG") {
            setup.share = Share::parse(&share).ok_or(Error::Share(share))?;
        }
        Ok(setup)
    }
}

/// Why nothing is recorded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no number from 0 to 1.
    #[error("OTEL_TRACES_SAMPLER_ARG is `{0}`; next: set it to a share from 0 to 1, such as 0.1")]
    Share(String),
    /// No address, or none that speaks HTTP.
    #[error(
        "the collector `{at}` has no address that can be used: {why}; next: set \
             OTEL_EXPORTER_OTLP_ENDPOINT to one such as http://localhost:4318"
    )]
    Collector {
        /// What was asked for.
        at: String,
        /// What is wrong with it.
        why: String,
    },
}

/// A program's traces. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
    recent: Recent,
    sent: Sent,
    measured: Option<Measured>,
    logs: Option<Logs>,
}

impl Telemetry {
    /// Begins to record. To be called in the runtime that the program lives in: what is sent to a
    /// collector is sent there.
    ///
    /// # Errors
    /// [`Error::Collector`]. One that is merely away is no error.
    pub fn start(setup: Setup) -> Result<Telemetry, Error> {
        let Setup { share, kept, collector, waiting, figures_every, logs, name } = setup;
        let mut measured = None;
        let (recent, sent) = (Recent::new(kept), Sent::default());
        let mut provider =
            SdkTracerProvider::builder().with_sampler(share).with_span_processor(recent.clone());
        if let Some(at) = collector {
            let sender = Sender::new();
            let spans = otlp::sending(&at, sender.clone(), waiting, &sent)?;
            if let Some(logs) = &logs {
                logs.sending(&at, &name, sender.clone());
            }
            provider = provider.with_span_processor(spans);
            measured = Some(Measured::sending(&at, sender, figures_every));
        }
        Ok(Telemetry { provider: provider.build(), recent, sent, measured, logs })
    }

    /// What the service `name` calls its own.
    pub fn traces(&self, name: &'static str) -> OneTrace {
        // The tracer's scope is what tells several services of one process from each other.
        let scope = InstrumentationScope::builder(name).build();
        OneTrace::new(BoxedTracer::new(Box::new(self.provider.tracer_with_scope(scope))))
    }

    /// Tells the collector, if there is one, every few seconds and once more at the end what the
    /// service `name` has counted: `read` says it in OpenMetrics, as it does to whoever asks for
    /// `/metrics` ([`Registry::text`](crate::metrics::Registry::text)). Counters become sums, and
    /// exemplars stay.
    pub fn measures<F>(&self, name: &'static str, read: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = String> + Send + 'static,
    {
        if let Some(measured) = &self.measured {
            measured.add(name, read);
        }
    }

    /// The newest traces.
    pub fn recent(&self) -> &Recent {
        &self.recent
    }

    /// Whether there is one that should have what is recorded.
    pub fn has_collector(&self) -> bool {
        self.sent.is_wanted()
    }

    /// Sends what waits, for `longest` at most, and says what became of all that was recorded. Then
    /// nothing is recorded any more.
    pub async fn stop(&self, longest: Duration) -> Left {
        let provider = self.provider.clone();
        // It waits for a thread that waits for this runtime.
        let stopped = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(longest));
        let figures = async {
            match &self.measured {
                Some(measured) => measured.send().await,
                None => true,
            }
        };
        let lines = async {
            if let Some(logs) = &self.logs {
                logs.flush().await;
            }
        };
        let all = async { tokio::join!(stopped, figures, lines) };
        let _ = tokio::time::timeout(longest, all).await;
        self.left()
    }

    /// What has become of all that was recorded. Before the end, what waits counts as lost.
    pub fn left(&self) -> Left {
        // In this order: none is sent before it is recorded.
        let sent = self.sent.count();
        let recorded = self.recent.recorded();
        Left { recorded, sent, lost: if self.sent.is_wanted() { recorded - sent } else { 0 } }
    }
}

/// To a collector, a service is a resource.
fn resource(name: &str) -> Resource {
    let value = AnyValue { value: Some(any_value::Value::StringValue(name.to_owned())) };
    let named = KeyValue { key: "service.name".into(), value: Some(value), ..Default::default() };
    Resource { attributes: vec![named], ..Default::default() }
}

/// What became of the spans of a program that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// That were recorded.
    pub recorded: u64,
    /// That a collector has taken.
    pub sent: u64,
    /// That it should have, and has not. Without a collector there are none.
    pub lost: u64,
}
