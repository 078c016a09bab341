//! How spans are called, and what they say: OpenTelemetry's words.
//!
//! Those for HTTP are
//! [stable](https://opentelemetry.io/docs/specs/semconv/http/http-spans/). Those for messaging are
//! [in development](https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/) and may
//! change, so they stand here once, and a dashboard asks for them by these names.

use super::{Delivery, Route};
use crate::structured_logs::Policy;
use http::{Method, Request, Response};
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanBuilder, SpanKind, SpanRef, Status};
use std::sync::LazyLock;

/// HTTP, stable: `GET`, or `_OTHER` for a method that is none of the nine.
pub const METHOD: &str = "http.request.method";
/// HTTP, stable: `/orders/{id}`.
pub const ROUTE: &str = "http.route";
/// HTTP, stable: `/orders/7`. The query stays out: there are tokens in queries. And what looks like an
/// address, a card or a token is hidden here as in a line: a stranger may ask for any path.
pub const PATH: &str = "url.path";
/// HTTP, stable: `503`.
pub const STATUS: &str = "http.response.status_code";
/// HTTP, stable: the host that a client asks.
pub const SERVER: &str = "server.address";
/// Stable: of what kind an error is, such as `503`, in few words that a search can group by.
pub const ERROR: &str = "error.type";
/// Messaging, in development: the queue or exchange.
pub const DESTINATION: &str = "messaging.destination.name";
/// Messaging, in development: `create`, `send` or `process`.
pub const OPERATION: &str = "messaging.operation.name";
/// Messaging, in development: how many messages are worked on at once.
pub const BATCH: &str = "messaging.batch.message_count";
/// Ours, for the conventions have no word for it: whether a message was delivered before.
pub const REDELIVERED: &str = "messaging.redelivered";

static SHOWN: LazyLock<Policy> = LazyLock::new(Policy::standard);

/// The method as a span may say it. A stranger may send any word, and names of spans are counted.
fn method(method: &Method) -> Option<&'static str> {
    let known = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "TRACE", "CONNECT"];
    known.into_iter().find(|known| method == known)
}

/// A request has come.
pub fn server<B>(request: &Request<B>) -> SpanBuilder {
    let method = method(request.method());
    let mut name = method.unwrap_or("HTTP").to_owned();
    let mut says = vec![
        KeyValue::new(METHOD, method.unwrap_or("_OTHER")),
        KeyValue::new(PATH, SHOWN.text(request.uri().path()).into_owned()),
    ];
    if let Some(Route(route)) = request.extensions().get() {
        name = format!("{name} {route}");
        says.push(KeyValue::new(ROUTE, route.clone()));
    }
    SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_attributes(says)
}

/// A request goes out.
pub fn client<B>(request: &Request<B>) -> SpanBuilder {
    let method = method(request.method());
    let mut says = vec![KeyValue::new(METHOD, method.unwrap_or("_OTHER"))];
    says.extend(request.uri().host().map(|host| KeyValue::new(SERVER, host.to_owned())));
    SpanBuilder::from_name(method.unwrap_or("HTTP"))
        .with_kind(SpanKind::Client)
        .with_attributes(says)
}

/// It was answered, or not. A status from `error` on is an error: for a client that is 400, for a
/// server 500, since a bad request is a mistake of whoever made it.
pub fn answered<B, E>(span: &SpanRef<'_>, answer: Result<&Response<B>, &E>, error: u16) {
    let kind = match answer.map(|answer| answer.status().as_u16()) {
        Ok(status) => {
            span.set_attribute(KeyValue::new(STATUS, i64::from(status)));
            if status < error {
                return;
            }
            status.to_string()
        }
        // Not its text: that is different each time, and may hold anything.
        Err(_) => std::any::type_name::<E>().to_owned(),
    };
    span.set_attribute(KeyValue::new(ERROR, kind));
    span.set_status(Status::error(""));
}

fn messaging(operation: &'static str, destination: &str, kind: SpanKind) -> SpanBuilder {
    SpanBuilder::from_name(format!("{operation} {destination}")).with_kind(kind).with_attributes([
        KeyValue::new(OPERATION, operation),
        KeyValue::new(DESTINATION, destination.to_owned()),
    ])
}

/// A message is written down.
pub fn create(to: &str) -> SpanBuilder {
    messaging("create", to, SpanKind::Producer)
}

/// A message that was written down is sent.
pub fn send(to: &str) -> SpanBuilder {
    messaging("send", to, SpanKind::Client)
}

/// Messages are worked on.
pub fn process(from: &str, deliveries: &[Delivery]) -> SpanBuilder {
    let mut span = messaging("process", from, SpanKind::Consumer);
    let says = span.attributes.get_or_insert_default();
    if deliveries.len() > 1 {
        says.push(KeyValue::new(BATCH, deliveries.len() as i64));
    }
    if deliveries.iter().any(|one| one.redelivered) {
        says.push(KeyValue::new(REDELIVERED, true));
    }
    span
}
