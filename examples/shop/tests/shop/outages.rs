//! The payment provider is ill, and the patterns of topic 04 stand around every call.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use shop_contracts::{Kind, Problem};
use shop_flags::{FaultEmail, FaultPayment};

use crate::open::{Open, Somebody, ask, refused};

/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// What is counted between orders and payments.
async fn between(open: &Open) -> Value {
    let told = ask(&open.gateway, Method::GET, "/counters", &json!(null), &[]).await;
    let told = told.expect("counters");
    let lines = told["calls"].as_array().expect("a line for each pair").clone();
    let ours = |line: &&Value| line["from"] == "orders" && line["to"] == "payments";
    lines.iter().find(ours).expect("orders asks payments").clone()
}

async fn buy(ada: &Somebody, open: &Open, wish: usize) -> Result<Value, Problem> {
    ada.put(open.products[0], 1).await.expect("in the cart");
    ada.buy("tok_ok", &format!("wish-{wish:04}")).await
}

pub(crate) async fn a_provider_that_is_down_is_left_alone_and_found_again(open: Open) {
    let ada = open.customer("ada").await;
    let before = open.shop.peers.inventory.stock(open.products[0]).await.expect("stock");
    open.shop.setup.flags.set(FaultPayment::Error);
    let mut wish = 0;
    let told = loop {
        assert!(wish < 20, "the breaker does not open");
        let told = buy(&ada, &open, wish).await;
        wish += 1;
        match refused(told, Kind::Unavailable, "no payment") {
            Problem { retry_after: None, .. } => {}
            told => break told,
        }
    };
    let reached = open.shop.setup.provider.calls().reached;
    let detail = told.detail.expect("words");
    assert!(detail.contains("`payments` has failed too often"), "{detail}");
    let path = told.instance.expect("the order's address");
    assert_eq!(ada.get(&path).await.expect("the order")["state"], "cancelled");
    // Orders is well, and says so: customers look at what they have, and the shop is open.
    ada.get("/api/orders").await.expect("the gateway goes on asking orders");
    let line = between(&open).await;
    assert!(line["breakers"]["PUT"]["opened"].as_u64() >= Some(1), "{line}");
    assert!(line["breakers"]["PUT"]["refused"].as_u64() >= Some(1), "{line}");
    assert!(reached <= 5 + wish as u64 / 10, "{reached} calls reached it");
    let now = open.shop.peers.inventory.stock(open.products[0]).await.expect("stock");
    assert_eq!((now.available, now.reserved), (before.available, 0), "nothing is held for nobody");

    open.shop.setup.flags.set(FaultPayment::Off);
    let begun = Instant::now();
    while buy(&ada, &open, wish).await.is_err() {
        assert!(begun.elapsed() < LONG, "it is not found again");
        tokio::time::sleep(Duration::from_millis(100)).await;
        wish += 1;
    }
    open.adds_up().await;
}

pub(crate) async fn a_flaky_provider_is_asked_again_within_the_budget(open: Open) {
    let ada = open.customer("ada").await;
    open.shop.setup.flags.set(FaultPayment::Flaky);
    open.shop.setup.flags.set(FaultEmail::Flaky);
    for wish in 0..40 {
        if let Err(problem) = buy(&ada, &open, wish).await {
            assert!(problem.is(Kind::Unavailable), "{problem:?}");
        }
    }
    let line = between(&open).await;
    let count = |name: &str| line["retry"][name].as_u64().expect("a count");
    let reached = open.shop.setup.provider.calls().reached;
    assert!(count("retried") <= count("offered") / 10, "{line}");
    assert!(reached <= 40 + count("retried"), "{reached} calls reached it: {line}");
    open.adds_up().await;
}

pub(crate) async fn who_has_no_time_left_gets_nothing_and_owes_nothing(open: Open) {
    let ada = open.customer("ada").await;
    ada.put(open.products[0], 1).await.expect("in the cart");
    let bearer = format!("Bearer {}", ada.token);
    let buying = async |left: &str, key: &str| {
        let headers =
            [("authorization", bearer.as_str()), ("idempotency-key", key), ("time-left", left)];
        let card = json!({"card": "tok_ok"});
        ask(&open.gateway, Method::POST, "/api/orders/checkout", &card, &headers).await
    };
    refused(buying("0", "no-time-at-all").await, Kind::TimedOut, "nothing left");
    assert_eq!(ada.get("/api/orders").await.expect("orders"), json!([]), "nothing was begun");
    assert_eq!(open.shop.setup.provider.calls().reached, 0);

    // It charges, and never answers. The customer hears of it in time; the order goes on.
    open.shop.setup.flags.set(FaultPayment::Hang);
    let begun = Instant::now();
    refused(buying("1500", "not-time-enough").await, Kind::TimedOut, "a second and a half");
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1500) && took < Duration::from_millis(3500), "{took:?}");
    open.shop.setup.flags.set(FaultPayment::Off);
    let begun = Instant::now();
    let ended = loop {
        assert!(begun.elapsed() < LONG, "the order does not come to its end");
        let orders = ada.get("/api/orders").await.expect("orders");
        match orders[0]["state"].as_str() {
            Some("confirmed" | "cancelled" | "rejected") => break orders[0].clone(),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    // Charged within its time, though nobody heard of it: then it is theirs.
    let charged = open.shop.setup.provider.books().kept() > 0;
    assert_eq!(ended["state"] == "confirmed", charged, "{ended}");
    open.adds_up().await;
}
