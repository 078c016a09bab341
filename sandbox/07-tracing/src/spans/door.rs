//! The span of a request: what it is called, and whether it has failed.
//!
//! By OpenTelemetry's conventions for a
//! [server's span](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span).

use super::{METHODS, Place, Recorder, Route, watch};
use http::{Request, Response};
use tracing::Span;
use tracing::field::Empty;

// ANCHOR: door
/// A root, also where this is called within another request: as where a service calls itself without
/// a wire between. Whose work it is, is what the request says.
pub(super) fn span<I>(request: &Request<I>) -> Span {
    let method = request.method().as_str();
    let known = METHODS.contains(&method);
    let verb = if known { method } else { "HTTP" };
    let route = request.extensions().get::<Route>().map(|Route(route)| &**route);
    let name = route.map_or_else(|| verb.to_owned(), |route| format!("{verb} {route}"));
    let span = tracing::info_span!(
        parent: None,
        "request",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = Empty,
        service.name = Empty,
        http.request.method = if known { method } else { "_OTHER" },
        http.route = route,
        http.response.status_code = Empty,
        error.type = Empty,
        cancelled = Empty,
    );
    if let Some(caller) = request.extensions().get::<Place>() {
        Recorder::set_parent(&span, *caller);
    }
    span
}

pub(super) fn judge<O, E>(span: &Span, ended: &Result<Response<O>, E>) {
    match ended {
        Ok(response) => {
            let status = response.status();
            span.record("http.response.status_code", status.as_u16());
            // Also 600 and more, which HTTP does not know: to a client they are as 5xx, by RFC 9110, 15.
            if status.as_u16() >= 500 {
                watch::fail(span, status.as_str());
            }
        }
        Err(_) => watch::fail(span, std::any::type_name::<E>()),
    }
}
// ANCHOR_END: door
