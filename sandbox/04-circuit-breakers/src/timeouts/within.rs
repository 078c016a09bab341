//! Work that ends at its deadline: the future is dropped, the task aborted.

use super::{Deadline, Late};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep_until};

pin_project! {
    /// A future that is dropped at its deadline, and answers [`Late`] then.
    ///
    /// It differs from `tokio::time::timeout_at` in two things, both of which are "nobody works past
    /// it" taken at its word:
    ///
    /// - The clock is asked before the work is polled. Tokio's polls the work first, so a request
    ///   that comes out of a queue too late does its first step all the same, and an answer that
    ///   nobody waits for any more is delivered.
    /// - At the deadline the work is dropped, and not only when this future is.
    ///
    /// # Panics
    /// When the work has to wait outside of a Tokio runtime with a timer.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless they are polled"]
    pub struct Within<F> {
        deadline: Deadline,
        #[pin]
        work: Option<F>,
        // Most answers that are there at once need none.
        #[pin]
        timer: Option<Sleep>,
    }
}

impl<F> Within<F> {
    pub(super) fn new(deadline: Deadline, work: F) -> Within<F> {
        Within { deadline, work: Some(work), timer: None }
    }
}

// ANCHOR: poll
impl<F: Future> Future for Within<F> {
    type Output = Result<F::Output, Late>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.deadline.is_over() {
            // What it holds is free now: permits, connections, all the calls that it waits for.
            this.work.set(None);
        }
        let Some(work) = this.work.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(Late));
        };
        if let Poll::Ready(answer) = work.poll(context) {
            this.work.set(None);
            return Poll::Ready(Ok(answer));
        }
        if this.timer.is_none() {
            this.timer.set(Some(sleep_until(this.deadline.instant())));
        }
        if let Some(timer) = this.timer.as_mut().as_pin_mut() {
            ready!(timer.poll(context));
        }
        this.work.set(None);
        Poll::Ready(Err(Late))
    }
}
// ANCHOR_END: poll

// ANCHOR: task
/// What `Deadlines::spawn` promises.
pub(super) fn spawn<T: Send + 'static>(
    deadline: Deadline,
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = Result<T, Late>> + Send {
    // Inside of the task, so that it ends though nobody polls the handle any more.
    let task = Task(tokio::spawn(deadline.within(work)));
    async move {
        let mut task = task;
        match (&mut task.0).await {
            Ok(answer) => answer,
            Err(stopped) => match stopped.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Nobody but the end of the runtime can have aborted it.
                Err(_) => Err(Late),
            },
        }
    }
}

/// A task whose owner takes it along. To drop a bare `JoinHandle` is to let the task go on:
/// <https://docs.rs/tokio/latest/tokio/task/struct.JoinHandle.html>.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
// ANCHOR_END: task
