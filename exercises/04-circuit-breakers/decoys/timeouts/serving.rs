//! Those who are wrong about a request that has come.

use super::right::right;
use circuit_breakers::BoxError;
use circuit_breakers::timeouts::{Deadline, Deadlines, Hop, Late, OneDeadline, TIME_LEFT};
use http::{HeaderMap, HeaderValue, Request};
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;
use tokio::time::sleep_until;

/// What most of them do right: asks the service when it is ready.
pub(super) async fn answer<S: Hop<B>, B>(
    mut service: S,
    request: Request<B>,
) -> Result<S::Response, BoxError> {
    poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
    service.call(request).await.map_err(Into::into)
}

/// What most of them do right: the earliest of the three.
pub(super) fn earliest<B>(request: &Request<B>, longest: Duration) -> Deadline {
    let told = Deadline::from_headers(request.headers());
    let known = request.extensions().get::<Deadline>().copied();
    [told, known].into_iter().flatten().fold(Deadline::in_time(longest), Deadline::min)
}

/// What most of them do right: behind the door there is a deadline, and no header.
pub(super) fn enter<B>(request: &mut Request<B>, deadline: Deadline) {
    request.headers_mut().remove(TIME_LEFT);
    request.extensions_mut().insert(deadline);
}

/// A decoy, by how it serves. It asks and spawns as it should.
macro_rules! serving {
    ($decoy:ident: |$service:ident, $request:ident, $longest:ident| $body:expr) => {
        impl Deadlines for $decoy {
            fn serve<S, B>(
                $service: S,
                #[allow(unused_mut)] mut $request: Request<B>,
                $longest: Duration,
            ) -> impl Future<Output = Result<S::Response, BoxError>> + Send
            where
                S: Hop<B>,
                B: Send + 'static,
            {
                $body
            }

            right!(ask);
            right!(spawn);
        }
    };
}

/// A decoy, by the deadline that it takes from a request. The rest is as it should be.
macro_rules! until {
    ($decoy:ident: |$request:ident, $longest:ident| $deadline:expr) => {
        serving!($decoy: |service, $request, $longest| {
            let deadline: Deadline = $deadline;
            enter(&mut $request, deadline);
            let work = deadline.within(answer(service, $request));
            async move { work.await? }
        });
    };
}

pub(super) use {serving, until};

/// A timeout in the configuration of each service, and nothing from outside: the caller has gone
/// for a minute, and the work goes on. Rejected by `the_earliest_counts`.
pub struct OwnLongestOnly;

until!(OwnLongestOnly: |request, longest| {
    match request.extensions().get::<Deadline>() {
        Some(known) => known.at_most(longest),
        None => Deadline::in_time(longest),
    }
});

/// The caller knows best. So a client that says an hour holds a place for an hour. Rejected by
/// `the_earliest_counts`.
pub struct BelievesTheCaller;

until!(BelievesTheCaller: |request, longest| {
    let known = request.extensions().get::<Deadline>().copied();
    let told = Deadline::from_headers(request.headers()).unwrap_or(Deadline::in_time(longest));
    known.map_or(told, |known| known.min(told))
});

/// Reads the header, which the outer of two layers has taken away: the one before this route gives
/// all its time anew. Rejected by `the_earliest_counts`.
pub struct ForgetsTheOuterLayer;

until!(ForgetsTheOuterLayer: |request, longest| {
    let own = Deadline::in_time(longest);
    Deadline::from_headers(request.headers()).map_or(own, |told| told.min(own))
});

/// As in so many configurations: 0 switches the timeout off. Rejected by `nothing_left`.
pub struct ZeroIsNoLimit;

until!(ZeroIsNoLimit: |request, longest| {
    let told = Deadline::from_headers(request.headers()).filter(|told| !told.is_over());
    let known = request.extensions().get::<Deadline>().copied();
    [told, known].into_iter().flatten().fold(Deadline::in_time(longest), Deadline::min)
});

/// What every value of the header is worth that `read` understands.
fn smallest(headers: &HeaderMap, read: fn(&str) -> Option<u64>) -> Option<Deadline> {
    let lines = headers.get_all(TIME_LEFT).iter().map(HeaderValue::as_bytes);
    let words = lines.flat_map(|line| line.split(|byte| *byte == b','));
    let millis = words.filter_map(|word| read(str::from_utf8(word).ok()?.trim()));
    Some(Deadline::in_time(Duration::from_millis(millis.min()?)))
}

pub(super) fn digits(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Parses an unsigned number. A caller that is late by a second sends -1000, which is none, so it
/// gets the longest time of all. Rejected by `nothing_left`.
pub struct BelowZeroIsOdd;

until!(BelowZeroIsOdd: |request, longest| {
    let told = smallest(request.headers(), |word| {
        digits(word).then(|| word.parse().unwrap_or(u64::MAX))
    });
    let known = request.extensions().get::<Deadline>().copied();
    [told, known].into_iter().flatten().fold(Deadline::in_time(longest), Deadline::min)
});

/// Milliseconds may have a fraction, so it is a floating point number; and `from_secs_f64` panics
/// where that is too large for a Duration. Rejected by `odd_headers`.
pub struct PanicsWhenHuge;

until!(PanicsWhenHuge: |request, longest| {
    let word = request.headers().get(TIME_LEFT).and_then(|line| line.to_str().ok());
    let seconds = word.and_then(|word| word.parse::<f64>().ok()).map(|millis| millis / 1e3);
    let told = seconds.map(|seconds| Deadline::in_time(Duration::from_secs_f64(seconds.max(0.0))));
    let known = request.extensions().get::<Deadline>().copied();
    [told, known].into_iter().flatten().fold(Deadline::in_time(longest), Deadline::min)
});

/// A header that cannot be read is a bad request, so nobody is served who comes through a proxy that
/// writes "250ms". Rejected by `odd_headers`.
pub struct RefusesWhatIsOdd;

serving!(RefusesWhatIsOdd: |service, request, longest| {
    let odd = request.headers().contains_key(TIME_LEFT)
        && Deadline::from_headers(request.headers()).is_none();
    let served = OneDeadline::serve(service, request, longest);
    async move { if odd { Err(Late.into()) } else { served.await } }
});

/// `headers.get` gives the first line; the others, and whatever stands behind a comma, are nobody's.
/// Rejected by `several_headers`.
pub struct FirstHeaderOnly;

until!(FirstHeaderOnly: |request, longest| {
    let mut first = HeaderMap::new();
    if let Some(line) = request.headers().get(TIME_LEFT) {
        first.insert(TIME_LEFT, line.clone());
    }
    let told = Deadline::from_headers(&first);
    let known = request.extensions().get::<Deadline>().copied();
    [told, known].into_iter().flatten().fold(Deadline::in_time(longest), Deadline::min)
});

/// An `async` block around everything: it runs when it is polled, and the clock starts then. What
/// has waited in a queue for a minute is as fresh as ever. Rejected by `queue_counts`.
pub struct ClockStartsWhenPolled;

serving!(ClockStartsWhenPolled: |service, request, longest| async move {
    OneDeadline::serve(service, request, longest).await
});

/// `tokio::time::timeout_at`, as everybody writes it. It polls the work first and looks at the clock
/// afterwards, so on a machine that is late itself each request does one more step for nobody.
/// Rejected by `busy_machine`.
pub struct TokiosTimeout;

serving!(TokiosTimeout: |service, request, longest| {
    let deadline = earliest(&request, longest);
    enter(&mut request, deadline);
    async move {
        if deadline.is_over() {
            return Err(Late.into());
        }
        match tokio::time::timeout_at(deadline.instant(), answer(service, request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Late.into()),
        }
    }
});

/// Answers with tokio's own error, which is as late, but which nobody knows how to ask for: the
/// retry and the breaker around it take it for something else. Rejected by `work_ends`.
pub struct ElapsedIsNotLate;

serving!(ElapsedIsNotLate: |service, request, longest| {
    let deadline = earliest(&request, longest);
    enter(&mut request, deadline);
    async move { tokio::time::timeout_at(deadline.instant(), answer(service, request)).await? }
});

/// In whole seconds, as most timeouts are configured. What has 900 ms left has none, and is refused
/// at once. Rejected by `work_ends`.
pub struct CountsInSeconds;

serving!(CountsInSeconds: |service, request, longest| {
    let deadline = earliest(&request, longest);
    enter(&mut request, deadline);
    let seconds = Duration::from_secs(deadline.left().as_secs());
    let work = Deadline::in_time(seconds).within(answer(service, request));
    async move { work.await? }
});

/// In a task of its own, so that it runs on another thread. The timeout ends the waiting for it, and
/// nothing else. Rejected by `work_ends`.
pub struct SpawnsTheWork;

serving!(SpawnsTheWork: |service, request, longest| {
    let deadline = earliest(&request, longest);
    enter(&mut request, deadline);
    async move {
        if deadline.is_over() {
            return Err(Late.into());
        }
        let task = tokio::spawn(answer(service, request));
        match tokio::time::timeout_at(deadline.instant(), task).await {
            Ok(answer) => answer?,
            Err(_) => Err(Late.into()),
        }
    }
});

/// In a task of its own, which it aborts when it is late. A caller that hangs up drops the future
/// before that, and what is dropped aborts nobody. Rejected by `cancelled_caller`.
pub struct AbortsWhenLate;

serving!(AbortsWhenLate: |service, request, longest| {
    let deadline = earliest(&request, longest);
    enter(&mut request, deadline);
    async move {
        if deadline.is_over() {
            return Err(Late.into());
        }
        let mut task = tokio::spawn(answer(service, request));
        match tokio::time::timeout_at(deadline.instant(), &mut task).await {
            Ok(answer) => answer?,
            Err(_) => {
                task.abort();
                Err(Late.into())
            }
        }
    }
});

/// Half a piece of work is worse than none, so what has begun is finished, behind the caller's back.
/// While Redis hangs, that is every request that ever came. Rejected by `hanging_redis`.
pub struct FinishesWhatItBegan;

serving!(FinishesWhatItBegan: |service, request, longest| {
    let deadline = earliest(&request, longest);
    enter(&mut request, deadline);
    async move {
        if deadline.is_over() {
            return Err(Late.into());
        }
        let mut work = Box::pin(answer(service, request));
        match tokio::time::timeout_at(deadline.instant(), &mut work).await {
            Ok(answer) => answer,
            Err(_) => {
                tokio::spawn(work);
                Err(Late.into())
            }
        }
    }
});

/// Reads the header, and leaves it where it was. Whoever passes on the headers that it got, passes
/// on what was left a while ago. Rejected by `served_in_time`.
pub struct LeavesTheHeader;

serving!(LeavesTheHeader: |service, request, longest| {
    let deadline = earliest(&request, longest);
    request.extensions_mut().insert(deadline);
    let work = deadline.within(answer(service, request));
    async move { work.await? }
});

/// One error for all that went wrong. So a declined card is late, and is tried again. Rejected by
/// `served_in_time`.
pub struct HidesErrors;

serving!(HidesErrors: |service, request, longest| {
    let served = OneDeadline::serve(service, request, longest);
    async move { served.await.map_err(|_| Late.into()) }
});

/// Waits until the service is ready, and starts the clock then. In front of a limit on concurrency
/// that is the whole queue. Rejected by `waiting_for_a_place`.
pub struct ReadyBeforeTheClock;

serving!(ReadyBeforeTheClock: |service, request, longest| {
    let deadline = earliest(&request, longest);
    enter(&mut request, deadline);
    async move {
        let mut service = service;
        if deadline.is_over() {
            return Err(Late.into());
        }
        poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
        deadline.within(async move { service.call(request).await.map_err(Into::into) }).await?
    }
});

/// An outer layer has computed the deadline, so there is nothing more to compute. This route's own
/// longest time, and what the caller says, are nobody's. Rejected by `the_earliest_counts`.
pub struct TheOuterLayerKnows;

until!(TheOuterLayerKnows: |request, longest| {
    let own = Deadline::in_time(longest);
    let told = Deadline::from_headers(request.headers()).map_or(own, |told| told.min(own));
    request.extensions().get::<Deadline>().copied().unwrap_or(told)
});

/// Parses an `i64`, and takes what does not fit for large, on either side of zero. Rejected by
/// `nothing_left`.
pub struct TooSmallIsLarge;

until!(TooSmallIsLarge: |request, longest| {
    let told = smallest(request.headers(), |word| {
        let whole = digits(word.strip_prefix('-').unwrap_or(word));
        whole.then(|| word.parse::<i64>().map_or(u64::MAX, |left| left.max(0).unsigned_abs()))
    });
    let known = request.extensions().get::<Deadline>().copied();
    [told, known].into_iter().flatten().fold(Deadline::in_time(longest), Deadline::min)
});

/// Answers in time, and lets go of the work when somebody lets go of the answer. A server that keeps
/// its futures in a list until all have ended keeps every permit as long. Rejected by `work_ends`.
pub struct HoldsWhatIsOver;

serving!(HoldsWhatIsOver: |service, request, longest| {
    let deadline = earliest(&request, longest);
    enter(&mut request, deadline);
    let mut work = Box::pin(answer(service, request));
    let mut timer = None;
    poll_fn(move |context| {
        if deadline.is_over() {
            return Poll::Ready(Err(Late.into()));
        }
        if let Poll::Ready(answer) = work.as_mut().poll(context) {
            return Poll::Ready(answer);
        }
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline.instant())));
        timer.as_mut().poll(context).map(|()| Err(Late.into()))
    })
});
