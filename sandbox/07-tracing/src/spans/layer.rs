//! The reference as a tower layer at the door of a server.

use super::{Hop, Route, Spans, TracingSpans};
use crate::around::{Answering, Around, Surrounded};
use http::{Extensions, Request};
use tower_layer::Layer;

/// Finds the route that a request has matched among its extensions.
pub type RouteOf = fn(&Extensions) -> Option<Route>;

/// Gives each request its span: [`Spans::serve`].
///
/// It belongs outside of what works for the request, and inside of what has found the route. With axum
/// that is `Router::layer`, and the route is axum's `MatchedPath`:
///
/// ```
/// use axum::extract::MatchedPath;
/// use observability::spans::{Route, SpanLayer};
///
/// let layer = SpanLayer::routed(|extensions| {
///     Some(Route(extensions.get::<MatchedPath>()?.as_str().into()))
/// });
/// let router: axum::Router = axum::Router::new()
///     .route("/orders/{id}", axum::routing::get(|| async { "an order" }))
///     .layer(layer);
/// # drop(router);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanLayer {
    route: Option<RouteOf>,
}

impl SpanLayer {
    /// A layer that asks `route` for a request's route, where the request has no [`Route`] yet.
    pub fn routed(route: RouteOf) -> SpanLayer {
        SpanLayer { route: Some(route) }
    }
}

impl<S> Layer<S> for SpanLayer {
    type Service = Surrounded<S, SpanLayer>;

    fn layer(&self, inner: S) -> Self::Service {
        Surrounded::new(inner, *self)
    }
}

impl Around for SpanLayer {
    fn call<S, I, O>(&self, service: S, mut request: Request<I>) -> Answering<O, S::Error>
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static,
    {
        if request.extensions().get::<Route>().is_none() {
            let route = self.route.and_then(|route| route(request.extensions()));
            if let Some(route) = route {
                request.extensions_mut().insert(route);
            }
        }
        Box::pin(TracingSpans::serve(service, request))
    }
}
