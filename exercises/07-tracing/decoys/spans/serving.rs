//! Those who are wrong about the request.

use super::right::{
    Ends, RIGHT, answer, below, door, fail, judge, judge_from, method, name, right, right_door,
    serving, within,
};
use observability::spans::{Route, Spans};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::sync::{Mutex, PoisonError};
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// Named by the path, as it is done where one has looked at three requests. Here every order has a name
/// of its own, and no two can be compared. Rejected by `the_request`.
pub struct NamedByThePath;

serving!(NamedByThePath: |service, request| {
    let name = format!("{} {}", request.method(), request.uri().path());
    let method = super::right::known_method(&request).unwrap_or("_OTHER").to_owned();
    let span = door(&request, &name, "server", &method);
    within(span, answer(service, request), RIGHT, judge)
});

/// The path as an attribute, with its query: what was in the link that resets a password is now in the
/// tracing, which half of the company may read. Rejected by `the_request`.
pub struct TellsThePath;

serving!(TellsThePath: |service, request| {
    let span = right_door(&request);
    span.record("url.path", tracing::field::display(request.uri()));
    within(span, answer(service, request), RIGHT, judge)
});

/// The method as it came. There are nine, and HTTP allows any word. Rejected by `the_request`.
pub struct AnyMethod;

serving!(AnyMethod: |service, request| {
    let method = request.method().to_string();
    let route = super::right::route(&request).unwrap_or_default();
    let name = format!("{method} {route}");
    let span = door(&request, name.trim_end(), "server", &method);
    within(span, answer(service, request), RIGHT, judge)
});

/// Says not on which side of the call it stands, so nobody can tell the time in the service from the
/// time on the wire. Rejected by `the_request`.
pub struct OfNoKind;

serving!(OfNoKind: |service, request| {
    let method = super::right::known_method(&request).unwrap_or("_OTHER").to_owned();
    let span = door(&request, &name(&request), "internal", &method);
    within(span, answer(service, request), RIGHT, judge)
});

/// A 404 is an error, is it not? Of the client. A crawler makes the service look broken. Rejected by
/// `failed_or_not`.
pub struct FourHundredsFail;

serving!(FourHundredsFail: |service, request| {
    let span = right_door(&request);
    within(span, answer(service, request), RIGHT, judge_from(400))
});

/// An answer is an answer; an error is an `Err`. A service that answers 503 all night has no failed
/// spans. Rejected by `failed_or_not`.
pub struct AnswersAreFine;

serving!(AnswersAreFine: |service, request| {
    let span = right_door(&request);
    within(span, answer(service, request), RIGHT, judge_from(u16::MAX))
});

/// The fields of which one knows something. What is recorded into a field that a span has not is lost
/// without a word. Rejected by `known_later`.
pub struct OnlyWhatIsKnown;

serving!(OnlyWhatIsKnown: |service, request| {
    let span = match request.extensions().get::<Route>() {
        Some(_) => right_door(&request),
        None => tracing::info_span!(
            parent: None,
            "request",
            otel.name = name(&request),
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = super::right::known_method(&request).unwrap_or("_OTHER"),
            http.response.status_code = Empty,
            error.type = Empty,
            cancelled = Empty,
        ),
    };
    within(span, answer(service, request), RIGHT, judge)
});

/// Waits until the service is ready before the span begins: the time in the queue, which is most of it
/// on a bad day, is nowhere. Rejected by `lines_within`.
pub struct WaitsOutside;

serving!(WaitsOutside: |service, request| {
    let span = right_door(&request);
    async move {
        poll_fn(|context| service.poll_ready(context)).await?;
        let answer = async move { service.call(request).await };
        within(span, answer, RIGHT, judge).await
    }
});

/// `service.call(request).instrument(span)`. The call itself runs before, and whatever it begins is
/// nobody's. Rejected by `lines_within`.
pub struct CallsOutside;

serving!(CallsOutside: |service, request| {
    let span = right_door(&request);
    async move {
        poll_fn(|context| service.poll_ready(context)).instrument(span.clone()).await?;
        let answer = service.call(request);
        within(span, answer, RIGHT, judge).await
    }
});

/// In a task, so that nobody who hangs up can stop it half way. A task inherits nothing. Rejected by
/// `beneath`.
pub struct BareSpawn;

serving!(BareSpawn: |service, request| {
    let span = right_door(&request);
    let (tell, told) = tokio::sync::oneshot::channel();
    let work = async move { drop(tell.send(answer(service, request).await)) };
    within(span, async move {
        tokio::spawn(work);
        told.await.expect("the service's own panic")
    }, RIGHT, judge)
});

/// The same, with its span. The customer has hung up, and the request goes on: its span says nothing
/// of that. Rejected by `hung_up`.
pub struct GoesOnAlone;

serving!(GoesOnAlone: |service, request| {
    let span = right_door(&request);
    let (tell, told) = tokio::sync::oneshot::channel();
    let answered = within(span, answer(service, request), RIGHT, judge);
    async move {
        tokio::spawn(async move { drop(tell.send(answered.await)) });
        told.await.expect("the service's own panic")
    }
});

/// A guard, entered once and held across every `.await`. That of `tracing` cannot be sent to another
/// thread, and the compiler says so; this one can. On its thread all requests are in it. Rejected by
/// `interleaved`.
pub struct GuardAcrossAwait;

/// Enters by hand, and leaves when it is dropped.
pub(super) struct Guard(pub(super) Span);

impl Guard {
    pub(super) fn enter(span: &Span) -> Guard {
        span.with_subscriber(|(id, dispatch)| dispatch.enter(id));
        Guard(span.clone())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.with_subscriber(|(id, dispatch)| dispatch.exit(id));
    }
}

serving!(GuardAcrossAwait: |service, request| {
    let span = right_door(&request);
    let work = super::right::watched(span.clone(), answer(service, request), RIGHT, judge);
    async move {
        let _entered = Guard::enter(&span);
        work.await
    }
});

/// A table of all requests that are under way, for the operator. Who answers is taken out of it. Who
/// hangs up answers nobody, and the table keeps the span. Rejected by `hung_up`.
pub struct InATable;

static UNDER_WAY: Mutex<Vec<Span>> = Mutex::new(Vec::new());

serving!(InATable: |service, request| {
    let span = right_door(&request);
    let under_way = || UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
    under_way().push(span.clone());
    let listed = span.clone();
    let answered = within(span, answer(service, request), RIGHT, judge);
    async move {
        let answered = answered.await;
        under_way().retain(|span| *span != listed);
        answered
    }
});

/// Whatever ends without an answer has just ended. Rejected by `hung_up`.
pub struct SaysNothing;

serving!(SaysNothing: |service, request| {
    let ends = Ends { cancelled: |_| {}, ..RIGHT };
    within(right_door(&request), answer(service, request), ends, judge)
});

/// No answer, so it is an error. The alarm rings when the customers' train enters a tunnel. Rejected by
/// `hung_up`.
pub struct HangingUpIsAnError;

serving!(HangingUpIsAnError: |service, request| {
    let cancelled = |span: &Span| {
        span.record("cancelled", true);
        fail(span, "cancelled");
    };
    let ends = Ends { cancelled, ..RIGHT };
    within(right_door(&request), answer(service, request), ends, judge)
});

/// A panic drops the future, so it was cancelled. Rejected by `unwinding`.
pub struct PanicsAreCancelled;

serving!(PanicsAreCancelled: |service, request| {
    let ends = Ends { panicked: RIGHT.cancelled, ..RIGHT };
    within(right_door(&request), answer(service, request), ends, judge)
});

/// Makes a trace of its own for each request, whoever has sent it. Rejected by `from_elsewhere`.
pub struct AlwaysARoot;

serving!(AlwaysARoot: |service, request| {
    request.extensions_mut().remove::<observability::spans::Place>();
    within(right_door(&request), answer(service, request), RIGHT, judge)
});

/// The caller's place as an attribute: the two have to do with each other. Which of them waited for which is
/// lost. Rejected by `from_elsewhere`.
pub struct CallerAsAField;

serving!(CallerAsAField: |service, request| {
    let caller = request.extensions_mut().remove::<observability::spans::Place>();
    let span = right_door(&request);
    if let Some(caller) = caller {
        span.record("url.path", tracing::field::display(caller));
    }
    within(span, answer(service, request), RIGHT, judge)
});

/// The span of the request in a thread-local, and steps hang beneath it. While the request waits, the
/// thread does something else, and that is somebody's. Rejected by `nobodys`.
pub struct OnTheThread;

thread_local! {
    static REQUEST: RefCell<Option<Span>> = const { RefCell::new(None) };
}

impl Spans for OnTheThread {
    method!(serve(service, request) {
        let span = right_door(&request);
        let answered = within(span.clone(), answer(service, request), RIGHT, judge);
        async move {
            REQUEST.set(Some(span));
            let answered = answered.await;
            REQUEST.take();
            answered
        }
    });

    method!(step(name, work) {
        let here = Span::current();
        let span = REQUEST.with_borrow(|request| match request {
            Some(request) if here.is_none() => request.in_scope(|| below(name)),
            _ => below(name),
        });
        within(span, work, RIGHT, super::right::judge_step)
    });

    right!(in_task, in_thread);
}
