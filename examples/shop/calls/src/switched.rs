//! A layer that can be switched off and on while requests go through it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use circuit_breakers::BoxError;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

pub(crate) type Answer = Result<Response<Bytes>, BoxError>;
pub(crate) type Answering = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// A service that asks another, whatever stands between the two. Always ready.
#[derive(Clone)]
pub(crate) struct Asking(Arc<dyn Fn(Request<Bytes>) -> Answering + Send + Sync>);

impl Asking {
    pub(crate) fn by(ask: impl Fn(Request<Bytes>) -> Answering + Send + Sync + 'static) -> Asking {
        Asking(Arc::new(ask))
    }

    pub(crate) fn ask(&self, request: Request<Bytes>) -> Answering {
        (self.0)(request)
    }

    /// This behind `layer`, for those requests for which `on` says so.
    pub(crate) fn behind<L>(
        self,
        layer: &L,
        on: impl Fn(&Request<Bytes>) -> bool + Send + Sync + 'static,
    ) -> Asking
    where
        L: Layer<Asking>,
        L::Service: Service<Request<Bytes>, Response = Response<Bytes>, Error = BoxError>
            + Clone
            + Send
            + Sync
            + 'static,
        <L::Service as Service<Request<Bytes>>>::Future: Send,
    {
        let layered = layer.layer(self.clone());
        Asking::by(move |request| {
            if !on(&request) {
                return self.ask(request);
            }
            // A clone of its own for each call: what a layer reserves when it is asked whether it is
            // ready must be used by the call that asked.
            let mut layered = layered.clone();
            Box::pin(async move {
                poll_fn(|context| layered.poll_ready(context)).await?;
                layered.call(request).await
            })
        })
    }
}

impl Service<Request<Bytes>> for Asking {
    type Response = Response<Bytes>;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Answering {
        self.ask(request)
    }
}
