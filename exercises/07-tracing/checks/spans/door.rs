//! What answers a request here: a service without a wire.

use http::{Request, Response};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use testbed::gate::Gate;
use tower_service::Service;

pub(super) type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;
pub(super) type Answer = Result<Response<()>, Refused>;

/// Why a step failed, in words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Refused(pub(super) &'static str);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// One type for all of them: what the subject is compiled with.
pub(super) struct Door {
    answers: Arc<dyn Fn(Request<()>) -> Later<Answer> + Send + Sync>,
    queue: Queue,
    is_ready: bool,
}

/// What one has to wait for at the door.
#[derive(Clone)]
enum Queue {
    Short,
    Held(Gate),
    Full,
}

impl Clone for Door {
    /// The place that was found for one is no other's.
    fn clone(&self) -> Door {
        Door { answers: Arc::clone(&self.answers), queue: self.queue.clone(), is_ready: false }
    }
}

impl Door {
    pub(super) fn new<F>(answers: impl Fn(Request<()>) -> F + Send + Sync + 'static) -> Door
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let answers = Arc::new(move |request| -> Later<Answer> { Box::pin(answers(request)) });
        Door { answers, queue: Queue::Short, is_ready: false }
    }

    /// Holds whoever comes at a gate that is never opened.
    pub(super) fn behind(self, gate: &Gate) -> Door {
        Door { queue: Queue::Held(gate.clone()), ..self }
    }

    /// Refuses whoever comes.
    pub(super) fn full(self) -> Door {
        Door { queue: Queue::Full, ..self }
    }

    /// Works, and answers with 200.
    pub(super) fn works<F>(work: impl Fn() -> F + Send + Sync + 'static) -> Door
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Door::new(move |_| {
            let work = work();
            async move {
                work.await;
                Ok(Response::new(()))
            }
        })
    }
}

impl Service<Request<()>> for Door {
    type Response = Response<()>;
    type Error = Refused;
    type Future = Later<Answer>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        if self.is_ready {
            return Poll::Ready(Ok(()));
        }
        match &self.queue {
            Queue::Short => {}
            // It has come to the gate, and nobody wakes it there.
            Queue::Held(gate) => return pin!(gate.pass()).poll(context).map(|()| Ok(())),
            Queue::Full => return Poll::Ready(Err(Refused("no place"))),
        }
        // Not at once, so that who does not wait is found out.
        self.is_ready = true;
        tracing::info!("is made ready");
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, request: Request<()>) -> Later<Answer> {
        if !std::mem::take(&mut self.is_ready) {
            return Box::pin(async { Err(Refused("called before it was ready")) });
        }
        tracing::info!("is called");
        (self.answers)(request)
    }
}
