//! A shop for one test: open, filled, and with two customers in it.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use shop::books;
use shop::goods;
use shop::place::Place;
use shop::whole::{Setup, Shop};
use shop_contracts::id::ProductId;
use shop_contracts::{Kind, Peer, Problem};
use shop_outside::{mail, payment};

pub(crate) struct Open {
    pub(crate) shop: Shop,
    /// Kept as long as the shop.
    pub(crate) place: Place,
    /// What is on sale, the first one in plenty.
    pub(crate) products: Vec<ProductId>,
    pub(crate) gateway: Peer,
}

/// Somebody who is logged in, and how they ask.
#[derive(Clone)]
pub(crate) struct Somebody {
    gateway: Peer,
    pub(crate) token: String,
}

impl Open {
    pub(crate) async fn embedded() -> Open {
        Open::at(Place::passing().expect("a folder")).await
    }

    pub(crate) async fn real() -> Open {
        Open::at(Place::real().await.expect("PostgreSQL and Redis")).await
    }

    pub(crate) async fn brokered() -> Open {
        let place = Place::passing().expect("a folder");
        Open::at(place.with_broker().await.expect("RabbitMQ")).await
    }

    async fn at(place: Place) -> Open {
        // Payment and mail without their latency: what is tested here does not depend on it.
        let setup = Setup {
            provider: payment::Provider::new(Duration::from_millis(4)),
            mail: mail::Server::new(Duration::from_millis(4)),
            ..Setup::default()
        };
        let shop = Shop::open(&place, setup).await.expect("the shop opens");
        let products = goods::take_in(&shop.peers, 1, 40).await.expect("goods");
        let gateway = Peer::new("gateway", shop.url()).patience(Duration::from_secs(30));
        Open { shop, place, products, gateway }
    }

    /// Sets a switch, as an operator does.
    pub(crate) fn switch(&self, name: &str, variant: &str) {
        let set = json!({"flags": {name: {"defaultVariant": variant}}});
        self.shop.setup.flags.merge(set.to_string()).expect("a switch and a variant of it");
    }

    pub(crate) async fn customer(&self, name: &str) -> Somebody {
        let email = format!("{name}@customers.example");
        let new = json!({"email": email, "password": "open sesame", "name": name});
        ask(&self.gateway, Method::POST, "/api/customers", &new, &[]).await.expect("an account");
        self.login(&email, "open sesame").await
    }

    pub(crate) async fn login(&self, email: &str, password: &str) -> Somebody {
        let login = json!({"email": email, "password": password});
        let told = ask(&self.gateway, Method::POST, "/api/tokens", &login, &[]).await;
        let token = told.expect("a token")["access_token"].as_str().expect("a text").to_owned();
        self.with(token)
    }

    /// Whoever has this token.
    pub(crate) fn with(&self, token: String) -> Somebody {
        Somebody { gateway: self.gateway.clone(), token }
    }

    /// Every line of the books holds.
    pub(crate) async fn adds_up(&self) {
        for invariant in books::audit(&self.shop.peers).await.expect("books") {
            assert!(invariant.holds, "{}: {}", invariant.what, invariant.figures);
        }
    }
}

impl Somebody {
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value, Problem> {
        ask(&self.gateway, method, path, body, &[("authorization", &self.bearer())]).await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Problem> {
        self.ask(Method::GET, path, &Value::Null).await
    }

    pub(crate) async fn put(&self, product: ProductId, quantity: u32) -> Result<Value, Problem> {
        let path = format!("/api/cart/items/{product}");
        self.ask(Method::PUT, &path, &json!({"quantity": quantity})).await
    }

    pub(crate) async fn buy(&self, card: &str, key: &str) -> Result<Value, Problem> {
        let headers = [("authorization", self.bearer()), ("idempotency-key", key.to_owned())];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = json!({"card": card});
        ask(&self.gateway, Method::POST, "/api/orders/checkout", &body, &headers).await
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }
}

pub(crate) async fn ask(
    gateway: &Peer,
    method: Method,
    path: &str,
    body: &Value,
    headers: &[(&'static str, &str)],
) -> Result<Value, Problem> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    raw(gateway, method, path, body, headers).await
}

/// Asks with any bytes for a body, and holds the shop to its word: a refusal is a problem, with
/// the status that it names, and never the shop's own failure.
pub(crate) async fn raw(
    gateway: &Peer,
    method: Method,
    path: &str,
    body: impl Into<bytes::Bytes>,
    headers: &[(&'static str, &str)],
) -> Result<Value, Problem> {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| {
            let value = HeaderValue::from_str(value).expect("a header's value");
            (HeaderName::from_static(name), value)
        })
        .collect();
    let answer = gateway.forward(method, path, body.into(), &headers).await.expect("an answer");
    let status = answer.status();
    if !status.is_success() {
        let kind = answer.headers().get("content-type").map(HeaderValue::as_bytes);
        assert_eq!(kind, Some(&b"application/problem+json"[..]), "{status} {:?}", answer.body());
        let problem: Problem = serde_json::from_slice(answer.body()).expect("a problem");
        assert_eq!(problem.status, status.as_u16());
        return Err(problem);
    }
    Ok(serde_json::from_slice(answer.body()).unwrap_or(Value::Null))
}

pub(crate) fn refused(told: Result<Value, Problem>, kind: Kind, what: &str) -> Problem {
    let problem = told.expect_err(what);
    assert!(problem.is(kind), "{what}: expected {kind:?}, got {problem:?}");
    problem
}
