//! However many customers there are, the series stay as many as they were.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use observability::metrics::OTHER;
use observability::metrics::text::{Labels, Sample};
use serde_json::Value;
use shop_contracts::id::{CustomerId, OrderId, ProductId};
use shop_contracts::users::Role;
use shop_contracts::{Kind, Peer, Problem};
use tokio::task::JoinSet;

use super::scrape;
use crate::open::{Open, Somebody, ask};

/// So many requests are under way at once.
const AT_ONCE: usize = 16;
const HOUR: Duration = Duration::from_secs(3600);
/// No service has more series than this. A route costs 17 of them for each status.
const BOUND: usize = 600;

type Series = BTreeMap<&'static str, BTreeSet<(String, Labels)>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_customers_are_no_more_series_than_a_thousand() {
    let open = Open::embedded().await;
    // Some buy as well: with an account, which costs a hash that is slow on purpose.
    for name in ["ada", "ben", "cyd"] {
        let buyer = open.customer(name).await;
        buyer.put(open.products[0], 1).await.expect("in the cart");
        buyer.buy("tok_ok", &format!("{name}-wishes")).await.expect("confirmed");
    }
    come(&open, 0..1_000).await;
    let few = series(&open).await;
    come(&open, 1_000..10_000).await;
    let many = series(&open).await;
    assert_eq!(many.len(), 8);
    for (service, many) in &many {
        let new: Vec<_> = many.difference(&few[service]).collect();
        assert!(new.is_empty(), "{service} has {} series more: {:?}", new.len(), new.first());
        assert!(many.len() < BOUND, "{service} has {} series", many.len());
        for (name, labels) in many {
            for (label, value) in labels {
                assert!(!is_somebodys(value), "{service}: {name} has {label}={value}");
                assert_ne!(value, OTHER, "{service}: {name} has had no place for a series");
            }
        }
    }
    // What is new would be seen.
    ask(&open.gateway, Method::GET, "/api/me", &Value::Null, &[]).await.expect_err("nobody");
    assert!(series(&open).await["gateway"].len() > many["gateway"].len());
}

/// Each of these customers comes with a token of their own, and asks for what nobody else asks for.
async fn come(open: &Open, customers: Range<usize>) {
    let mut inside = JoinSet::new();
    for number in customers {
        let token = open.shop.setup.tokens.issue(CustomerId::new(), Role::Customer, HOUR);
        let (gateway, customer) = (open.gateway.clone(), open.with(token));
        let behind = open.shop.peers.all()[number % 7].clone();
        inside.spawn(async move { asks(&gateway, &customer, &behind, number).await });
        if inside.len() == AT_ONCE {
            inside.join_next().await.expect("somebody").expect("no panic");
        }
    }
    inside.join_all().await;
}

async fn asks(gateway: &Peer, customer: &Somebody, behind: &Peer, number: usize) {
    not_found(customer.get(&format!("/api/orders/{}", OrderId::new())).await);
    let product = ProductId::new();
    match number % 8 {
        0 => not_found(customer.get(&format!("/api/products/{product}")).await),
        2 => not_found(customer.get(&format!("/api/products/{product}/availability")).await),
        4 => drop(customer.get("/api/cart").await.expect("an empty cart")),
        6 => {
            // No route takes this: it must not become one.
            let path = format!("/of/customer-{number}@customers.example/{product}");
            let answer = gateway.forward(Method::GET, &path, Bytes::new(), &[]).await;
            assert_eq!(answer.expect("an answer").status(), 404);
        }
        _ => asks_behind(behind).await,
    }
}

/// As a service asks another, past the door.
async fn asks_behind(service: &Peer) {
    let id = CustomerId::new();
    let path = match service.name() {
        "catalog" => format!("/products/{id}"),
        "users" => format!("/customers/{id}"),
        "carts" => format!("/carts/{id}"),
        "orders" => format!("/orders?customer={id}"),
        "inventory" => format!("/reservations/{id}"),
        name => format!("/{name}/{id}"),
    };
    let told = ask(service, Method::GET, &path, &Value::Null, &[]).await;
    match service.name() {
        "carts" | "orders" => drop(told.expect("an empty list")),
        _ => not_found(told),
    }
}

fn not_found(told: Result<Value, Problem>) {
    let problem = told.expect_err("there is no such thing");
    assert!(problem.is(Kind::NotFound), "{problem:?}");
}

async fn series(open: &Open) -> Series {
    let of = |samples: Vec<Sample>| samples.into_iter().map(|one| (one.name, one.labels)).collect();
    let scraped = scrape::of_each(open).await.into_iter();
    scraped.map(|(service, samples)| (service, of(samples))).collect()
}

/// Whether it looks like an address, a token, or an id: of any kind that this shop has.
fn is_somebodys(value: &str) -> bool {
    let is_of_an_id = |letter: char| letter.is_ascii_hexdigit() || letter == '-';
    let parts = value.split(|letter| !is_of_an_id(letter));
    let ids = parts.filter(|part| {
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        digits >= 4 && part.len() >= 6
    });
    value.contains('@') || value.len() > 80 || ids.count() > 0
}

#[test]
fn what_is_somebodys_is_seen() {
    let id = CustomerId::new().to_string();
    let path = format!("/carts/{id}/items");
    let digits = id.replace('-', "");
    for somebodys in
        ["ada@customers.example", &id, &path, &digits, "customer-004711", &"x".repeat(81)]
    {
        assert!(is_somebodys(somebodys), "{somebodys}");
    }
    for nobodys in ["/carts/{customer}/items/{product}", "0.075", "+Inf", "GET", "half-open", "499"]
    {
        assert!(!is_somebodys(nobodys), "{nobodys}");
    }
}
