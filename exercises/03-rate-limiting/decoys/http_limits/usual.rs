//! What most of the wrong answers get right: each changes one thing of it.

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use rate_limiting::http_limits::{
    Handler, HttpLimits, Limits, Policy, QUOTA_EXCEEDED, REDUCED_CAPACITY,
};
use rate_limiting::limiter::{By, Decision, Limiter};
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;

/// One way to do each step.
pub(super) trait Usual: Send + Sync + Sized + 'static {
    const REFUSED: StatusCode = StatusCode::TOO_MANY_REQUESTS;
    const CONTENT: &str = "application/problem+json";

    fn cost(cost: Option<u32>) -> Option<u32> {
        cost
    }

    fn key<L>(limits: &Limits<L>, head: &Parts) -> String {
        match limits.rules.who(head) {
            Some(who) => format!("who {who}"),
            None => format!("at {}", Self::network(Self::address(limits, head))),
        }
    }

    fn address<L>(limits: &Limits<L>, head: &Parts) -> IpAddr {
        let Some(mut known) = limits.rules.peer(head) else {
            return IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        };
        for hop in limits.proxies.hops(&head.headers).into_iter().rev() {
            match hop {
                Some(hop) if limits.proxies.trust(known) => known = hop,
                _ => break,
            }
        }
        known
    }

    fn network(address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let high = u128::from(address) >> 64 << 64;
                IpAddr::V6(Ipv6Addr::from(high))
            }
            four => four,
        }
    }

    fn known(decision: &Decision) -> bool {
        decision.by == By::State
    }

    fn wait(decision: &Decision) -> Option<Duration> {
        decision.retry_after
    }

    fn seconds(wait: Duration) -> u64 {
        whole_seconds(wait)
    }

    fn window(policy: &Policy, decision: &Decision) -> u64 {
        window(policy, decision)
    }

    fn body(problem: String) -> String {
        problem
    }

    fn tell(policy: &Policy, decision: &Decision, headers: &mut HeaderMap) {
        tell_within(policy, decision, Self::window(policy, decision), headers);
    }

    fn refuse<O: From<String>>(policy: &Policy, decision: &Decision) -> Response<O> {
        refuse::<Self, O>(policy, decision)
    }
}

pub(super) fn whole_seconds(time: Duration) -> u64 {
    (time.as_micros().div_ceil(1_000_000) as u64).max(1)
}

pub(super) fn window(policy: &Policy, decision: &Decision) -> u64 {
    let units = u64::from(decision.remaining.max(1));
    let rest = whole_seconds(Duration::from_micros(units * policy.quota().every_micros()));
    match decision.retry_after {
        Some(wait) if !decision.allowed => rest.min(whole_seconds(wait)),
        _ => rest,
    }
}

pub(super) fn tell(policy: &Policy, decision: &Decision, headers: &mut HeaderMap) {
    tell_within(policy, decision, window(policy, decision), headers);
}

fn tell_within(policy: &Policy, decision: &Decision, t: u64, headers: &mut HeaderMap) {
    let (name, quota, r) = (policy.name(), policy.quota(), decision.remaining);
    let (q, w) = (quota.burst(), whole_seconds(quota.window()));
    let text = |text: String| HeaderValue::try_from(text).expect("plain text");
    headers.append("ratelimit-policy", text(format!("\"{name}\";q={q};w={w}")));
    headers.append("ratelimit", text(format!("\"{name}\";r={r};t={t}")));
}

pub(super) fn refuse<M: Usual, O: From<String>>(
    policy: &Policy,
    decision: &Decision,
) -> Response<O> {
    // What never fits is refused for that, also in an outage.
    let outage = decision.by == By::Outage && M::wait(decision).is_some();
    let (status, kind) = match outage {
        true => (StatusCode::SERVICE_UNAVAILABLE, REDUCED_CAPACITY),
        false => (M::REFUSED, QUOTA_EXCEEDED),
    };
    let problem = format!(r#"{{"type":"{kind}","status":{}}}"#, status.as_u16());
    let mut response = Response::new(O::from(M::body(problem)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(M::CONTENT));
    if let Some(wait) = M::wait(decision) {
        headers.insert(RETRY_AFTER, M::seconds(wait).into());
    }
    if M::known(decision) {
        M::tell(policy, decision, headers);
    }
    response
}

/// The steps of `M`, put together.
pub(super) struct Usually<M>(PhantomData<M>);

impl<M: Usual> HttpLimits for Usually<M> {
    fn limit<L, S, I, O>(inner: S, limits: Arc<Limits<L>>) -> impl Handler<I, O, Error = S::Error>
    where
        L: Limiter,
        S: Handler<I, O>,
        I: Send + 'static,
        O: From<String> + Send + 'static,
    {
        Limited::<M, L, S> { inner, limits, steps: PhantomData }
    }
}

struct Limited<M, L, S> {
    inner: S,
    limits: Arc<Limits<L>>,
    steps: PhantomData<M>,
}

impl<M, L, S: Clone> Clone for Limited<M, L, S> {
    fn clone(&self) -> Self {
        let (inner, limits) = (self.inner.clone(), Arc::clone(&self.limits));
        Limited { inner, limits, steps: PhantomData }
    }
}

impl<M, L, S, I, O> Service<Request<I>> for Limited<M, L, S>
where
    M: Usual,
    L: Limiter,
    S: Service<Request<I>, Response = Response<O>, Future: Send> + Clone + Send + 'static,
    I: Send + 'static,
    O: From<String> + Send + 'static,
{
    type Response = Response<O>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<O>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<I>) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let limits = Arc::clone(&self.limits);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let Some(cost) = M::cost(limits.rules.cost(&head)) else {
                return inner.call(Request::from_parts(head, body)).await;
            };
            let decision = limits.limiter.decide(&M::key(&limits, &head), cost).await;
            if !decision.allowed {
                return Ok(M::refuse(&limits.policy, &decision));
            }
            let mut response = inner.call(Request::from_parts(head, body)).await?;
            if M::known(&decision) {
                M::tell(&limits.policy, &decision, response.headers_mut());
            }
            Ok(response)
        })
    }
}
