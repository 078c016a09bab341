//! Three hops, and the wires between them.

use super::scene::{AGES, Answering, Broken, told};
use super::work::Work;
use circuit_breakers::BoxError;
use circuit_breakers::timeouts::{Deadline, Deadlines};
use grading::History;
use http::{Request, Response};
use redis::aio::MultiplexedConnection;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::task::JoinHandle;
use tower_service::Service;

/// Anything that answers; it is always ready.
#[derive(Clone)]
pub(super) struct Door(Arc<dyn Fn(Request<String>) -> Answering + Send + Sync>);

impl Door {
    fn new<F>(answer: impl Fn(Request<String>) -> F + Send + Sync + 'static) -> Door
    where
        F: Future<Output = Result<Response<String>, BoxError>> + Send + 'static,
    {
        Door(Arc::new(move |request| Box::pin(answer(request))))
    }

    pub(super) fn ask(&self, request: Request<String>) -> Answering {
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

/// What a server learns of a client that has gone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// Nothing, as most servers do until they write the answer: each hop ends by its own clock.
    Deaf,
    /// It drops the work, as hyper does when it sees that the connection is closed.
    Attentive,
}

/// The server `lane` behind a wire: what it is told passes, what its client knows does not.
pub(super) fn behind<D: Deadlines>(
    history: &History,
    lane: &'static str,
    wire: Wire,
    server: Door,
    heard: Heard,
) -> Door {
    let history = history.clone();
    Door::new(move |request| {
        let (head, body) = request.into_parts();
        let mut arrives = Request::new(body);
        *arrives.headers_mut() = head.headers;
        let left = told(&arrives).unwrap_or_else(|| "none".to_owned());
        history.note(lane, format!("arrives, time-left: {left}"));
        heard.lock().unwrap_or_else(PoisonError::into_inner).push(left);
        // A server works in a task of its own.
        let served =
            Connection { task: tokio::spawn(D::serve(server.clone(), arrives, AGES)), wire };
        async move {
            let mut served = served;
            match (&mut served.task).await {
                Ok(answer) => answer,
                Err(stopped) => match stopped.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => Err(Broken("the server is gone").into()),
                },
            }
        }
    })
}

/// What arrived at each hop, in order.
pub(super) type Heard = Arc<Mutex<Vec<String>>>;

struct Connection {
    task: JoinHandle<Result<Response<String>, BoxError>>,
    wire: Wire,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.wire == Wire::Attentive {
            self.task.abort();
        }
    }
}

/// A hop in the middle: it asks `next`, passes on all headers, as gateways do, and its deadline.
pub(super) fn relay<D: Deadlines>(next: Door) -> Door {
    Door::new(move |request| {
        let deadline = request.extensions().get::<Deadline>().copied();
        let mut on = Request::new(request.body().clone());
        *on.headers_mut() = request.headers().clone();
        if let Some(deadline) = deadline {
            on.extensions_mut().insert(deadline);
        }
        let next = next.clone();
        // Its own patience is no help to anybody here.
        async move { D::ask(next, on, AGES).await }
    })
}

/// The hop at the end: the work, each step of which is a command to a real Redis.
pub(super) fn worker(work: Work, redis: MultiplexedConnection) -> Door {
    let work = Mutex::new(Some(work));
    Door::new(move |_| {
        let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let redis = redis.clone();
        async move {
            let Some(work) = work else {
                return Err(Broken("asked a second time").into());
            };
            work.run(async |_| {
                let mut redis = redis.clone();
                let _: Result<(), _> = redis::cmd("INCR").arg("work").query_async(&mut redis).await;
            })
            .await
        }
    })
}
