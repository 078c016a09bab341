//! Those who lose what leaves its task.

use super::right::{RIGHT, Watch, below, method, right, within};
use observability::spans::Spans;
use std::future::Future;
use tracing::{Instrument, Span};

/// `tokio::spawn(work)`, as one writes it. Whatever the work does is a trace of its own. Rejected by
/// `in_a_task`.
pub struct BareTask;

impl Spans for BareTask {
    method!(in_task(_name, work) { work });
    right!(serve, step, in_thread);
}

/// Makes the span in the task. There it is current, and beneath nothing. Rejected by `in_a_task`.
pub struct MadeInTheTask;

impl Spans for MadeInTheTask {
    method!(in_task(name, work) {
        async move { within(below(name), work, RIGHT, |_, _| {}).await }
    });
    right!(serve, step, in_thread);
}

/// `follows_from`: a task does not belong to the request, it follows from it. So the request's tree ends
/// where it becomes interesting. Rejected by `in_a_task`.
pub struct FollowsFrom;

impl Spans for FollowsFrom {
    method!(in_task(name, work) {
        let span = tracing::info_span!(
            parent: None,
            "step",
            otel.name = name,
            otel.status_code = tracing::field::Empty,
            error.type = tracing::field::Empty,
            cancelled = tracing::field::Empty,
        );
        span.follows_from(Span::current());
        within(span, work, RIGHT, |_, _| {})
    });
    right!(serve, step, in_thread);
}

/// `in_current_span`, and a step of its own within: the request's span is entered again for as long as
/// the mail takes, and the request took as long. Rejected by `outlives`.
pub struct StaysInTheRequest;

impl Spans for StaysInTheRequest {
    method!(in_task(name, work) {
        within(below(name), work, RIGHT, |_, _| {}).in_current_span()
    });
    right!(serve, step, in_thread);
}

/// What goes on by itself is nobody's business when it is stopped: it says that it was cancelled as soon
/// as its request has ended. Rejected by `outlives`.
pub struct CancelledWithItsRequest;

impl Spans for CancelledWithItsRequest {
    method!(in_task(name, work) {
        let span = below(name);
        span.record("cancelled", true);
        within(span, work, RIGHT, |_, _| {})
    });
    right!(serve, step, in_thread);
}

/// Makes the span on the thread. Rejected by `in_a_thread`.
pub struct MadeOnTheThread;

impl Spans for MadeOnTheThread {
    method!(in_thread(name, work) {
        move || {
            let span = below(name);
            let mut watch = Watch::over(span.clone(), RIGHT);
            let done = span.in_scope(|| watch.during(work));
            watch.end();
            done
        }
    });
    right!(serve, step, in_task);
}

/// Makes the span where it should, and measures the job by it, and does not enter it. Rejected by
/// `in_a_thread`.
pub struct OnlyMeasured;

impl Spans for OnlyMeasured {
    method!(in_thread(name, work) {
        let span = below(name);
        let mut watch = Watch::over(span.clone(), RIGHT);
        move || {
            let done = watch.during(work);
            watch.end();
            drop(span);
            done
        }
    });
    right!(serve, step, in_task);
}

/// Entered before the job, left after it. The thread of the pool lives longer than a job that panics.
/// Rejected by `clean_threads`.
pub struct LeftAfterwards;

impl Spans for LeftAfterwards {
    method!(in_thread(name, work) {
        let span = below(name);
        let mut watch = Watch::over(span.clone(), RIGHT);
        move || {
            span.with_subscriber(|(id, dispatch)| dispatch.enter(id));
            let done = watch.during(work);
            span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
            watch.end();
            done
        }
    });
    right!(serve, step, in_task);
}

/// Entered on the pool's thread, and the guard forgotten, so that it lasts as long as the job does.
/// Rejected by `clean_threads`.
pub struct ForgottenGuard;

impl Spans for ForgottenGuard {
    method!(in_thread(name, work) {
        let span = below(name);
        let mut watch = Watch::over(span.clone(), RIGHT);
        move || {
            std::mem::forget(span.enter());
            let done = watch.during(work);
            watch.end();
            done
        }
    });
    right!(serve, step, in_task);
}

/// Sees how a job ends as soon as it has begun. One that never begins, as when the pool is shut down,
/// looks as if it had been done in no time. Rejected by `clean_threads`.
pub struct FromItsBeginning;

impl Spans for FromItsBeginning {
    method!(in_thread(name, work) {
        let span = below(name);
        move || {
            let mut watch = Watch::over(span.clone(), RIGHT);
            let done = span.in_scope(|| watch.during(work));
            watch.end();
            done
        }
    });
    right!(serve, step, in_task);
}
