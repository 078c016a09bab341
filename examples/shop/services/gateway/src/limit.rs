//! How much one client may ask for: lesson 03.7 in place, and the switch `pattern.limiter`.
//!
//! Before every route of the API stands a limit, keyed by user, API key or address. The other routes
//! are for those who run the shop: a health check that is refused on a busy day takes the gateway
//! out when it is needed most.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{ConnectInfo, MatchedPath};
use http::Method;
use http::request::Parts;
use rate_limiting::gcra::{Gcra, Local};
use rate_limiting::http_limits::{Limits, OddNetwork, Policy, Proxies, Rules};
use rate_limiting::limiter::{By, Decision, Limiter, Options, Quota};
use redis::RedisError;
use serde::Serialize;
use shop_flags::{Flags, PatternLimiter};
use shop_service::token::Tokens;

use crate::identity;

/// How clients are limited.
#[derive(Clone)]
pub struct Limiting {
    /// For each client, in units of which a read costs 1.
    pub quota: Quota,
    /// Who stands before the gateway and may say where a request came from.
    pub proxies: Proxies,
    /// The names of those who ask with `X-Api-Key`, by their keys.
    pub api_keys: BTreeMap<String, String>,
    /// Where the quotas are kept: `memory:`, or `redis://…` for several gateways. `None`: where the
    /// cache is.
    pub place: Option<String>,
    /// How long a decision waits for Redis, and what holds when it does not come.
    pub options: Options,
}

/// Without the keys: they are as good as passwords. Nor with the place, whose URL may hold one.
impl fmt::Debug for Limiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.api_keys.values().collect();
        f.debug_struct("Limiting")
            .field("quota", &self.quota)
            .field("proxies", &self.proxies)
            .field("api_keys_of", &names)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Default for Limiting {
    /// More than any customer needs, and less than a shop can take from one: 10,000 units at once
    /// and 1,000 a second.
    fn default() -> Limiting {
        Limiting {
            quota: Quota::new(10_000, Duration::from_millis(1)).expect("more than nothing"),
            proxies: Proxies::default(),
            api_keys: BTreeMap::new(),
            place: None,
            options: Options::default(),
        }
    }
}

/// A variable that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Odd {
    /// Not a list of networks.
    #[error(
        "SHOP_TRUSTED_PROXIES: {0}\nnext: SHOP_TRUSTED_PROXIES=10.0.0.0/8,192.0.2.1, or unset it"
    )]
    Proxies(#[from] OddNetwork),
    /// Not a list of names and keys. What stands there instead is not repeated: it may be a secret.
    #[error(
        "SHOP_API_KEYS should be names and keys of 16 characters or more\n\
         next: SHOP_API_KEYS=partner=$(openssl rand -hex 16), or unset it"
    )]
    ApiKeys,
}

impl Limiting {
    /// The defaults, with what the environment says: `SHOP_TRUSTED_PROXIES`, networks with commas
    /// between, and `SHOP_API_KEYS`, `NAME=KEY` with commas between.
    ///
    /// # Errors
    /// One of the two cannot be read.
    pub fn from_environment() -> Result<Limiting, Odd> {
        let list = |variable| std::env::var(variable).unwrap_or_default();
        Limiting::read(&list("SHOP_TRUSTED_PROXIES"), &list("SHOP_API_KEYS"))
    }

    fn read(proxies: &str, api_keys: &str) -> Result<Limiting, Odd> {
        fn entries(list: &str) -> impl Iterator<Item = &str> {
            list.split(',').map(str::trim).filter(|entry| !entry.is_empty())
        }
        let mut limiting = Limiting::default();
        for network in entries(proxies) {
            limiting.proxies.trusted.push(network.parse()?);
        }
        for entry in entries(api_keys) {
            let (name, key) = entry.split_once('=').ok_or(Odd::ApiKeys)?;
            if name.is_empty() || key.len() < 16 {
                return Err(Odd::ApiKeys);
            }
            limiting.api_keys.insert(key.to_owned(), name.to_owned());
        }
        Ok(limiting)
    }
}

/// The limits of a gateway whose cache is at `place`.
///
/// # Errors
/// The place is none.
pub(crate) fn limits(
    place: &str,
    limiting: Limiting,
    flags: Flags,
    tokens: Tokens,
) -> Result<Arc<Limits<Door>>, RedisError> {
    let Limiting { quota, proxies, api_keys, options, .. } = limiting;
    let place = limiting.place.as_deref().unwrap_or(place);
    Ok(Arc::new(Limits {
        limiter: Door::open(place, quota, options)?,
        policy: Policy::new("per-client", quota).expect("letters and a hyphen"),
        proxies,
        rules: Box::new(Reading { flags, tokens, api_keys }),
    }))
}

/// How the gateway reads its requests.
struct Reading {
    flags: Flags,
    tokens: Tokens,
    api_keys: BTreeMap<String, String>,
}

impl Rules for Reading {
    fn peer(&self, head: &Parts) -> Option<IpAddr> {
        head.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip())
    }

    fn who(&self, head: &Parts) -> Option<String> {
        // A token that is forged or ended is nobody's: who sends such is counted by address.
        if let Ok(claims) = identity::claims(head, &self.tokens) {
            return Some(format!("user:{}", claims.sub));
        }
        let key = head.headers.get("x-api-key")?.to_str().ok()?;
        self.api_keys.get(key).map(|name| format!("key:{name}"))
    }

    // ANCHOR: switch
    fn cost(&self, head: &Parts) -> Option<u32> {
        match self.flags.get::<PatternLimiter>() {
            PatternLimiter::Off => None,
            PatternLimiter::Gcra => Some(cost(head)),
        }
    }
    // ANCHOR_END: switch
}

// ANCHOR: cost
/// What a request costs, by its route: a checkout asks five services and charges a card, a login
/// hashes a password for a fortieth of a second, a write ends in a commit.
fn cost(head: &Parts) -> u32 {
    let route = head.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    match (&head.method, route) {
        (&Method::POST, "/api/orders/checkout") => 40,
        (&Method::POST, "/api/tokens" | "/api/customers") => 10,
        (&Method::GET | &Method::HEAD, _) => 1,
        _ => 4,
    }
}
// ANCHOR_END: cost

/// The limiter at the door: in memory, or in Redis for all gateways.
#[derive(Debug)]
pub(crate) struct Door {
    side: Side,
    allowed: AtomicU64,
    refused: AtomicU64,
    by_outage: AtomicU64,
}

#[derive(Debug)]
enum Side {
    Memory(Local),
    Redis(Gcra),
}

/// How many clients one gateway remembers in memory; beyond them, newcomers share a quota.
const MOST_CLIENTS: usize = 100_000;

/// What the limiter has decided since the gateway opened.
#[derive(Debug, Serialize)]
pub(crate) struct Counters {
    pub(crate) allowed: u64,
    pub(crate) refused: u64,
    /// Those of both that were decided without knowing: while this rises, nobody is limited.
    pub(crate) by_outage: u64,
}

impl Door {
    pub(crate) fn counters(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            allowed: read(&self.allowed),
            refused: read(&self.refused),
            by_outage: read(&self.by_outage),
        }
    }
}

impl Limiter for Door {
    fn open(place: &str, quota: Quota, options: Options) -> Result<Door, RedisError> {
        let side = match place {
            "memory:" => Side::Memory(Local::new(quota, MOST_CLIENTS)),
            url => Side::Redis(Gcra::open(url, quota, options)?),
        };
        let none = AtomicU64::default;
        Ok(Door { side, allowed: none(), refused: none(), by_outage: none() })
    }

    async fn decide(&self, key: &str, cost: u32) -> Decision {
        let decision = match &self.side {
            Side::Memory(local) => local.decide(key, cost),
            // Others keep keys in the same Redis.
            Side::Redis(gcra) => gcra.decide(&format!("shop:limit:{key}"), cost).await,
        };
        let counter = if decision.allowed { &self.allowed } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        if decision.by == By::Outage {
            self.by_outage.fetch_add(1, Ordering::Relaxed);
        }
        decision
    }
}

#[cfg(test)]
mod tests {
    use super::Limiting;

    #[test]
    fn the_environment_names_proxies_and_keys() {
        let limiting = Limiting::read("10.0.0.0/8, ::1", "ann=0123456789abcdef,").expect("both");
        assert_eq!(limiting.proxies.trusted.len(), 2);
        assert_eq!(limiting.api_keys["0123456789abcdef"], "ann");
        assert!(Limiting::read("", "").expect("nothing").proxies.trusted.is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_told_without_the_secret() {
        let told = |proxies, keys| Limiting::read(proxies, keys).expect_err("odd").to_string();
        assert!(told("10.0.0.0/8;::1", "").contains("`10.0.0.0/8;::1` is no network"));
        for keys in ["0123456789abcdef", "=0123456789abcdef", "ann=short"] {
            let told = told("", keys);
            assert!(told.contains("next: SHOP_API_KEYS=") && !told.contains(keys), "{told}");
        }
    }
}
