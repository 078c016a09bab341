//! 03.7 · Limits over HTTP: who is asking, what it costs, and how a refusal is told.
//!
//! A limiter says yes or no. This is what stands around it at a door that speaks HTTP: a tower
//! layer, so that it goes before axum, hyper or tonic alike. The contract [`HttpLimits`] names the
//! promises, [`TowerLimits`] keeps them:
//!
//! | promise | how |
//! | --- | --- |
//! | A client can see its quota before it is refused | `RateLimit` and `RateLimit-Policy` on every answer, not only on refusals |
//! | A client that obeys succeeds at its first retry | `Retry-After` in whole seconds, rounded up |
//! | Nobody chooses their own key | headers count only from [`Proxies`] that are trusted, read from the right |
//! | A refusal costs the server next to nothing | the limiter is asked first, and what is refused never reaches the service |
//! | A limiter that is lost tells no lies | no quota is shown that nobody counts; closed is a 503 and not a 429 |
//!
//! The fields are those of [draft-ietf-httpapi-ratelimit-headers-11] (May 2026), which is not an
//! RFC yet; earlier drafts, up to 06, had three fields of other names. Refusals are problem details,
//! [RFC 9457], of the types that the draft registers.
//!
//! What it does not promise:
//!
//! - **Justice behind one address.** An office, a school, a mobile network: one address, many
//!   people. Whoever has logged in is known by name; give the others a generous quota.
//! - **Protection from a flood.** Each refusal is still a request that was read and answered, and
//!   [RFC 6585], section 7.2, advises to drop connections then. That is for what stands in front.
//!
//! [draft-ietf-httpapi-ratelimit-headers-11]: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/11/
//! [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457
//! [RFC 6585]: https://www.rfc-editor.org/rfc/rfc6585#section-7.2

mod address;
mod answer;

use crate::limiter::{By, Limiter, Quota};
use http::request::Parts;
use http::{Request, Response};
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

pub use address::{Forwarding, Network, OddNetwork, Proxies};

// ANCHOR: contract
/// The contract: a limit in front of a service that answers HTTP.
pub trait HttpLimits: Send + Sync + 'static {
    /// `inner`, behind `limits`. For each request:
    ///
    /// - [`Rules::cost`] says what it costs. `None`: it is passed on as it is, and its answer
    ///   passed back as it is.
    /// - It is counted against [`Rules::who`], or else against the address that it comes from:
    ///   [`Rules::peer`], or, where that is one of [`Limits::proxies`], the first address from the
    ///   right among those that the proxies have written down ([`Proxies::hops`]) which is not one
    ///   of theirs. IPv6 counts by its first 64 bits, which is what one customer gets. No name may
    ///   share a key with an address.
    /// - The limiter is asked once, before `inner` sees anything of the request.
    ///
    /// Where the limiter's state decided ([`By::State`]), every answer tells of it, whatever its
    /// status:
    ///
    /// - `RateLimit-Policy: "NAME";q=BURST;w=SECONDS`, in which `w` is the quota's window, rounded
    ///   up.
    /// - `RateLimit: "NAME";r=REMAINING;t=SECONDS`. `r` in `t` seconds is never more than the quota
    ///   gives in that time: a client that spreads `r` over `t` is at most as fast as it may be.
    ///   On a refusal `Retry-After` goes first: there `t` is at most that, also with an `r` above 0.
    ///
    /// A refusal is 429 with a problem of the type [`QUOTA_EXCEEDED`], and `Retry-After` in whole
    /// seconds: the next whole second after which the same request succeeds, at least 1, and not
    /// earlier than the end of `t`. A request that will never be allowed has no `Retry-After`.
    ///
    /// In an outage ([`By::Outage`]) nothing is known, and nothing is told: what is allowed is
    /// passed on without either field. What is not, and might be later, is 503 with a problem of
    /// the type [`REDUCED_CAPACITY`] and a `Retry-After`: the server is short of something, while
    /// a 429 would accuse the client. What will never be allowed is refused for that,
    /// with a 429 as ever, and without the fields.
    ///
    /// What the service answers otherwise, errors included, is not changed. `inner` is called only
    /// where it has said that it is ready, and a refusal gives back the place that it had.
    fn limit<L, S, I, O>(inner: S, limits: Arc<Limits<L>>) -> impl Handler<I, O, Error = S::Error>
    where
        L: Limiter,
        S: Handler<I, O>,
        I: Send + 'static,
        O: From<String> + Send + 'static;
}

/// Any tower service that answers HTTP: requests with bodies of type `I`, answers with `O`.
pub trait Handler<I, O>:
    Service<Request<I>, Response = Response<O>, Future: Send + 'static> + Clone + Send + Sync + 'static
{
}

/// A limiter, and what it needs to know of HTTP.
pub struct Limits<L> {
    /// Decides.
    pub limiter: L,
    /// What clients are told of the limiter's quota.
    pub policy: Policy,
    /// Whose word counts about where a request came from.
    pub proxies: Proxies,
    /// How requests are read.
    pub rules: Box<dyn Rules>,
}

/// How a server reads its requests.
pub trait Rules: Send + Sync {
    /// The other end of the connection, which is the only address that nobody can invent. `None`
    /// where the server does not know it: all such requests are counted together.
    fn peer(&self, head: &Parts) -> Option<IpAddr>;

    /// Whom the request has proved to come from: a user whose token was verified, the name of an
    /// API key. Never what it merely claims; and never the key itself, which would stand in Redis
    /// for everybody to read.
    fn who(&self, head: &Parts) -> Option<String>;

    /// What it costs, in the quota's units; `None` where it is not limited.
    fn cost(&self, head: &Parts) -> Option<u32>;
}

/// A quota, and the name by which clients are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    name: &'static str,
    quota: Quota,
}

/// The type of the problem that a 429 is: section 5.1 of the draft.
pub const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// The type of the problem that a 503 is: section 5.2 of the draft.
pub const REDUCED_CAPACITY: &str =
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
// ANCHOR_END: contract

/// A name that cannot stand in a header as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a policy is of letters, digits, - and _, such as `per-user`")]
pub struct OddName;

impl Policy {
    /// Clients are told of `quota` as `name`.
    ///
    /// # Errors
    /// [`OddName`] for anything that would have to be escaped in a header or in JSON.
    pub fn new(name: &'static str, quota: Quota) -> Result<Policy, OddName> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        match !name.is_empty() && name.chars().all(plain) {
            true => Ok(Policy { name, quota }),
            false => Err(OddName),
        }
    }

    /// What clients call it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How much, and how fast.
    pub fn quota(&self) -> Quota {
        self.quota
    }
}

impl<L: fmt::Debug> fmt::Debug for Limits<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits")
            .field("limiter", &self.limiter)
            .field("policy", &self.policy)
            .field("proxies", &self.proxies)
            .finish_non_exhaustive()
    }
}

impl<S, I, O> Handler<I, O> for S where
    S: Service<Request<I>, Response = Response<O>, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// The reference.
#[derive(Clone, Copy, Debug)]
pub struct TowerLimits;

impl HttpLimits for TowerLimits {
    fn limit<L, S, I, O>(inner: S, limits: Arc<Limits<L>>) -> impl Handler<I, O, Error = S::Error>
    where
        L: Limiter,
        S: Handler<I, O>,
        I: Send + 'static,
        O: From<String> + Send + 'static,
    {
        LimitLayer::new(limits).layer(inner)
    }
}

/// Puts a [`Limited`] before a service, as tower's builders and axum's routers want it. The
/// services that one layer makes share one limiter.
#[derive(Debug)]
pub struct LimitLayer<L> {
    limits: Arc<Limits<L>>,
}

impl<L> LimitLayer<L> {
    /// Of these limits.
    pub fn new(limits: Arc<Limits<L>>) -> LimitLayer<L> {
        LimitLayer { limits }
    }
}

// Derived, it would ask for a limiter that is Clone.
impl<L> Clone for LimitLayer<L> {
    fn clone(&self) -> LimitLayer<L> {
        LimitLayer { limits: Arc::clone(&self.limits) }
    }
}

impl<L, S> Layer<S> for LimitLayer<L> {
    type Service = Limited<L, S>;

    fn layer(&self, inner: S) -> Limited<L, S> {
        Limited { inner, limits: Arc::clone(&self.limits) }
    }
}

/// A service behind a limit.
#[derive(Debug)]
pub struct Limited<L, S> {
    inner: S,
    limits: Arc<Limits<L>>,
}

impl<L, S: Clone> Clone for Limited<L, S> {
    fn clone(&self) -> Limited<L, S> {
        Limited { inner: self.inner.clone(), limits: Arc::clone(&self.limits) }
    }
}

// ANCHOR: service
impl<L, S, I, O> Service<Request<I>> for Limited<L, S>
where
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
        // `poll_ready` has found a place in `self.inner`, and in no clone of it: a clone of a
        // concurrency limit has no permit, and may panic when it is called. So the one that is
        // ready goes into the future, and the clone stays to be asked again:
        // https://docs.rs/tower-service/latest/tower_service/trait.Service.html#be-careful-when-cloning-inner-services
        let clone = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, clone);
        let limits = Arc::clone(&self.limits);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let Some(cost) = limits.rules.cost(&head) else {
                return ready.call(Request::from_parts(head, body)).await;
            };
            let decision = limits.limiter.decide(&limits.key(&head), cost).await;
            if !decision.allowed {
                // `ready` is dropped here, and its place is free for somebody else.
                return Ok(limits.policy.refuse(&decision, cost));
            }
            let mut response = ready.call(Request::from_parts(head, body)).await?;
            if decision.by == By::State {
                limits.policy.tell(&decision, response.headers_mut());
            }
            Ok(response)
        })
    }
}
// ANCHOR_END: service

impl<L> Limits<L> {
    // ANCHOR: key
    /// What a request is counted against.
    fn key(&self, head: &Parts) -> String {
        if let Some(who) = self.rules.who(head) {
            // A prefix for each kind: otherwise somebody registers as "203.0.113.7" and spends
            // the quota of whoever sits there.
            return format!("who:{who}");
        }
        match self.rules.peer(head) {
            Some(peer) => address::counted(self.proxies.client(&head.headers, peer)),
            None => "from:unknown".to_owned(),
        }
    }
    // ANCHOR_END: key
}
