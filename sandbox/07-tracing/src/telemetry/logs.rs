//! Lines to a collector: after redaction, as they were written, and with the span in which they were.
//!
//! They are not told a second time to whoever listens to `tracing`: then each listener would have to
//! hide secrets by itself. [`Lines`](crate::lines::Lines) hands on what it has written.

use super::otlp::Sender;
use super::resource;
use crate::lines::Record;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message;
use serde_json::Value;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot};
use tracing::Level;

/// How long lines wait for others to go with.
const PAUSE: Duration = Duration::from_millis(500);
/// So many go in one message.
const MOST: usize = 1_024;

/// Lines on their way to a collector. It is made before the log is, and given to
/// [`Lines::also`](crate::lines::Lines::also) and to [`Setup::logs`](super::Setup::logs). Clones are
/// the same.
///
/// Whoever logs never waits: where too many wait already, a line is dropped and counted.
#[derive(Clone)]
pub struct Logs(Arc<Inner>);

struct Inner {
    tell: mpsc::Sender<Said>,
    /// Until somebody sends them.
    told: Mutex<Option<mpsc::Receiver<Said>>>,
    is_wanted: AtomicBool,
    taken: AtomicU64,
    sent: AtomicU64,
}

enum Said {
    Line(LogRecord),
    /// All that was said before is to be sent now.
    Now(oneshot::Sender<()>),
}

impl Logs {
    /// So many lines wait at most.
    pub fn new(waiting: usize) -> Logs {
        let (tell, told) = mpsc::channel(waiting.max(1));
        let (taken, sent) = (AtomicU64::default(), AtomicU64::default());
        let (told, is_wanted) = (Mutex::new(Some(told)), AtomicBool::default());
        Logs(Arc::new(Inner { tell, told, is_wanted, taken, sent }))
    }

    /// A line was written, on this thread, just now. Without a collector it is of no interest.
    pub fn take(&self, record: Record) {
        let Logs(inner) = self;
        // What sends lines logs, too: each of its lines would have lines of its own.
        let is_its_own = record.target.starts_with("hyper");
        if inner.is_wanted.load(Ordering::Relaxed) && !is_its_own {
            inner.taken.fetch_add(1, Ordering::Relaxed);
            // What finds no place is the difference between what was taken and what was sent.
            let _ = inner.tell.try_send(Said::Line(told(record)));
        }
    }

    /// How many lines were written since there is a collector, and how many of them it has.
    pub fn count(&self) -> (u64, u64) {
        // In this order: none is sent before it is taken.
        let sent = self.0.sent.load(Ordering::Relaxed);
        (self.0.taken.load(Ordering::Relaxed), sent)
    }

    /// Sends them to the collector `at`, as those of the program `name`. Once.
    pub(super) fn sending(&self, at: &str, name: &str, sender: Sender) {
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut told) = told.take() else { return };
        let at = format!("{}/v1/logs", at.trim_end_matches('/'));
        let (name, inner) = (name.to_owned(), Arc::downgrade(&self.0));
        self.0.is_wanted.store(true, Ordering::Relaxed);
        tokio::spawn(async move {
            while let Some((lines, asked)) = batch(&mut told).await {
                let count = lines.len() as u64;
                let is_sent = lines.is_empty() || sender.post(&at, message(&name, lines)).await;
                let Some(inner) = inner.upgrade() else { return };
                inner.sent.fetch_add(if is_sent { count } else { 0 }, Ordering::Relaxed);
                drop(asked);
            }
        });
    }

    /// Sends what waits.
    pub(super) async fn flush(&self) {
        if self.0.is_wanted.load(Ordering::Relaxed) {
            let (now, done) = oneshot::channel();
            if self.0.tell.send(Said::Now(now)).await.is_ok() {
                // It is dropped when all is sent, or lost.
                let _ = done.await;
            }
        }
    }
}

/// The first line, and those that come within [`PAUSE`]; up to whoever asks for them now.
async fn batch(
    told: &mut mpsc::Receiver<Said>,
) -> Option<(Vec<LogRecord>, Option<oneshot::Sender<()>>)> {
    let mut lines = match told.recv().await? {
        Said::Now(asked) => return Some((Vec::new(), Some(asked))),
        Said::Line(line) => vec![line],
    };
    let until = tokio::time::Instant::now() + PAUSE;
    while lines.len() < MOST {
        match tokio::time::timeout_at(until, told.recv()).await {
            Ok(Some(Said::Line(line))) => lines.push(line),
            Ok(Some(Said::Now(asked))) => return Some((lines, Some(asked))),
            Ok(None) | Err(_) => break,
        }
    }
    Some((lines, None))
}

fn message(name: &str, log_records: Vec<LogRecord>) -> Vec<u8> {
    let scope_logs = vec![ScopeLogs { log_records, ..Default::default() }];
    let resource = Some(resource(name));
    let resource_logs = vec![ResourceLogs { resource, scope_logs, ..Default::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

/// The line, with the span in which it was written.
fn told(record: Record) -> LogRecord {
    let Record { at, level, target, message, fields, request_id } = record;
    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let at = u64::try_from(at).unwrap_or(u64::MAX);
    let mut attributes: Vec<KeyValue> =
        fields.into_iter().map(|(name, value)| attribute(name, any(value))).collect();
    // By OpenTelemetry's own name for where a line comes from.
    attributes.push(attribute("code.namespace", Any::StringValue(target)));
    attributes.extend(request_id.map(|id| attribute("request_id", Any::StringValue(id))));
    let (trace, span, flags) = Context::map_current(|context| {
        let span = context.span().span_context().clone();
        (span.trace_id(), span.span_id(), span.trace_flags().to_u8())
    });
    let is_in_one = trace != opentelemetry::TraceId::INVALID;
    LogRecord {
        time_unix_nano: at,
        observed_time_unix_nano: at,
        severity_number: severity(level),
        severity_text: level.as_str().to_owned(),
        body: Some(AnyValue { value: Some(Any::StringValue(message)) }),
        attributes,
        trace_id: if is_in_one { trace.to_bytes().to_vec() } else { Vec::new() },
        span_id: if is_in_one { span.to_bytes().to_vec() } else { Vec::new() },
        flags: u32::from(flags),
        ..LogRecord::default()
    }
}

/// <https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber>
fn severity(level: Level) -> i32 {
    match level {
        Level::TRACE => 1,
        Level::DEBUG => 5,
        Level::INFO => 9,
        Level::WARN => 13,
        Level::ERROR => 17,
    }
}

fn attribute(key: &str, value: Any) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn any(value: Value) -> Any {
    match value {
        Value::Bool(yes) => Any::BoolValue(yes),
        Value::String(text) => Any::StringValue(text),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Any::IntValue(whole),
            (None, Some(real)) if number.is_f64() => Any::DoubleValue(real),
            _ => Any::StringValue(number.to_string()),
        },
        other => Any::StringValue(other.to_string()),
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (taken, sent) = self.count();
        f.debug_struct("Logs").field("taken", &taken).field("sent", &sent).finish()
    }
}
