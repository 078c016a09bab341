//! Anything that answers HTTP: a service, and a client of one.

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use http::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(super) type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;
pub(super) type Answering = Later<Result<Response<Body>, BoxError>>;

type Answers = Arc<dyn Fn(Request<Body>) -> Answering + Send + Sync>;
type Handler = Arc<dyn Fn(Request<Body>) -> Later<Response<Body>> + Send + Sync>;

/// One type for all of them: what the subject is compiled with.
pub(super) struct Door {
    prepare: Option<fn()>,
    answers: Answers,
    is_ready: bool,
}

impl Clone for Door {
    /// The place that was found for one is no other's.
    fn clone(&self) -> Door {
        Door { prepare: self.prepare, answers: Arc::clone(&self.answers), is_ready: false }
    }
}

impl Door {
    pub(super) fn new<F>(answers: impl Fn(Request<Body>) -> F + Send + Sync + 'static) -> Door
    where
        F: Future<Output = Result<Response<Body>, BoxError>> + Send + 'static,
    {
        let answers: Answers = Arc::new(move |request| Box::pin(answers(request)));
        Door { prepare: None, answers, is_ready: false }
    }

    /// An axum service with one route, `/checkout`.
    pub(super) fn checkout<F>(handle: impl Fn(Request<Body>) -> F + Send + Sync + 'static) -> Door
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        routed(Arc::new(move |request| Box::pin(handle(request))))
    }

    /// A client of the service at this address: a connection for each request.
    pub(super) fn to(address: SocketAddr) -> Door {
        let client = client();
        Door::new(move |mut request| {
            let uri = format!("http://{address}{}", request.uri().path());
            let client = client.clone();
            async move {
                *request.uri_mut() = uri.parse()?;
                Ok(client.request(request).await?.map(Body::new))
            }
        })
    }

    /// This is called while it is made ready.
    pub(super) fn preparing(self, prepare: fn()) -> Door {
        Door { prepare: Some(prepare), ..self }
    }

    /// This is called at the beginning of each call.
    pub(super) fn saying(self, say: fn()) -> Door {
        let inner = Arc::clone(&self.answers);
        let answers: Answers = Arc::new(move |request| {
            say();
            inner(request)
        });
        Door { answers, ..self }
    }
}

/// Once for all handlers: axum is large, and compiled for each kind of them.
fn routed(handle: Handler) -> Door {
    let router = Router::new().route("/checkout", any(move |request| handle(request)));
    Door::new(move |request| {
        let answer = router.clone().call(request);
        async move { Ok(answer.await?) }
    })
}

pub(super) fn client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http()
}

impl Service<Request<Body>> for Door {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if !self.is_ready {
            self.is_ready = true;
            if let Some(prepare) = self.prepare {
                prepare();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answering {
        if !std::mem::take(&mut self.is_ready) {
            return Box::pin(async { Err("called before it was ready".into()) });
        }
        (self.answers)(request)
    }
}
