//! Those who are wrong about a step.

use super::right::{
    Ends, RIGHT, answer, below, fail, judge, judge_step, method, right, right_door, watched, within,
};
use super::serving::Guard;
use observability::spans::Spans;
use pin_project_lite::pin_project;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tracing::field::{Empty, display};
use tracing::{Instrument, Span};

/// A decoy, by what it does with a step.
macro_rules! stepping {
    ($decoy:ident: |$name:ident, $work:ident| $step:expr) => {
        impl Spans for $decoy {
            method!(step($name, $work) { $step });
            right!(serve, in_task, in_thread);
        }
    };
}

/// `parent: None`, from the example in the documentation. Each step is a trace of its own, and each of
/// them is right. Rejected by `beneath`.
pub struct EachARoot;

stepping!(EachARoot: |name, work| {
    let span = tracing::info_span!(
        parent: None,
        "step",
        otel.name = name,
        otel.status_code = Empty,
        otel.status_description = Empty,
        error.type = Empty,
        cancelled = Empty,
    );
    within(span, work, RIGHT, judge_step)
});

/// `span.in_scope(|| work).await`: what is in the scope is the *making* of the future, which does
/// nothing. Rejected by `beneath`.
pub struct ScopeOfTheMaking;

stepping!(ScopeOfTheMaking: |name, work| {
    let span = below(name);
    let work = span.in_scope(|| work);
    watched(span.clone(), work, RIGHT, judge_step)
});

/// Makes the span, keeps it until the end, and never enters it. Its own time is right. Rejected by
/// `beneath`.
pub struct NeverEntered;

stepping!(NeverEntered: |name, work| {
    let span = below(name);
    let work = watched(span.clone(), work, RIGHT, judge_step);
    async move {
        let ended = work.await;
        drop(span);
        ended
    }
});

/// A span for each name, made once. The second round goes on in the span of the first. Rejected by
/// `beneath`.
pub struct OncePerName;

thread_local! {
    static MADE: RefCell<BTreeMap<&'static str, Span>> = const { RefCell::new(BTreeMap::new()) };
}

stepping!(OncePerName: |name, work| {
    let made = MADE.with_borrow_mut(|made| made.entry(name).or_insert_with(|| below(name)).clone());
    within(made, work, RIGHT, judge_step)
});

/// Beneath the request, each of them. One level is enough for the first picture. Rejected by `down`.
pub struct AllBeneathTheRequest;

tokio::task_local! {
    static REQUEST: Span;
}

impl Spans for AllBeneathTheRequest {
    method!(serve(service, request) {
        let span = right_door(&request);
        let answered = REQUEST.scope(span.clone(), answer(service, request));
        within(span, answered, RIGHT, judge)
    });

    method!(step(name, work) {
        let span = match REQUEST.try_with(Clone::clone) {
            Ok(request) => request.in_scope(|| {
                tracing::info_span!(
                    parent: &request,
                    "step",
                    otel.name = name,
                    otel.status_code = Empty,
                    otel.status_description = Empty,
                    error.type = Empty,
                    cancelled = Empty,
                )
            }),
            Err(_) => below(name),
        };
        within(span, work, RIGHT, judge_step)
    });

    right!(in_task, in_thread);
}

/// Beneath the step that was begun last in this task, if that has not ended. Of three at once the third
/// hangs beneath the second. Rejected by `beside`.
pub struct BeneathTheLast;

tokio::task_local! {
    static BEGUN: RefCell<Vec<Span>>;
}

/// Takes its span from the list when it is dropped.
struct Listed(Span);

impl Drop for Listed {
    fn drop(&mut self) {
        let _ = BEGUN.try_with(|begun| begun.borrow_mut().retain(|span| *span != self.0));
    }
}

impl Spans for BeneathTheLast {
    method!(serve(service, request) {
        let span = right_door(&request);
        let answered = BEGUN.scope(RefCell::default(), answer(service, request));
        within(span, answered, RIGHT, judge)
    });

    method!(step(name, work) {
        let last = BEGUN.try_with(|begun| begun.borrow().last().cloned()).ok().flatten();
        let span = last.map_or_else(|| below(name), |last| last.in_scope(|| below(name)));
        let listed = Listed(span.clone());
        let _ = BEGUN.try_with(|begun| begun.borrow_mut().push(span.clone()));
        let work = within(span, work, RIGHT, judge_step);
        async move {
            let _listed = listed;
            work.await
        }
    });

    right!(in_task, in_thread);
}

/// An `async fn`. It begins when it is polled, and asks then whose step it is. Rejected by
/// `polled_elsewhere`.
pub struct AsksWhenPolled;

stepping!(AsksWhenPolled: |name, work| async move {
    within(below(name), work, RIGHT, judge_step).await
});

/// Entered when the work begins, left when it ends, and held in between. The compiler refuses that for
/// the guard of `tracing`; for an own one it does not. Whoever waits looks busy. Rejected by
/// `waiting_is_idle`.
pub struct HeldWhileItWaits;

stepping!(HeldWhileItWaits: |name, work| {
    let span = below(name);
    let work = watched(span.clone(), work, RIGHT, judge_step);
    async move {
        let _entered = Guard::enter(&span);
        work.await
    }
});

/// Of level `DEBUG`: steps are details. In production they are not made. Rejected by `quiet_log`.
pub struct StepsAreDetails;

stepping!(StepsAreDetails: |name, work| {
    let span = tracing::debug_span!(
        "step",
        otel.name = name,
        otel.status_code = Empty,
        otel.status_description = Empty,
        error.type = Empty,
        cancelled = Empty,
    );
    within(span, work, RIGHT, judge_step)
});

/// Somebody always listens. In a test, or a tool that has no log, nobody does. Rejected by `quiet_log`.
pub struct SomebodyListens;

stepping!(SomebodyListens: |name, work| {
    let span = below(name);
    let id = span.id().expect("a span has an id");
    let judged = move |span: &Span, ended: &Result<T, E>| {
        if span.id().as_ref() == Some(&id) {
            judge_step(span, ended);
        }
    };
    within(span, work, RIGHT, judged)
});

/// The caller gets the error, and will say so. The tree is green from top to bottom. Rejected by
/// `errors`.
pub struct ErrorsAreTheCallers;

stepping!(ErrorsAreTheCallers: |name, work| within(below(name), work, RIGHT, |_, _| {}));

/// Logged as an error, and the span has an event. Who searches for spans that failed finds none.
/// Rejected by `errors`.
pub struct ErrorsAreLogged;

stepping!(ErrorsAreLogged: |name, work| {
    within(below(name), work, RIGHT, |_, ended| {
        if let Err(error) = ended {
            tracing::error!(%error, "failed");
        }
    })
});

/// Failed, without a word why. Rejected by `errors`.
pub struct FailedWithoutAWord;

stepping!(FailedWithoutAWord: |name, work| {
    within(below(name), work, RIGHT, |span, ended| {
        if ended.is_err() {
            fail(span, std::any::type_name::<E>());
        }
    })
});

/// The text of the error as its type. There are as many texts as there are orders. Rejected by `errors`.
pub struct TextAsType;

stepping!(TextAsType: |name, work| {
    within(below(name), work, RIGHT, |span, ended| {
        if let Err(error) = ended {
            fail(span, &error.to_string());
            span.record("otel.status_description", display(error));
        }
    })
});

/// Who has a failed child has failed. The one that found another warehouse has not. Rejected by
/// `errors`.
pub struct FailsAllTheWayUp;

stepping!(FailsAllTheWayUp: |name, work| {
    let above = Span::current();
    within(below(name), work, RIGHT, move |span, ended| {
        judge_step(span, ended);
        judge_step(&above, ended);
    })
});

/// `work.instrument(span)` as it is: it holds the span until it is dropped. Who polls it by reference,
/// as `select!` does, keeps it for longer. Rejected by `with_its_work`.
pub struct EndsWhenDropped;

stepping!(EndsWhenDropped: |name, work| {
    let span = below(name);
    watched(span.clone(), work, RIGHT, judge_step).instrument(span)
});

/// A panic is when the thread unwinds. While one step's does, its siblings are dropped, and they have
/// done nothing wrong. Rejected by `unwinding`.
pub struct WhileUnwinding;

stepping!(WhileUnwinding: |name, work| {
    let ends = Ends { by_the_thread: true, ..RIGHT };
    within(below(name), work, ends, judge_step)
});

pin_project! {
    /// Enters at each poll, by hand.
    pub(super) struct ByHand<F> {
        pub(super) span: Span,
        pub(super) guarded: bool,
        #[pin]
        pub(super) work: F,
    }
}

impl<F: Future> Future for ByHand<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if *this.guarded {
            let _entered = this.span.enter();
            return this.work.poll(context);
        }
        this.span.with_subscriber(|(id, dispatch)| dispatch.enter(id));
        let polled = this.work.poll(context);
        this.span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
        polled
    }
}

/// Entered at each poll and at no other time. Who hangs up polls nothing: what is given back when the
/// future is dropped is logged by somebody else. Rejected by `hung_up`.
pub struct PolledOnly;

stepping!(PolledOnly: |name, work| {
    let span = below(name);
    let work = watched(span.clone(), work, RIGHT, judge_step);
    ByHand { span, guarded: true, work }
});

/// Left in the line after the poll. A panic does not come that far, and the thread goes on in the span
/// of whoever met it. Rejected by `unwinding`.
pub struct LeftInTheNextLine;

stepping!(LeftInTheNextLine: |name, work| {
    let span = below(name);
    let work = watched(span.clone(), work, RIGHT, judge_step);
    ByHand { span, guarded: false, work }
});
