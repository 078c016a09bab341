//! The limit at the door.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use rate_limiting::limiter::{Options, Outage, Quota};
use serde_json::json;
use shop_contracts::Peer;
use shop_flags::PatternLimiter;
use shop_gateway::{Gateway, Limiting};
use shop_service::{Running, Stop, serve_locally};

use crate::open::{Open, ask};

/// A gateway more, before the same services.
struct Door {
    _running: Running,
    _stop: Stop,
    peer: Peer,
}

/// Three reads at once, and one more each hour: nothing comes back while a test runs.
fn strict() -> Limiting {
    let quota = Quota::new(3, Duration::from_secs(3600)).expect("a quota");
    let options = Options { timeout: Duration::from_secs(5), ..Options::default() };
    let api_keys = BTreeMap::from([("0123456789abcdef".to_owned(), "partner".to_owned())]);
    Limiting { quota, options, api_keys, ..Limiting::default() }
}

impl Door {
    async fn beside(open: &Open, limiting: Limiting) -> Door {
        let setup = &open.shop.setup;
        let (tokens, flags) = (setup.tokens.clone(), setup.flags.clone());
        let peers = open.shop.peers.clone();
        let gateway = Gateway::open(peers, tokens, flags, &open.place.cache, limiting);
        let stop = Stop::default();
        let router = gateway.expect("a place for quotas").router();
        let running = serve_locally("gateway", router, &stop).await.expect("a port");
        let peer = Peer::new("gateway", running.url());
        Door { _running: running, _stop: stop, peer }
    }

    async fn get(&self, path: &str, headers: &[(&'static str, &str)]) -> (StatusCode, HeaderMap) {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
            })
            .collect();
        let answer = self.peer.forward(Method::GET, path, bytes::Bytes::new(), &headers).await;
        let (head, body) = answer.expect("an answer").into_parts();
        if head.status == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(head.headers["content-type"], "application/problem+json");
            let problem: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert!(problem["type"].as_str().is_some_and(|kind| kind.ends_with("#quota-exceeded")));
        }
        (head.status, head.headers)
    }

    /// How many of four reads are served.
    async fn served(&self, headers: &[(&'static str, &str)]) -> usize {
        let mut served = 0;
        for _ in 0..4 {
            let (status, told) = self.get("/api/categories", headers).await;
            assert!(told.contains_key("ratelimit"), "{status} tells");
            served += usize::from(status == StatusCode::OK);
        }
        served
    }
}

pub(crate) async fn every_answer_of_the_api_tells_its_quota(open: Open) {
    let door = Door::beside(&open, Limiting::default()).await;
    for path in ["/api/categories", "/api/products/none", "/api/cart", "/api/none", "/none"] {
        let (status, told) = door.get(path, &[]).await;
        let policy = &told["ratelimit-policy"];
        assert_eq!(policy, "\"per-client\";q=10000;w=10", "{path}: {status}");
        assert!(told.contains_key("ratelimit"), "{path}: {status}");
    }
    for path in ["/health", "/health/ready", "/flags", "/counters", "/openapi.json"] {
        let (status, told) = door.get(path, &[]).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(!told.contains_key("ratelimit"), "{path} is for those who run the shop");
    }
}

pub(crate) async fn a_client_is_a_user_a_key_or_an_address(open: Open) {
    let (ann, bob) = (open.customer("ann").await, open.customer("bob").await);
    let door = Door::beside(&open, strict()).await;
    let bearer = |token: &str| format!("Bearer {token}");
    assert_eq!(door.served(&[]).await, 3, "an address");
    for header in ["x-forwarded-for", "forwarded", "x-real-ip"] {
        assert_eq!(door.served(&[(header, "203.0.113.7")]).await, 0, "the same, with {header}");
    }
    assert_eq!(door.served(&[("authorization", "Bearer made up")]).await, 0, "still the same");
    assert_eq!(door.served(&[("x-api-key", "made up")]).await, 0, "and still");
    assert_eq!(door.served(&[("authorization", &bearer(&ann.token))]).await, 3, "a user");
    assert_eq!(door.served(&[("authorization", &bearer(&bob.token))]).await, 3, "another");
    assert_eq!(door.served(&[("x-api-key", "0123456789abcdef")]).await, 3, "a partner");
    let counters = ask(&door.peer, Method::GET, "/counters", &json!(null), &[]).await;
    let counters = counters.expect("counters");
    assert_eq!((counters["allowed"].as_u64(), counters["refused"].as_u64()), (Some(12), Some(24)));
    assert_eq!(counters["by_outage"], 0);
}

pub(crate) async fn gateways_on_one_redis_share_their_quotas(open: Open) {
    let doors = [Door::beside(&open, strict()).await, Door::beside(&open, strict()).await];
    let served = doors[0].served(&[]).await + doors[1].served(&[]).await;
    let shared = open.place.cache != "memory:";
    assert_eq!(served, if shared { 3 } else { 6 });
}

pub(crate) async fn the_limit_is_switched_while_the_shop_runs(open: Open) {
    let door = Door::beside(&open, strict()).await;
    assert_eq!(door.served(&[]).await, 3);
    open.shop.setup.flags.set(PatternLimiter::Off);
    let (status, told) = door.get("/api/categories", &[]).await;
    assert_eq!((status, told.contains_key("ratelimit")), (StatusCode::OK, false));
    open.shop.setup.flags.set(PatternLimiter::Gcra);
    assert_eq!(door.get("/api/categories", &[]).await.0, StatusCode::TOO_MANY_REQUESTS);
}

pub(crate) async fn a_lost_limiter_opens_or_closes_and_says_so(open: Open) {
    // Nobody listens at port 1.
    let place = Some("redis://127.0.0.1:1".to_owned());
    for (outage, status) in
        [(Outage::Open, StatusCode::OK), (Outage::Closed, StatusCode::SERVICE_UNAVAILABLE)]
    {
        let options = Options { outage, ..Options::default() };
        let limiting = Limiting { place: place.clone(), options, ..strict() };
        let door = Door::beside(&open, limiting).await;
        for _ in 0..4 {
            let (told, headers) = door.get("/api/categories", &[]).await;
            assert_eq!((told, headers.contains_key("ratelimit")), (status, false));
        }
        let counters = ask(&door.peer, Method::GET, "/counters", &json!(null), &[]).await;
        assert_eq!(counters.expect("counters")["by_outage"], 4);
    }
}
