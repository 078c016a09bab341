//! A checkout that is answered at once, and how it comes along.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};
use shop_contracts::Kind;
use shop_contracts::orders::Trace;
use tokio::time::{sleep, timeout};

use crate::open::{Open, Somebody, refused};

const LONG: Duration = Duration::from_secs(60);

async fn ask(
    open: &Open,
    who: &Somebody,
    method: Method,
    path: &str,
    body: &Value,
    more: &[(&'static str, &str)],
) -> Response<bytes::Bytes> {
    let bearer = format!("Bearer {}", who.token);
    let headers: Vec<_> = [("authorization", bearer.as_str())]
        .iter()
        .chain(more)
        .map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
        })
        .collect();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    open.gateway.forward(method, path, body.into(), &headers).await.expect("an answer")
}

/// Buys; the answer is 202, and says where the order is.
async fn place(open: &Open, who: &Somebody, card: &str, key: &str) -> String {
    let (path, key) = ("/api/orders/checkout", [("idempotency-key", key)]);
    let answer = ask(open, who, Method::POST, path, &json!({"card": card}), &key).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED, "{:?}", answer.body());
    let order: Value = serde_json::from_slice(answer.body()).expect("an order");
    assert_eq!(order["state"], "pending");
    let location = answer.headers()["location"].to_str().expect("text").to_owned();
    assert_eq!(location, format!("/api/orders/{}", order["id"].as_str().expect("an id")));
    location
}

/// The names of the states that are told, up to the end, for somebody who knows of `known`.
async fn told(
    open: &Open,
    who: &Somebody,
    location: &str,
    known: &[(&'static str, &str)],
) -> Vec<String> {
    let path = format!("{location}/progress");
    let answer = timeout(LONG, ask(open, who, Method::GET, &path, &Value::Null, known)).await;
    let answer = answer.expect("it ends");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let text = String::from_utf8(answer.body().to_vec()).expect("text");
    let states = text.lines().filter_map(|line| line.strip_prefix("id: ")).map(str::to_owned);
    states.collect()
}

pub(crate) async fn a_checkout_is_answered_at_once_and_tells_how_it_comes_along(open: Open) {
    open.switch("pattern.async", "on");
    let ada = open.customer("ada").await;
    ada.put(open.products[0], 2).await.expect("in the cart");
    let location = place(&open, &ada, "tok_ok", "first-wish").await;
    let states = told(&open, &ada, &location, &[]).await;
    assert_eq!(states.last().map(String::as_str), Some("confirmed"), "{states:?}");
    let mut once = states.clone();
    once.dedup();
    assert_eq!(states, once);
    let order = ada.get(&location).await.expect("the order");
    assert_eq!(order["state"], "confirmed");
    assert_eq!(ada.buy("tok_ok", "first-wish").await.expect("the same"), order);

    // Who comes back hears no more than what he has not heard, and then nothing.
    let known = [("last-event-id", "paid")];
    assert_eq!(told(&open, &ada, &location, &known).await, ["confirmed"]);
    let (path, known) = (format!("{location}/progress"), [("last-event-id", "confirmed")]);
    let over = ask(&open, &ada, Method::GET, &path, &Value::Null, &known).await;
    assert_eq!(over.status(), StatusCode::NO_CONTENT);
    let bob = open.customer("bob").await;
    refused(bob.get(&path).await, Kind::NotFound, "somebody else's");

    timeout(LONG, async {
        while open.shop.setup.mail.sent().is_empty()
            || ada.get("/api/cart").await.expect("a cart")["lines"] != json!([])
        {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("a mail, and an empty cart");
    assert_eq!(open.shop.setup.mail.sent().len(), 1);
    open.adds_up().await;
}

pub(crate) async fn a_declined_card_is_undone_and_its_trace_says_so(open: Open) {
    open.switch("pattern.async", "on");
    let ada = open.customer("ada").await;
    ada.put(open.products[0], 1).await.expect("in the cart");
    let location = place(&open, &ada, "tok_declined", "first-wish").await;
    let states = told(&open, &ada, &location, &[]).await;
    assert_eq!(states.last().map(String::as_str), Some("cancelled"), "{states:?}");
    refused(ada.buy("tok_declined", "first-wish").await, Kind::PaymentDeclined, "declined");

    let Trace { order, saga, happened, .. } =
        open.shop.peers.orders.trace("latest").await.expect("a trace");
    assert_eq!(format!("/api/orders/{}", order.id), location);
    assert_eq!(saga.as_deref(), Some("compensated"));
    let happened: Vec<_> = happened
        .iter()
        .map(|one| {
            let said = one.said.split(": ").next().unwrap_or_default();
            (one.what.as_str(), one.of.as_str(), said)
        })
        .filter(|one| one.0 != "event")
        .collect();
    assert_eq!(
        happened,
        [
            ("do", "reserve", "done"),
            ("journal", "reserve", "done"),
            ("do", "charge", "refused"),
            ("journal", "charge", "refused"),
            ("undo", "reserve", "done"),
            ("journal", "reserve", "undone"),
        ]
    );
    let events = timeout(LONG, async {
        loop {
            let trace = open.shop.peers.orders.trace(&order.id.to_string()).await.expect("a trace");
            let events: Vec<_> =
                trace.happened.into_iter().filter(|one| one.what == "event").collect();
            if events.iter().all(|one| one.took.is_some()) {
                return events;
            }
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("all are told");
    let kinds: Vec<_> = events.iter().map(|one| one.of.as_str()).collect();
    assert_eq!(kinds, ["order.placed.v1", "order.cancelled.v1"]);
    assert!(open.shop.setup.mail.sent().is_empty());
    open.adds_up().await;
}
