//! Work in a context, and a span that ends with it.

use opentelemetry::Context;
use opentelemetry::trace::{SpanRef, TraceContextExt};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

// ANCHOR: within
pin_project! {
    /// A future in a context: while it is polled, and while it is dropped.
    ///
    /// OpenTelemetry's own `with_context` does the first. But a customer who hangs up drops the
    /// future, and what gives the stock back then, in a destructor, writes a message as well.
    #[derive(Debug)]
    pub struct Within<F> {
        #[pin]
        work: Option<F>,
        context: Context,
    }

    impl<F> PinnedDrop for Within<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _here = this.context.clone().attach();
            this.work.set(None);
        }
    }
}

impl<F> Within<F> {
    /// `work`, in `context`.
    pub fn of(context: Context, work: F) -> Within<F> {
        Within { work: Some(work), context }
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut std::task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _here = this.context.clone().attach();
        match this.work.as_pin_mut() {
            Some(work) => work.poll(task),
            // Only its drop takes it away.
            None => Poll::Pending,
        }
    }
}

/// Ends the span of a context when it is dropped.
///
/// Without it a span ends with the last clone of its context, and each task that was spawned in it
/// holds one: the request of 20 ms would seem to have taken as long as the mail.
#[derive(Debug)]
pub struct Ending(Context);

impl Ending {
    /// Of the span of this context.
    pub fn of(context: &Context) -> Ending {
        Ending(context.clone())
    }

    /// It, as long as it has not ended.
    pub fn span(&self) -> SpanRef<'_> {
        self.0.span()
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.span().end();
    }
}
// ANCHOR_END: within
