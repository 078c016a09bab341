//! Those who are wrong at the edges: an odd letter, a long time, a moment too early or too late, and
//! whose time it is.

use super::asking::{asking, ready, shorter, telling, whole};
use super::right::right;
use super::serving::{answer, digits, earliest, enter, serving, until};
use circuit_breakers::BoxError;
use circuit_breakers::timeouts::{Deadline, Deadlines, Hop, Late, OneDeadline, TIME_LEFT};
use http::{HeaderMap, Request};
use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::time::sleep_until;

/// `to_str`, as everybody reads a header. It takes ASCII only, so one odd letter of one proxy makes
/// the whole line unreadable, with the number that stands in it. Rejected by `several_headers`.
pub struct OneOddLetter;

until!(OneOddLetter: |request, longest| {
    let lines = request.headers().get_all(TIME_LEFT).iter();
    let words = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let millis = words.map(str::trim).filter_map(|word| {
        let whole = word.strip_prefix('-').unwrap_or(word);
        digits(whole).then(|| match whole == word {
            true => word.parse().unwrap_or(u64::MAX),
            false => 0,
        })
    });
    let told = millis.min().map(|millis| Deadline::in_time(Duration::from_millis(millis)));
    let known = request.extensions().get::<Deadline>().copied();
    [told, known].into_iter().flatten().fold(Deadline::in_time(longest), Deadline::min)
});

/// 32 bits are enough for any timeout. "No limit" is one as well, and what is left of it in 32 bits
/// may be a second. Rejected by `rounded_down`.
pub struct NarrowNumber;

telling!(NarrowNumber: |deadline, headers| {
    match deadline.left().as_millis() {
        0 => return Err(Late.into()),
        millis => headers.insert(TIME_LEFT, whole((millis as u32).into())),
    };
});

/// Looks whether something is left, connects, and writes down what is left: nothing, now and then.
/// The next hop is called in order to refuse. Rejected by `connecting_takes_all`.
pub struct LooksThenConnects;

asking!(LooksThenConnects: |service, request, patience| {
    let deadline = shorter(&request, patience);
    let answer = deadline.within(async move {
        if deadline.left().as_millis() == 0 {
            return Err(Late.into());
        }
        ready(&mut service).await?;
        request.headers_mut().insert(TIME_LEFT, whole(deadline.left().as_millis()));
        request.extensions_mut().insert(deadline);
        service.call(request).await.map_err(Into::into)
    });
    async move { answer.await? }
});

/// A timeout for the place, and one for the work. A machine that is late finds the place free, and
/// has called before it looks at the clock again. Rejected by `ready_too_late`.
pub struct EntersAndThenLooks;

serving!(EntersAndThenLooks: |service, request, longest| {
    let deadline = earliest(&request, longest);
    enter(&mut request, deadline);
    async move {
        let mut service = service;
        if deadline.is_over() {
            return Err(Late.into());
        }
        let place = poll_fn(|context| service.poll_ready(context));
        let place = tokio::time::timeout_at(deadline.instant(), place).await;
        place.map_err(|_| Late)?.map_err(Into::into)?;
        deadline.within(service.call(request)).await?.map_err(Into::into)
    }
});

/// What `tokio::spawn` has begun to connect is there for whoever comes next. Where nobody answers,
/// each call leaves behind one who connects for ever. Rejected by `connecting_counts`.
pub struct ConnectsInATask;

asking!(ConnectsInATask: |service, request, patience| {
    let deadline = shorter(&request, patience);
    let answer = deadline.within(async move {
        let connects = tokio::spawn(async move {
            let connected: Result<(), BoxError> = ready(&mut service).await;
            connected.map(|()| service)
        });
        let mut service = connects.await??;
        if deadline.tell(request.headers_mut()).is_err() {
            std::future::pending::<()>().await;
        }
        request.extensions_mut().insert(deadline);
        service.call(request).await.map_err(Into::into)
    });
    async move { answer.await? }
});

/// The same at the door, where it is a place in a queue: the task gets it in the end, for a request
/// that was answered long ago. Rejected by `waiting_for_a_place`.
pub struct WaitsInATask;

serving!(WaitsInATask: |service, request, longest| {
    let deadline = earliest(&request, longest);
    enter(&mut request, deadline);
    let answer = deadline.within(async move {
        let waits = tokio::spawn(async move {
            let mut service = service;
            let ready = poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into);
            ready.map(|()| service)
        });
        let waited: Result<S, BoxError> = waits.await?;
        waited?.call(request).await.map_err(Into::into)
    });
    async move { answer.await? }
});

/// Answers in time, and lets go of the call when somebody lets go of the answer: until then a
/// connection is taken on which nobody reads. Rejected by `patience_or_deadline`.
pub struct HoldsTheCall;

asking!(HoldsTheCall: |service, request, patience| {
    let deadline = shorter(&request, patience);
    let mut asked = Box::pin(async move {
        ready(&mut service).await?;
        if deadline.tell(request.headers_mut()).is_err() {
            std::future::pending::<()>().await;
        }
        request.extensions_mut().insert(deadline);
        service.call(request).await.map_err(Into::into)
    });
    let mut timer = None;
    poll_fn(move |context| {
        if deadline.is_over() {
            return Poll::Ready(Err(Late.into()));
        }
        if let Poll::Ready(answer) = asked.as_mut().poll(context) {
            return Poll::Ready(answer);
        }
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline.instant())));
        timer.as_mut().poll(context).map(|()| Err(Late.into()))
    })
});

/// Gives up a little earlier, for the way back. Each hop takes off as much again, and what was
/// answered in time has come too late. Rejected by `patience_or_deadline`.
pub struct GivesUpEarly;

asking!(GivesUpEarly: |service, request, patience| {
    let deadline = shorter(&request, patience);
    let margin = deadline.left().mul_f64(0.9);
    let answer = deadline.at_most(margin).within(async move {
        ready(&mut service).await?;
        deadline.tell(request.headers_mut())?;
        request.extensions_mut().insert(deadline);
        service.call(request).await.map_err(Into::into)
    });
    async move { answer.await? }
});

/// The caller needs the other half for itself. Nobody has said so, and a task that would have been
/// done is aborted. Rejected by `task_ends`.
pub struct HalfForTheTask;

impl Deadlines for HalfForTheTask {
    right!(serve);
    right!(ask);

    fn spawn<T: Send + 'static>(
        deadline: Deadline,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Late>> + Send {
        OneDeadline::spawn(deadline.at_most(deadline.left() / 2), work)
    }
}

/// "The deadline" of the process, so that nobody has to hand it on: what serves writes it down, and
/// what asks reads it. With two requests at once it is that of the other one. Rejected by
/// `requests_apart`.
pub struct TheLatestRequest;

static CURRENT: Mutex<Option<Deadline>> = Mutex::new(None);

impl Deadlines for TheLatestRequest {
    fn serve<S, B>(
        service: S,
        mut request: Request<B>,
        longest: Duration,
    ) -> impl Future<Output = Result<S::Response, BoxError>> + Send
    where
        S: Hop<B>,
        B: Send + 'static,
    {
        let deadline = earliest(&request, longest);
        enter(&mut request, deadline);
        let work = deadline.within(async move {
            *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = Some(deadline);
            answer(service, request).await
        });
        async move { work.await? }
    }

    fn ask<S, B>(
        service: S,
        request: Request<B>,
        patience: Duration,
    ) -> impl Future<Output = Result<S::Response, BoxError>> + Send
    where
        S: Hop<B>,
        B: Send + 'static,
    {
        let current = *CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        let patience = match current {
            Some(deadline) if !deadline.is_over() => deadline.left().min(patience),
            _ => patience,
        };
        OneDeadline::ask(service, request, patience)
    }

    right!(spawn);
}
