//! Anything that answers HTTP, and the wire between two of them.

use http::{Request, Response};
use observability::propagation::{Carrier, Peer, Route};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::task::JoinHandle;
use tower_service::Service;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(super) type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;
pub(super) type Answering = Later<Result<Response<()>, BoxError>>;

type Readies = Arc<dyn Fn(usize) -> Poll<Result<(), BoxError>> + Send + Sync>;

/// One type for all of them: what the subject is compiled with.
pub(super) struct Door {
    answers: Arc<dyn Fn(Request<()>) -> Answering + Send + Sync>,
    /// Whether it is ready, asked for the so manieth time.
    readies: Readies,
    polls: usize,
    is_ready: bool,
}

impl Clone for Door {
    /// The place that was found for one is no other's.
    fn clone(&self) -> Door {
        let (answers, readies) = (Arc::clone(&self.answers), Arc::clone(&self.readies));
        Door { answers, readies, polls: 0, is_ready: false }
    }
}

impl Door {
    pub(super) fn new<F>(answers: impl Fn(Request<()>) -> F + Send + Sync + 'static) -> Door
    where
        F: Future<Output = Result<Response<()>, BoxError>> + Send + 'static,
    {
        Door {
            answers: Arc::new(move |request| Box::pin(answers(request))),
            readies: Arc::new(|_| Poll::Ready(Ok(()))),
            polls: 0,
            is_ready: false,
        }
    }

    /// It, if it is not ready at once.
    pub(super) fn readied(
        self,
        readies: impl Fn(usize) -> Poll<Result<(), BoxError>> + Send + Sync + 'static,
    ) -> Door {
        Door { readies: Arc::new(readies), ..self }
    }

    /// A service that answers 200 after this.
    pub(super) fn after<F>(work: impl Fn(Request<()>) -> F + Send + Sync + 'static) -> Door
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Door::new(move |request| {
            let work = work(request);
            async move {
                work.await;
                Ok(Response::new(()))
            }
        })
    }

    pub(super) fn ask(&self, request: Request<()>) -> Answering {
        (self.answers)(request)
    }
}

impl Service<Request<()>> for Door {
    type Response = Response<()>;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let said = (self.readies)(self.polls);
        self.polls += 1;
        self.is_ready = matches!(said, Poll::Ready(Ok(())));
        if said.is_pending() {
            task.waker().wake_by_ref();
        }
        said
    }

    fn call(&mut self, request: Request<()>) -> Answering {
        if !std::mem::take(&mut self.is_ready) {
            return Box::pin(async { Err("called before it was ready".into()) });
        }
        (self.answers)(request)
    }
}

/// A task that ends when nobody waits for it any more, as a server's does when the client hangs up.
pub(super) struct Held<T>(pub(super) JoinHandle<T>);

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Begins work in nobody's context: a new task inherits none.
pub(super) fn apart<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Held<T> {
    Held(tokio::spawn(work))
}

/// A request, as it arrives: what was sent, and nothing of what was current where it was sent.
pub(super) fn arrived(sent: &Request<()>, route: Option<&str>) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = sent.method().clone();
    *request.uri_mut() = sent.uri().clone();
    *request.headers_mut() = sent.headers().clone();
    if let Some(route) = route {
        request.extensions_mut().insert(Route(route.into()));
    }
    request
}

/// A request that nobody has sent yet.
pub(super) fn to(method: &'static str, path: &'static str) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = http::Method::from_bytes(method.as_bytes()).expect("a word");
    *request.uri_mut() = http::Uri::from_static(path);
    request
}

/// How a consumer or a service works, with its type forgotten.
pub(super) type Publish = Box<dyn FnOnce(Carrier) -> Later<()> + Send>;

/// The subject, with its type forgotten.
pub(super) trait Subject: Send + Sync {
    fn serve(&self, caller: Peer, service: Door, request: Request<()>) -> Answering;
    fn ask(&self, callee: Peer, client: Door, request: Request<()>) -> Answering;
    fn enqueue(&self, to: &str) -> Carrier;
    fn send(&self, to: &str, stored: Carrier, publish: Publish) -> Later<()>;
    fn receive(
        &self,
        from: &str,
        deliveries: &[observability::propagation::Delivery],
        work: Later<()>,
    ) -> Later<()>;
}

impl<D: observability::propagation::Propagation> Subject for D {
    fn serve(&self, caller: Peer, service: Door, request: Request<()>) -> Answering {
        Box::pin(D::serve(self, caller, service, request))
    }

    fn ask(&self, callee: Peer, client: Door, request: Request<()>) -> Answering {
        Box::pin(D::ask(self, callee, client, request))
    }

    fn enqueue(&self, to: &str) -> Carrier {
        D::enqueue(self, to)
    }

    fn send(&self, to: &str, stored: Carrier, publish: Publish) -> Later<()> {
        Box::pin(D::send(self, to, stored, publish))
    }

    fn receive(
        &self,
        from: &str,
        deliveries: &[observability::propagation::Delivery],
        work: Later<()>,
    ) -> Later<()> {
        Box::pin(D::receive(self, from, deliveries, work))
    }
}
