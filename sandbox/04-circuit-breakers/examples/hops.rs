//! A service with its type forgotten, so that a chain of them can be built in a few lines.

use circuit_breakers::BoxError;
use http::{Request, Response};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;

/// An answer that is on its way.
pub type Answering = Pin<Box<dyn Future<Output = Result<Response<String>, BoxError>> + Send>>;

/// Anything that answers. It says that it is always ready, and waits when it is asked.
#[derive(Clone)]
pub struct Door(Arc<dyn Fn(Request<String>) -> Answering + Send + Sync>);

impl Door {
    /// One that answers like this.
    pub fn new<F>(answer: impl Fn(Request<String>) -> F + Send + Sync + 'static) -> Door
    where
        F: Future<Output = Result<Response<String>, BoxError>> + Send + 'static,
    {
        Door(Arc::new(move |request| Box::pin(answer(request))))
    }

    /// Any service.
    pub fn of<S>(service: S) -> Door
    where
        S: Service<Request<String>, Response = Response<String>, Error = BoxError>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
    {
        Door::new(move |request| {
            let mut service = service.clone();
            async move {
                poll_fn(|context| service.poll_ready(context)).await?;
                service.call(request).await
            }
        })
    }

    /// Asks it. What it does without waiting is done when this returns.
    pub fn ask(&self, request: Request<String>) -> Answering {
        (self.0)(request)
    }
}

impl Service<Request<String>> for Door {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Answering {
        self.ask(request)
    }
}
