//! Those who are wrong about the service behind the limit.

use super::usual::{self, Usual};
use http::{Request, Response, StatusCode};
use rate_limiting::http_limits::{Handler, HttpLimits, Limits};
use rate_limiting::limiter::{By, Limiter};
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;

type Answering<O, E> = Pin<Box<dyn Future<Output = Result<Response<O>, E>> + Send>>;

/// How one of them calls the service. The rest of tower's boilerplate is the same.
trait Calling: Send + Sync + 'static {
    fn call<L, S, I, O>(
        inner: &mut S,
        limits: Arc<Limits<L>>,
        request: Request<I>,
    ) -> Answering<O, S::Error>
    where
        L: Limiter,
        S: Service<Request<I>, Response = Response<O>, Future: Send> + Clone + Send + 'static,
        I: Send + 'static,
        O: From<String> + Send + 'static;
}

struct Limited<C, L, S> {
    inner: S,
    limits: Arc<Limits<L>>,
    calling: PhantomData<C>,
}

impl<C, L, S: Clone> Clone for Limited<C, L, S> {
    fn clone(&self) -> Self {
        let (inner, limits) = (self.inner.clone(), Arc::clone(&self.limits));
        Limited { inner, limits, calling: PhantomData }
    }
}

impl<C, L, S, I, O> Service<Request<I>> for Limited<C, L, S>
where
    C: Calling,
    L: Limiter,
    S: Service<Request<I>, Response = Response<O>, Future: Send> + Clone + Send + 'static,
    I: Send + 'static,
    O: From<String> + Send + 'static,
{
    type Response = Response<O>;
    type Error = S::Error;
    type Future = Answering<O, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<I>) -> Self::Future {
        C::call(&mut self.inner, Arc::clone(&self.limits), request)
    }
}

struct Plain;

impl Usual for Plain {}

/// The usual way, with the service that is ready.
async fn usually<L, S, I, O>(
    mut ready: S,
    limits: Arc<Limits<L>>,
    request: Request<I>,
) -> Result<Response<O>, S::Error>
where
    L: Limiter,
    S: Service<Request<I>, Response = Response<O>>,
    O: From<String> + Send + 'static,
{
    let (head, body) = request.into_parts();
    let Some(cost) = limits.rules.cost(&head) else {
        return ready.call(Request::from_parts(head, body)).await;
    };
    let decision = limits.limiter.decide(&Plain::key(&limits, &head), cost).await;
    if !decision.allowed {
        return Ok(Plain::refuse(&limits.policy, &decision));
    }
    let mut response = ready.call(Request::from_parts(head, body)).await?;
    if decision.by == By::State {
        usual::tell(&limits.policy, &decision, response.headers_mut());
    }
    Ok(response)
}

fn taken<S: Clone>(inner: &mut S) -> S {
    let clone = inner.clone();
    std::mem::replace(inner, clone)
}

/// A decoy, by how it calls the service.
macro_rules! calling {
    ($decoy:ident: |$inner:ident, $limits:ident, $request:ident| $body:expr) => {
        impl Calling for $decoy {
            fn call<L, S, I, O>(
                $inner: &mut S,
                $limits: Arc<Limits<L>>,
                $request: Request<I>,
            ) -> Answering<O, S::Error>
            where
                L: Limiter,
                S: Service<Request<I>, Response = Response<O>, Future: Send>
                    + Clone
                    + Send
                    + 'static,
                I: Send + 'static,
                O: From<String> + Send + 'static,
            {
                $body
            }
        }

        impl HttpLimits for $decoy {
            fn limit<L, S, I, O>(
                inner: S,
                limits: Arc<Limits<L>>,
            ) -> impl Handler<I, O, Error = S::Error>
            where
                L: Limiter,
                S: Handler<I, O>,
                I: Send + 'static,
                O: From<String> + Send + 'static,
            {
                Limited::<$decoy, L, S> { inner, limits, calling: PhantomData }
            }
        }
    };
}

/// As a middleware that looks at answers is written: serve, then count, then say that it was too
/// much. The work is done by then. Rejected by `asked_first`.
pub(super) struct AsksAfterwards;

calling!(AsksAfterwards: |inner, limits, request| {
    let mut ready = taken(inner);
    Box::pin(async move {
        let (head, body) = request.into_parts();
        let cost = limits.rules.cost(&head);
        let key = Plain::key(&limits, &head);
        let mut response = ready.call(Request::from_parts(head, body)).await?;
        let Some(cost) = cost else {
            return Ok(response);
        };
        let decision = limits.limiter.decide(&key, cost).await;
        if !decision.allowed {
            return Ok(Plain::refuse(&limits.policy, &decision));
        }
        if decision.by == By::State {
            usual::tell(&limits.policy, &decision, response.headers_mut());
        }
        Ok(response)
    })
});

/// Looks first, at a cost of 0, and spends when the work is done, so that failures are free. Two
/// round trips, and between them everybody else has looked as well. Rejected by `asked_first`.
pub(super) struct LooksFirst;

calling!(LooksFirst: |inner, limits, request| {
    let mut ready = taken(inner);
    Box::pin(async move {
        let (head, body) = request.into_parts();
        let Some(cost) = limits.rules.cost(&head) else {
            return ready.call(Request::from_parts(head, body)).await;
        };
        let key = Plain::key(&limits, &head);
        let look = limits.limiter.decide(&key, 0).await;
        if !look.allowed || look.remaining < cost {
            return Ok(Plain::refuse(&limits.policy, &look));
        }
        let mut response = ready.call(Request::from_parts(head, body)).await?;
        let spent = limits.limiter.decide(&key, cost).await;
        if spent.by == By::State {
            usual::tell(&limits.policy, &spent, response.headers_mut());
        }
        Ok(response)
    })
});

/// The compiler asks for a clone that the future can own, so the clone goes in. It has never said
/// that it is ready. Rejected by `ready_one_is_called`.
pub(super) struct CallsAClone;

calling!(CallsAClone: |inner, limits, request| Box::pin(usually(inner.clone(), limits, request)));

/// Knows that a clone is not ready, and waits until it is. So a request needs two places: the one
/// that `poll_ready` has found, which nobody uses and nobody gives back, and that of the clone. A
/// service with one place then waits for itself. Rejected by `place_given_back`.
pub(super) struct WaitsForAClone;

calling!(WaitsForAClone: |inner, limits, request| {
    let mut clone = inner.clone();
    Box::pin(async move {
        let (head, body) = request.into_parts();
        if let Some(cost) = limits.rules.cost(&head) {
            let decision = limits.limiter.decide(&Plain::key(&limits, &head), cost).await;
            if !decision.allowed {
                return Ok(Plain::refuse(&limits.policy, &decision));
            }
        }
        poll_fn(|context| clone.poll_ready(context)).await?;
        clone.call(Request::from_parts(head, body)).await
    })
});

/// Takes the body, looks at the headers, and makes the request anew from what it remembers of it.
/// Rejected by `passed_on`.
pub(super) struct MakesTheRequestAnew;

calling!(MakesTheRequestAnew: |inner, limits, request| {
    let mut ready = taken(inner);
    Box::pin(async move {
        let (head, body) = request.into_parts();
        if let Some(cost) = limits.rules.cost(&head) {
            let decision = limits.limiter.decide(&Plain::key(&limits, &head), cost).await;
            if !decision.allowed {
                return Ok(Plain::refuse(&limits.policy, &decision));
            }
        }
        let mut anew = Request::new(body);
        *anew.method_mut() = head.method;
        *anew.uri_mut() = head.uri;
        *anew.headers_mut() = head.headers;
        ready.call(anew).await
    })
});

/// Answers an error of the service in its place. The layers around, which would have known what it
/// means, see a 502 from nowhere. Rejected by `passed_on`.
pub(super) struct HidesErrors;

calling!(HidesErrors: |inner, limits, request| {
    let answer = usually(taken(inner), limits, request);
    Box::pin(async move {
        Ok(answer.await.unwrap_or_else(|_| {
            let mut response = Response::new(O::from("bad gateway".to_owned()));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }))
    })
});

/// Counts what there is to count: a cost of 0 is none. Rejected by `cost_by_route`.
pub(super) struct NothingIsUnlimited;

calling!(NothingIsUnlimited: |inner, limits, request| {
    let mut ready = taken(inner);
    Box::pin(async move {
        let (head, body) = request.into_parts();
        match limits.rules.cost(&head) {
            None | Some(0) => ready.call(Request::from_parts(head, body)).await,
            Some(_) => usually(ready, limits, Request::from_parts(head, body)).await,
        }
    })
});

/// Makes the request anew from its parts, and forgets the first word of it: GET, for all.
/// Rejected by `passed_on`.
pub(super) struct ForgetsTheMethod;

calling!(ForgetsTheMethod: |inner, limits, request| {
    let (mut head, body) = request.into_parts();
    head.method = http::Method::GET;
    Box::pin(usually(taken(inner), limits, Request::from_parts(head, body)))
});

/// One service for all, behind a lock, so that the future can own it. The lock is held until the
/// answer is there: one slow answer, and everybody waits. Rejected by `passed_on`.
pub(super) struct OneAfterTheOther;

struct Locked<L, S> {
    inner: Arc<tokio::sync::Mutex<S>>,
    limits: Arc<Limits<L>>,
}

impl<L, S> Clone for Locked<L, S> {
    fn clone(&self) -> Self {
        Locked { inner: Arc::clone(&self.inner), limits: Arc::clone(&self.limits) }
    }
}

impl<L, S, I, O> Service<Request<I>> for Locked<L, S>
where
    L: Limiter,
    S: Service<Request<I>, Response = Response<O>, Future: Send> + Clone + Send + 'static,
    I: Send + 'static,
    O: From<String> + Send + 'static,
{
    type Response = Response<O>;
    type Error = S::Error;
    type Future = Answering<O, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<I>) -> Self::Future {
        let (inner, limits) = (Arc::clone(&self.inner), Arc::clone(&self.limits));
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let cost = limits.rules.cost(&head);
            let mut told = None;
            if let Some(cost) = cost {
                let decision = limits.limiter.decide(&Plain::key(&limits, &head), cost).await;
                if !decision.allowed {
                    return Ok(Plain::refuse(&limits.policy, &decision));
                }
                told = (decision.by == By::State).then_some(decision);
            }
            let mut inner = inner.lock().await;
            poll_fn(|context| inner.poll_ready(context)).await?;
            let mut response = inner.call(Request::from_parts(head, body)).await?;
            if let Some(decision) = told {
                usual::tell(&limits.policy, &decision, response.headers_mut());
            }
            Ok(response)
        })
    }
}

impl HttpLimits for OneAfterTheOther {
    fn limit<L, S, I, O>(inner: S, limits: Arc<Limits<L>>) -> impl Handler<I, O, Error = S::Error>
    where
        L: Limiter,
        S: Handler<I, O>,
        I: Send + 'static,
        O: From<String> + Send + 'static,
    {
        Locked { inner: Arc::new(tokio::sync::Mutex::new(inner)), limits }
    }
}
