//! The service behind the limit: a shop that counts what it is asked, and has only so many places.

use grading::History;
use http::{Request, Response};
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use testbed::gate::Gate;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

/// The service's own error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken(pub(super) &'static str);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A service with so many places, as tower's ConcurrencyLimit has them: `poll_ready` finds one for
/// this very clone, and it is free again when the answer is there or the clone is dropped.
pub(super) struct Shop {
    history: History,
    places: Arc<Semaphore>,
    mine: Option<OwnedSemaphorePermit>,
    pub(super) counter: Arc<Mutex<Counter>>,
}

/// What it answers with, and what it was asked.
#[derive(Default)]
pub(super) struct Counter {
    pub(super) served: Vec<Request<String>>,
    pub(super) answers: VecDeque<Result<Response<String>, Broken>>,
    /// Where the next answer waits, if it is slow.
    pub(super) slow: Option<Gate>,
}

impl Shop {
    pub(super) fn open(history: History, places: usize) -> Shop {
        let places = Arc::new(Semaphore::new(places));
        Shop { history, places, mine: None, counter: Arc::default() }
    }

    pub(super) fn counter(&self) -> MutexGuard<'_, Counter> {
        self.counter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn served(&self) -> usize {
        self.counter().served.len()
    }

    /// What it answers next; otherwise 200.
    pub(super) fn answers(&self, status: u16) {
        let answer = Response::builder().status(status).body("what the shop said".to_owned());
        self.counter().answers.push_back(Ok(answer.expect("a status")));
    }
}

impl Clone for Shop {
    fn clone(&self) -> Shop {
        Shop {
            history: self.history.clone(),
            places: Arc::clone(&self.places),
            mine: None,
            counter: Arc::clone(&self.counter),
        }
    }
}

impl Service<Request<String>> for Shop {
    type Response = Response<String>;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Broken>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.mine.is_none() {
            self.mine = Arc::clone(&self.places).try_acquire_owned().ok();
        }
        Poll::Ready(match self.mine {
            Some(_) => Ok(()),
            // One client after the other: nobody but the limit itself can hold it.
            None => Err(Broken("there is no place: the limit still holds the only one")),
        })
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let Some(place) = self.mine.take() else {
            self.history.note("shop", "called without a place");
            let told = Broken("called on a clone that never said that it is ready");
            return Box::pin(async { Err(told) });
        };
        self.history.note("shop", format!("serves {}", request.uri().path()));
        let answer = self.counter().answers.pop_front();
        self.counter().served.push(request);
        let slow = self.counter().slow.take();
        Box::pin(async move {
            match slow {
                Some(gate) => gate.pass().await,
                None => tokio::task::yield_now().await,
            }
            drop(place);
            answer.unwrap_or_else(|| Ok(Response::new("what the shop said".to_owned())))
        })
    }
}
