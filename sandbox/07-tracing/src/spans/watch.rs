//! Work within a span, and how it ended.

use std::future::{Future, poll_fn};
use std::pin::pin;
use tracing::{Instrument, Span};

/// Sees how the work within a span ends. It is dropped with the work, so it learns of each end.
struct Watch {
    span: Span,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Between two polls, or before the first.
    Waits,
    /// Within a poll. Whoever is dropped now, has left it by a panic.
    Works,
    Ended,
}

impl Watch {
    fn during<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.state = State::Works;
        let done = work();
        self.state = State::Waits;
        done
    }

    fn end(&mut self) {
        self.state = State::Ended;
    }
}

// ANCHOR: ends
impl Drop for Watch {
    fn drop(&mut self) {
        match self.state {
            State::Ended => {}
            // Not by `thread::panicking`: where one step panics, its siblings are dropped while the
            // thread unwinds, and have done nothing wrong.
            State::Works => fail(&self.span, "panic"),
            State::Waits => {
                self.span.record("cancelled", true);
            }
        }
    }
}
// ANCHOR_END: ends

/// Marks a span as failed.
pub(super) fn fail(span: &Span, kind: &str) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", kind);
}

// ANCHOR: within
/// `work` within `span`: entered at each poll, left after it, and entered once more when it is dropped.
/// `judge` says what its end means.
pub(super) fn within<F: Future + Send>(
    span: Span,
    work: F,
    judge: impl FnOnce(&Span, &F::Output) + Send,
) -> impl Future<Output = F::Output> + Send
where
    F::Output: Send,
{
    let mut watch = Watch { span: span.clone(), state: State::Waits };
    let watched = async move {
        let mut work = pin!(work);
        let ended = poll_fn(|context| watch.during(|| work.as_mut().poll(context))).await;
        judge(&watch.span, &ended);
        watch.end();
        ended
    };
    let watched = watched.instrument(span);
    // In a block of its own, which lets go of the span as soon as the work is done. Whoever keeps this
    // future longer, as `select!` does, would otherwise keep the span open.
    #[expect(clippy::redundant_async_block, reason = "it is not: see above")]
    async move {
        watched.await
    }
}
// ANCHOR_END: within

/// The same for work that is called.
pub(super) fn within_call<T>(
    span: Span,
    work: impl FnOnce() -> T + Send + 'static,
) -> impl FnOnce() -> T + Send + 'static {
    let mut job = Job { watch: Watch { span, state: State::Waits }, work: Some(work) };
    move || {
        let (span, work) = (job.watch.span.clone(), job.work.take());
        let done = span.in_scope(|| job.watch.during(work.expect("a job is called once")));
        job.watch.end();
        done
    }
}

/// Work that has been given away. If it is never called, it is dropped within its span all the same.
struct Job<W> {
    watch: Watch,
    work: Option<W>,
}

impl<W> Drop for Job<W> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.watch.span.in_scope(|| drop(work));
        }
    }
}
