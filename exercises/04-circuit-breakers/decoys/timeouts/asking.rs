//! Those who are wrong about the next hop.

use super::right::right;
use circuit_breakers::BoxError;
use circuit_breakers::timeouts::{Deadline, Deadlines, Hop, Late, TIME_LEFT};
use http::{HeaderMap, HeaderValue, Request};
use std::future::poll_fn;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What most of them do right: the shorter of the two.
pub(super) fn shorter<B>(request: &Request<B>, patience: Duration) -> Deadline {
    match request.extensions().get::<Deadline>() {
        Some(deadline) => deadline.at_most(patience),
        None => Deadline::in_time(patience),
    }
}

pub(super) async fn ready<S: Hop<B>, B>(service: &mut S) -> Result<(), BoxError> {
    poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)
}

/// A decoy, by how it asks. It serves and spawns as it should.
macro_rules! asking {
    ($decoy:ident: |$service:ident, $request:ident, $patience:ident| $body:expr) => {
        impl Deadlines for $decoy {
            fn ask<S, B>(
                #[allow(unused_mut)] mut $service: S,
                #[allow(unused_mut)] mut $request: Request<B>,
                $patience: Duration,
            ) -> impl Future<Output = Result<S::Response, BoxError>> + Send
            where
                S: Hop<B>,
                B: Send + 'static,
            {
                $body
            }

            right!(serve);
            right!(spawn);
        }
    };
}

/// A decoy, by what it writes into the header. The rest is as it should be.
macro_rules! telling {
    ($decoy:ident: |$deadline:ident, $headers:ident| $tell:expr) => {
        asking!($decoy: |service, request, patience| {
            let deadline = shorter(&request, patience);
            let answer = deadline.within(async move {
                ready(&mut service).await?;
                {
                    let ($deadline, $headers): (Deadline, &mut HeaderMap) =
                        (deadline, request.headers_mut());
                    $tell
                }
                request.extensions_mut().insert(deadline);
                service.call(request).await.map_err(Into::into)
            });
            async move { answer.await? }
        });
    };
}

pub(super) fn whole(millis: u128) -> HeaderValue {
    HeaderValue::from(u64::try_from(millis).unwrap_or(u64::MAX))
}

pub(super) use {asking, telling};

/// Rounded up, so that nobody is cut short. Each hop has up to a millisecond more than its caller,
/// and a chain of retries never runs out. Rejected by `rounded_down`.
pub struct RoundsUp;

telling!(RoundsUp: |deadline, headers| {
    if deadline.left().as_millis() == 0 {
        return Err(Late.into());
    }
    headers.insert(TIME_LEFT, whole(deadline.left().as_nanos().div_ceil(1_000_000)));
});

/// As floating point does it: half of the hops have more time than there is. Rejected by
/// `rounded_down`.
pub struct RoundsToNearest;

telling!(RoundsToNearest: |deadline, headers| {
    if deadline.left().as_millis() == 0 {
        return Err(Late.into());
    }
    headers.insert(TIME_LEFT, whole((deadline.left().as_secs_f64() * 1e3).round() as u128));
});

/// In seconds, as HTTP counts elsewhere. Nobody has ever asked what the number is. Rejected by
/// `rounded_down`.
pub struct WholeSeconds;

telling!(WholeSeconds: |deadline, headers| {
    if deadline.left().as_millis() == 0 {
        return Err(Late.into());
    }
    headers.insert(TIME_LEFT, whole(deadline.left().as_secs().into()));
});

/// The moment itself, in milliseconds since 1970. It saves the next hop a calculation, and is wrong
/// by as much as the two clocks are apart. Rejected by `rounded_down`.
pub struct TimeOfDay;

telling!(TimeOfDay: |deadline, headers| {
    let then = SystemTime::now() + deadline.left();
    let since = then.duration_since(UNIX_EPOCH).unwrap_or_default();
    headers.insert(TIME_LEFT, whole(since.as_millis()));
});

/// Adds its own to those that are there. Rejected by `one_header`.
pub struct AppendsTheHeader;

telling!(AppendsTheHeader: |deadline, headers| {
    if deadline.left().as_millis() == 0 {
        return Err(Late.into());
    }
    headers.append(TIME_LEFT, whole(deadline.left().as_millis()));
});

/// A time that stands there already was set by somebody who knew. It stood there when the request
/// came, and since then it has got old. Rejected by `less_at_each_hop`, for here the serving side
/// leaves it.
pub struct KeepsTheOldHeader;

impl Deadlines for KeepsTheOldHeader {
    fn serve<S, B>(
        mut service: S,
        mut request: Request<B>,
        longest: Duration,
    ) -> impl Future<Output = Result<S::Response, BoxError>> + Send
    where
        S: Hop<B>,
        B: Send + 'static,
    {
        let mut deadline = shorter(&request, longest);
        if let Some(told) = Deadline::from_headers(request.headers()) {
            deadline = deadline.min(told);
        }
        request.extensions_mut().insert(deadline);
        let work = deadline.within(async move {
            ready(&mut service).await?;
            service.call(request).await.map_err(Into::into)
        });
        async move { work.await? }
    }

    fn ask<S, B>(
        mut service: S,
        mut request: Request<B>,
        patience: Duration,
    ) -> impl Future<Output = Result<S::Response, BoxError>> + Send
    where
        S: Hop<B>,
        B: Send + 'static,
    {
        let deadline = shorter(&request, patience);
        let answer = deadline.within(async move {
            ready(&mut service).await?;
            if !request.headers().contains_key(TIME_LEFT) {
                deadline.tell(request.headers_mut())?;
            }
            request.extensions_mut().insert(deadline);
            service.call(request).await.map_err(Into::into)
        });
        async move { answer.await? }
    }

    right!(spawn);
}

/// Nothing left is told as "1", so that the next hop does not take it for "no limit". Nobody waits
/// for what it does then. Rejected by `not_asked_too_late`.
pub struct AsksWithNothingLeft;

telling!(AsksWithNothingLeft: |deadline, headers| {
    headers.insert(TIME_LEFT, whole(deadline.left().as_millis().max(1)));
});

/// The header is written first, with all the others. Then the connection takes its time. Rejected by
/// `told_after_connecting`.
pub struct CountsBeforeConnecting;

asking!(CountsBeforeConnecting: |service, request, patience| {
    let deadline = shorter(&request, patience);
    let answer = deadline.within(async move {
        deadline.tell(request.headers_mut())?;
        request.extensions_mut().insert(deadline);
        ready(&mut service).await?;
        service.call(request).await.map_err(Into::into)
    });
    async move { answer.await? }
});

/// Each call has a timeout, and it is the configured one, whatever is left. Rejected by
/// `patience_or_deadline`.
pub struct OnlyItsOwnPatience;

asking!(OnlyItsOwnPatience: |service, request, patience| {
    let deadline = Deadline::in_time(patience);
    let answer = deadline.within(async move {
        ready(&mut service).await?;
        deadline.tell(request.headers_mut())?;
        request.extensions_mut().insert(deadline);
        service.call(request).await.map_err(Into::into)
    });
    async move { answer.await? }
});

/// There is a deadline, so a timeout is no longer needed. A hop that hangs now costs all the time
/// there is, and none is left to try another. Rejected by `patience_or_deadline`.
pub struct OnlyTheDeadline;

asking!(OnlyTheDeadline: |service, request, patience| {
    let known = request.extensions().get::<Deadline>().copied();
    let deadline = known.unwrap_or_else(|| Deadline::in_time(patience));
    let answer = deadline.within(async move {
        ready(&mut service).await?;
        deadline.tell(request.headers_mut())?;
        request.extensions_mut().insert(deadline);
        service.call(request).await.map_err(Into::into)
    });
    async move { answer.await? }
});

/// A timeout around the call, as `tower::timeout` has it. The connection is made before, and has
/// none. Rejected by `connecting_counts`.
pub struct ConnectsWithoutTimeout;

asking!(ConnectsWithoutTimeout: |service, request, patience| {
    let deadline = shorter(&request, patience);
    async move {
        if deadline.is_over() {
            return Err(Late.into());
        }
        ready(&mut service).await?;
        deadline.tell(request.headers_mut())?;
        request.extensions_mut().insert(deadline);
        deadline.within(service.call(request)).await?.map_err(Into::into)
    }
});

/// Hands out tokio's own error, as `?` does it by itself. Whoever asks the error whether it was
/// lateness hears no. Rejected by `connecting_counts`.
pub struct SilenceIsAnError;

asking!(SilenceIsAnError: |service, request, patience| {
    let deadline = shorter(&request, patience);
    async move {
        tokio::time::timeout_at(deadline.instant(), async move {
            ready(&mut service).await?;
            deadline.tell(request.headers_mut())?;
            request.extensions_mut().insert(deadline);
            service.call(request).await.map_err(Into::into)
        })
        .await?
    }
});

/// `tokio::time::timeout_at`, with the right error. It polls the work first: late as it is, it sends
/// one more request, or delivers an answer that nobody waits for. Rejected by `busy_machine`.
pub struct AsksAndThenLooks;

asking!(AsksAndThenLooks: |service, request, patience| {
    let deadline = shorter(&request, patience);
    async move {
        if deadline.is_over() {
            return Err(Late.into());
        }
        let asked = tokio::time::timeout_at(deadline.instant(), async move {
            ready(&mut service).await?;
            deadline.tell(request.headers_mut())?;
            request.extensions_mut().insert(deadline);
            service.call(request).await.map_err(Into::into)
        });
        asked.await.unwrap_or(Err(Late.into()))
    }
});

/// `call` is enough in every test, for what is tested is always ready. Rejected by `asked_in_time`.
pub struct CallsWhatIsNotReady;

asking!(CallsWhatIsNotReady: |service, request, patience| {
    let deadline = shorter(&request, patience);
    let answer = deadline.within(async move {
        deadline.tell(request.headers_mut())?;
        request.extensions_mut().insert(deadline);
        service.call(request).await.map_err(Into::into)
    });
    async move { answer.await? }
});

/// Keeps to the deadline itself, and tells the next hop the timeout that is configured for it. The
/// caller is answered in time, every graph is green, and three hops away the work goes on. Rejected
/// by `one_deadline`.
pub struct FreshTimeoutAtEachHop;

asking!(FreshTimeoutAtEachHop: |service, request, patience| {
    let deadline = shorter(&request, patience);
    let answer = deadline.within(async move {
        ready(&mut service).await?;
        request.headers_mut().insert(TIME_LEFT, whole(patience.as_millis()));
        request.extensions_mut().insert(deadline);
        service.call(request).await.map_err(Into::into)
    });
    async move { answer.await? }
});

/// Asks in a task of its own, so that a panic over there stays there. When the caller hangs up, what
/// it has asked for goes on: the handle is dropped, and the task is not. Rejected by
/// `cancelled_caller`.
pub struct AsksInATask;

asking!(AsksInATask: |service, request, patience| {
    let deadline = shorter(&request, patience);
    async move {
        if deadline.is_over() {
            return Err(Late.into());
        }
        let mut task = tokio::spawn(async move {
            ready(&mut service).await?;
            deadline.tell(request.headers_mut())?;
            request.extensions_mut().insert(deadline);
            service.call(request).await.map_err(Into::into)
        });
        match deadline.within(&mut task).await {
            Ok(answer) => answer?,
            Err(late) => {
                task.abort();
                Err(late.into())
            }
        }
    }
});
