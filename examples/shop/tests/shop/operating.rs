//! The shop, as those see it who run it.

use http::Method;
use serde_json::{Value, json};
use shop_contracts::{Kind, Peers};
use shop_flags::{FaultCache, PatternCache};

use crate::open::{Open, ask, refused};

pub(crate) async fn switches_are_set_while_the_shop_runs(open: Open) {
    let shown = ask(&open.gateway, Method::GET, "/flags", &json!(null), &[]).await.expect("flags");
    assert_eq!(shown["effective"]["pattern.cache"], "stampede");
    let off = json!({"flags": {"pattern.cache": {"defaultVariant": "off"}}});
    let set = ask(&open.gateway, Method::PUT, "/flags", &off, &[]).await.expect("set");
    assert_eq!(set["effective"]["pattern.cache"], "off");
    assert_eq!(open.shop.setup.flags.get::<PatternCache>(), PatternCache::Off);
    for wrong in [
        json!({"flags": {"pattern.cash": {"defaultVariant": "off"}}}),
        json!({"flags": {"pattern.cache": {"defaultVariant": "on"}}}),
        json!({"flags": {"pattern.cache": {"state": "MAYBE"}}}),
        json!([]),
    ] {
        let told = ask(&open.gateway, Method::PUT, "/flags", &wrong, &[]).await;
        refused(told, Kind::Invalid, &wrong.to_string());
    }
    // What was shown can be sent back.
    ask(&open.gateway, Method::PUT, "/flags", &shown, &[]).await.expect("the same document");
    assert_eq!(open.shop.setup.flags.get::<PatternCache>(), PatternCache::Stampede);
}

pub(crate) async fn every_service_says_how_it_is(open: Open) {
    for peer in open.shop.peers.all() {
        let health = peer.forward(Method::GET, "/health", bytes::Bytes::new(), &[]).await;
        assert_eq!(health.expect("an answer").body(), "up\n", "{}", peer.name());
    }
    let names: Vec<_> = open.shop.addresses().map(|(name, _)| name).collect();
    assert_eq!(names[0], "gateway");
    assert_eq!(names.len(), 8);
}

pub(crate) async fn every_service_names_what_it_leans_on(open: Open) {
    let redis = open.place.redis().is_some();
    let mut doors = vec![(&open.gateway, redis.then_some("limits"))];
    for peer in open.shop.peers.all() {
        let more = match peer.name() {
            "catalog" => redis.then_some("cache"),
            "inventory" => redis.then_some("locks"),
            _ => None,
        };
        doors.push((peer, more));
    }
    for (peer, more) in doors {
        let name = peer.name();
        let live: Value = peer.get("/health/live").await.expect(name);
        assert_eq!(live, json!({"status": "pass"}), "{name}");
        let ready: Value = peer.get("/health/ready").await.expect(name);
        assert_eq!(ready["status"], "pass", "{name}: {ready}");
        let seen = ready["checks"].as_object().expect("a map");
        let needs = if name == "gateway" { &Peers::NAMES[..] } else { &["database"] };
        for need in needs.iter().copied().chain(more) {
            let seen = &seen[&format!("{need}:responseTime")][0];
            assert_eq!((&seen["status"], &seen["observedUnit"]), (&json!("pass"), &json!("ms")));
            assert!(seen["observedValue"].as_f64().is_some_and(|ms| ms > 0.0), "{name}: {ready}");
        }
        assert_eq!(seen.len(), needs.len() + usize::from(more.is_some()), "{name}: {ready}");
    }
}

pub(crate) async fn a_lost_cache_costs_no_request(open: Open) {
    open.shop.setup.flags.set(FaultCache::Down);
    let path = format!("/api/products/{}", open.products[0]);
    let before = open.shop.peers.catalog.counters().await.expect("counters").product_loads;
    for _ in 0..3 {
        ask(&open.gateway, Method::GET, &path, &json!(null), &[]).await.expect("the product");
    }
    let after = open.shop.peers.catalog.counters().await.expect("counters").product_loads;
    assert_eq!(after - before, 3);
}

pub(crate) async fn the_api_describes_itself(open: Open) {
    let described = ask(&open.gateway, Method::GET, "/openapi.json", &json!(null), &[]).await;
    let described = described.expect("a description");
    assert!(described["openapi"].as_str().expect("a version").starts_with("3.1"));
    let paths = described["paths"].as_object().expect("paths");
    for path in ["/api/products/{id}", "/api/cart", "/api/orders/checkout", "/api/tokens"] {
        assert!(paths.contains_key(path), "{path}");
    }
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().expect("methods") {
            let responses = operation["responses"].as_object().expect("responses");
            assert!(responses.contains_key("4XX"), "{method} {path} tells how it refuses");
            assert!(operation["summary"].is_string(), "{method} {path} says what it is");
        }
    }
    let page = open.gateway.forward(Method::GET, "/docs/", bytes::Bytes::new(), &[]).await;
    let page = page.expect("a page");
    assert!(page.status().is_success());
    assert!(String::from_utf8_lossy(page.body()).contains("swagger-ui"));
}
