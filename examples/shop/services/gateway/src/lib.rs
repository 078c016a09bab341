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
//! - `switches`: the shop's switches, in all services at once.

mod account;
mod cart;
mod catalogue;
mod docs;
mod identity;
mod limit;
mod orders;
mod pass;
mod switches;

use std::sync::Arc;

use axum::extract::FromRef;
use axum::extract::State;
use axum::response::Redirect;
use axum::routing::get;
use axum::{Json, Router};
use rate_limiting::http_limits::{LimitLayer, Limits};
use redis::RedisError;
use shop_contracts::Peers;
use shop_flags::Flags;
use shop_service::token::Tokens;

pub use limit::{Limiting, Odd};

/// The gateway. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Gateway {
    peers: Peers,
    tokens: Tokens,
    flags: Flags,
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
        Ok(Gateway { peers, tokens, flags, limits })
    }

    /// Its HTTP API, and the description of it.
    pub fn router(&self) -> Router {
        let (api, description) = docs::router()
            .merge(catalogue::routes())
            .merge(account::routes())
            .merge(cart::routes())
            .merge(orders::routes())
            .split_for_parts();
        Router::new()
            .route("/", get(|| async { Redirect::temporary("/docs/") }))
            .route("/health", get(|| async { "up\n" }))
            .merge(api.layer(LimitLayer::new(Arc::clone(&self.limits))))
            .route("/counters", get(counters))
            .merge(switches::routes())
            .with_state(self.clone())
            .merge(docs::pages(description))
    }
}

async fn counters(State(gateway): State<Gateway>) -> Json<limit::Counters> {
    Json(gateway.limits.limiter.counters())
}

impl FromRef<Gateway> for Tokens {
    fn from_ref(gateway: &Gateway) -> Tokens {
        gateway.tokens.clone()
    }
}
