//! The reference as a tower layer at the door of a server.
//!
//! As the other layers here it says that it is ready at once, and waits within each call, where it is
//! known for whom. Each call waits for its own clone.

use super::{Route, Spans, TracingSpans};
use http::{Extensions, Request, Response};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// What the layer answers with.
pub type Answering<O, E> = Pin<Box<dyn Future<Output = Result<Response<O>, E>> + Send>>;

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
    type Service = Serving<S>;

    fn layer(&self, inner: S) -> Serving<S> {
        Serving { inner, route: self.route }
    }
}

/// A service that answers each request within its span.
#[derive(Clone, Debug)]
pub struct Serving<S> {
    inner: S,
    route: Option<RouteOf>,
}

impl<S, I, O> Service<Request<I>> for Serving<S>
where
    // Spelt out and not as `Hop`: the compiler looks for `O` here.
    S: Service<Request<I>, Response = Response<O>, Error: Send, Future: Send>,
    S: Clone + Send + 'static,
    I: Send + 'static,
    O: Send + 'static,
{
    type Response = Response<O>;
    type Error = S::Error;
    type Future = Answering<O, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<I>) -> Self::Future {
        if request.extensions().get::<Route>().is_none() {
            let route = self.route.and_then(|route| route(request.extensions()));
            if let Some(route) = route {
                request.extensions_mut().insert(route);
            }
        }
        Box::pin(TracingSpans::serve(self.inner.clone(), request))
    }
}
