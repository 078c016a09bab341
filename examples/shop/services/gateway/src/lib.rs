//! The gateway: the shop's only door. It knows who asks and whom to ask, and keeps nothing.
//!
//! A customer's id comes from their token and never from an address or a body, so there is no way
//! to ask for somebody else's cart. What the services answer is passed on as it is, the bytes of a
//! product as well as a problem.
//!
//! - `identity`: who asks.
//! - `catalogue`, `account`, `cart`, `orders`: the routes, and their descriptions for OpenAPI.
//! - `docs`: the description as a whole, at `/openapi.json`, and a page to try it, at `/docs`.
//! - [`Limiting`]: how much one client may ask for.
//! - `places`: how many requests are under way at once.
//! - `counters`: what is counted at the door, and between the services.
//! - `switches`: the shop's switches, in all services at once.

mod account;
mod cart;
mod catalogue;
mod counters;
mod docs;
mod identity;
mod limit;
mod orders;
mod pass;
mod places;
mod switches;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Redirect;
use axum::routing::get;
use observability::metrics::MeasureLayer;
use observability::propagation::OneTrace;
use rate_limiting::http_limits::{LimitLayer, Limits};
use redis::RedisError;
use shop_calls::Calls;
use shop_contracts::Peers;
use shop_flags::Flags;
use shop_service::tempo::{Tempo, tempo};
use shop_service::token::Tokens;
use shop_service::{Door, complete};
use tower::util::option_layer;

pub use limit::{Limiting, Odd};

/// The gateway. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// With what stands around each call.
    peers: Peers,
    /// The bare ways, for those who run the shop: an open breaker must not keep them from switching
    /// it off.
    bare: Peers,
    calls: Calls,
    places: Arc<places::Places>,
    tokens: Tokens,
    flags: Flags,
    traces: OneTrace,
    measured: Option<MeasureLayer>,
    limits: Arc<Limits<limit::Door>>,
}

impl Gateway {
    /// A door to `peers` for those who have a token of `tokens`, limited as `limiting` says.
    /// `place` is the cache's: where that is a Redis, all gateways there share the quotas.
    ///
    /// # Errors
    /// The place is none. Whether its Redis answers shows at the first request.
    pub fn open(
        peers: Peers,
        tokens: Tokens,
        flags: Flags,
        place: &str,
        limiting: Limiting,
    ) -> Result<Gateway, RedisError> {
        let limits = limit::limits(place, limiting, flags.clone(), tokens.clone())?;
        let calls = Calls::new("gateway", flags.clone(), shop_calls::Options::default());
        let through = calls.through(&peers);
        let places = Arc::new(places::Places::new(Gateway::PLACES));
        let traces = OneTrace::default();
        Ok(Gateway {
            peers: through,
            bare: peers,
            calls,
            places,
            tokens,
            flags,
            traces,
            measured: None,
            limits,
        })
    }

    /// How many requests are under way at once, where nobody says otherwise.
    pub const PLACES: usize = 1_000;

    /// The same, with so many requests under way at once: the others wait in front of it.
    pub fn places(mut self, places: usize) -> Gateway {
        self.places = Arc::new(places::Places::new(places));
        self
    }

    /// The same, where each request from outside begins a trace. Before [`Gateway::calls`].
    pub fn traced(mut self, traces: OneTrace) -> Gateway {
        self.traces = traces;
        self
    }

    /// The same, whose requests are counted.
    pub fn measured(mut self, measured: MeasureLayer) -> Gateway {
        self.measured = Some(measured);
        self
    }

    /// What stands around its calls.
    pub fn around(&self) -> &Calls {
        &self.calls
    }

    /// How many requests the limiter has `allowed` and `refused`, and of both `by_outage`.
    pub fn limited(&self) -> [(&'static str, u64); 3] {
        let limit::Counters { allowed, refused, by_outage } = self.limits.limiter.counters();
        [("allowed", allowed), ("refused", refused), ("by_outage", by_outage)]
    }

    /// How many places are `taken` and `free`, and how many requests are `waiting` for one.
    pub fn taken(&self) -> [(&'static str, usize); 3] {
        let places::Counts { all, free, waiting, .. } = self.places.counts();
        [("taken", all - free), ("free", free), ("waiting", waiting)]
    }

    /// The same, with another way to treat those whom it asks.
    pub fn calls(mut self, options: shop_calls::Options) -> Gateway {
        self.calls = Calls::new("gateway", self.flags.clone(), options).traced(self.traces.clone());
        self.peers = self.calls.through(&self.bare);
        self
    }

    /// Its HTTP API, and the description of it.
    pub fn router(&self) -> Router {
        let (api, description) = docs::router()
            .merge(catalogue::routes())
            .merge(account::routes())
            .merge(cart::routes())
            .merge(orders::routes())
            .split_for_parts();
        // From the outside in: who is over the limit takes no place, and the time that is spent
        // waiting for one counts. All in one layer, for axum copies a route at each.
        let api = complete(api).layer((
            Door::to_the_street("gateway", self.traces.clone()),
            option_layer(self.measured.clone()),
            LimitLayer::new(Arc::clone(&self.limits)),
            self.calls.arrivals(),
            places::PlacesLayer(Arc::clone(&self.places)),
            from_fn_with_state(Tempo::of("gateway", self.flags.clone()), tempo),
        ));
        Router::new()
            .route("/", get(|| async { Redirect::temporary("/docs/") }))
            .route("/health", get(|| async { "up\n" }))
            .merge(api)
            .route("/counters", get(counters::counters))
            .merge(switches::routes())
            .with_state(Arc::new(self.clone()))
            .merge(docs::pages(description))
    }
}
