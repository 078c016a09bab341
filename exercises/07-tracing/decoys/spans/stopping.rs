//! Those who are wrong about how a task or a job ends.

use super::right::{RIGHT, Watch, below, fail, method, right, watched, within};
use super::serving::Guard;
use super::stepping::ByHand;
use futures_util::FutureExt;
use observability::spans::Spans;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use tracing::{Instrument, Span};

/// A decoy, by how a task goes on.
macro_rules! in_a_task {
    ($decoy:ident: |$name:ident, $work:ident| $task:expr) => {
        impl Spans for $decoy {
            method!(in_task($name, $work) { $task });
            right!(serve, step, in_thread);
        }
    };
}

/// A decoy, by how a job is done.
macro_rules! in_a_thread {
    ($decoy:ident: |$name:ident, $work:ident| $job:expr) => {
        impl Spans for $decoy {
            method!(in_thread($name, $work) { $job });
            right!(serve, step, in_task);
        }
    };
}

/// `work.instrument(span)`. The mail that was never sent, as the service was shut down, looks as if it
/// had been. Rejected by `stopped_tasks`.
pub struct JustInstrumented;

in_a_task!(JustInstrumented: |name, work| {
    let work = work.instrument(below(name));
    #[expect(clippy::redundant_async_block, reason = "it lets go of the span: see the reference")]
    async move {
        work.await
    }
});

/// Catches a panic, to say so, and panics anew: with words of its own, in which nobody finds what has
/// happened. Rejected by `stopped_tasks`.
pub struct PanicsAnew;

in_a_task!(PanicsAnew: |name, work| {
    within(below(name), async move {
        match AssertUnwindSafe(work).catch_unwind().await {
            Ok(done) => done,
            Err(_) => panic!("the task has panicked"),
        }
    }, RIGHT, |_, _| {})
});

/// Entered at each poll, and not when a task is stopped. Rejected by `stopped_tasks`.
pub struct TaskByHand;

in_a_task!(TaskByHand: |name, work| {
    let span = below(name);
    let work = watched(span.clone(), work, RIGHT, |_, _| {});
    ByHand { span, guarded: true, work }
});

/// Spawns it itself, to make sure of it. Who spawns what he got, and stops that, has stopped nothing.
/// Rejected by `stopped_tasks`.
pub struct SpawnsItItself;

in_a_task!(SpawnsItItself: |name, work| {
    let (tell, told) = tokio::sync::oneshot::channel();
    let work = within(below(name), work, RIGHT, |_, _| {});
    async move {
        let task = tokio::spawn(async move { drop(tell.send(work.await)) });
        if let Err(ended) = task.await {
            std::panic::resume_unwind(ended.into_panic());
        }
        told.await.expect("a task that has ended well has told")
    }
});

/// The span in time, and the look at how it ends when there is something to be seen. A task that was
/// never begun, as nobody has polled it, has just ended. Rejected by `never_begun`.
pub struct WatchedWhenPolled;

in_a_task!(WatchedWhenPolled: |name, work| {
    let span = below(name);
    async move { within(span, work, RIGHT, |_, _| {}).await }
});

/// Entered for as long as the task goes on. It waits for its turn all day, and looks busy. Rejected by
/// `waiting_is_idle`.
pub struct BusyWaiting;

in_a_task!(BusyWaiting: |name, work| {
    let span = below(name);
    let work = watched(span.clone(), work, RIGHT, |_, _| {});
    async move {
        let _entered = Guard::enter(&span);
        work.await
    }
});

/// Takes the request along to the thread, and makes a step in it there. The request is as long as its
/// longest job. Rejected by `outlives`.
pub struct RequestComesAlong;

in_a_thread!(RequestComesAlong: |name, work| {
    let (request, span) = (Span::current(), below(name));
    let mut watch = Watch::over(span.clone(), RIGHT);
    move || {
        let done = request.in_scope(|| span.in_scope(|| watch.during(work)));
        watch.end();
        done
    }
});

/// `move || span.in_scope(work)`. A job that the pool has no time for is dropped, and what it gives back
/// is logged by somebody else. Rejected by `never_begun`.
pub struct DroppedOutside;

in_a_thread!(DroppedOutside: |name, work| {
    let span = below(name);
    let mut watch = Watch::over(span.clone(), RIGHT);
    move || {
        let done = span.in_scope(|| watch.during(work));
        watch.end();
        done
    }
});

/// Catches a job's panic, and panics anew, for a good message. Whoever handles the panic by what it holds
/// finds a text. Rejected by `clean_threads`.
pub struct PanicsInItsOwnWords;

in_a_thread!(PanicsInItsOwnWords: |name, work| {
    let span = below(name);
    let mut watch = Watch::over(span.clone(), RIGHT);
    move || {
        let ended = span.in_scope(|| {
            watch.during(|| std::panic::catch_unwind(AssertUnwindSafe(work)))
        });
        watch.end();
        ended.unwrap_or_else(|_| {
            fail(&span, "panic");
            panic!("the job {name} has panicked")
        })
    }
});
