//! Somebody who buys, as a program that talks to the gateway.

use std::time::Duration;

use anyhow::{Context, Result};
use http::{HeaderName, HeaderValue, Method, header};
use rand::RngExt;
use rand::rngs::StdRng;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shop_contracts::carts::Cart;
use shop_contracts::catalog::{Category, Product};
use shop_contracts::id::{OrderId, ProductId};
use shop_contracts::orders::Order;
use shop_contracts::page::Page;
use shop_contracts::users::{Customer as Account, Token};
use shop_contracts::{Kind, Peer, Problem};
use tokio::task::JoinSet;

use super::Journey;

/// How many customers share a day's journeys. Each costs two password hashes to open and log in.
const CROWD: usize = 16;

/// What people look for.
const WORDS: [&str; 8] = ["oak", "tea", "wool", "set", "lamp", "board", "linen", "box"];

/// Where accounts are opened and logged into: the one thing in which the two shops differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The shop's gateway.
    Shop,
    /// The monolith.
    Monolith,
}

impl Door {
    fn register(self) -> &'static str {
        match self {
            Door::Shop => "/api/customers",
            Door::Monolith => "/api/register",
        }
    }

    fn login(self) -> &'static str {
        match self {
            Door::Shop => "/api/tokens",
            Door::Monolith => "/api/login",
        }
    }
}

/// Somebody with an account, logged in. Clones are the same person.
#[derive(Clone, Debug)]
pub struct Customer {
    gateway: Peer,
    token: HeaderValue,
}

impl Customer {
    /// Opens [`CROWD`] accounts at the shop at `url`, or logs into those of an earlier day.
    ///
    /// # Errors
    /// The shop does not answer, or refuses them.
    pub async fn crowd(url: &str, seed: u64) -> Result<Vec<Customer>> {
        let gateway = Peer::new("gateway", url).patience(Duration::from_secs(60));
        let mut coming = JoinSet::new();
        for number in 0..CROWD {
            let gateway = gateway.clone();
            let email = format!("customer-{seed}-{number}@example.org");
            coming.spawn(async move {
                Customer::enter(Door::Shop, gateway, &email, "a day in the shop").await
            });
        }
        coming.join_all().await.into_iter().collect()
    }

    /// Logs in, with a new account where there is none.
    ///
    /// # Errors
    /// The shop does not answer, or refuses.
    pub async fn enter(door: Door, gateway: Peer, email: &str, password: &str) -> Result<Customer> {
        let new = json!({"email": email, "password": password, "name": "A customer"});
        match gateway.call::<Account>(Method::POST, door.register(), Some(&new)).await {
            Err(problem) if !problem.is(Kind::Taken) => return Err(problem).context("no account"),
            _ => {}
        }
        let login = json!({"email": email, "password": password});
        let token: Token = gateway.call(Method::POST, door.login(), Some(&login)).await?;
        Customer::with(gateway, &token.access_token)
    }

    /// Somebody with this token.
    ///
    /// # Errors
    /// No text that a header may hold.
    pub fn with(gateway: Peer, token: &str) -> Result<Customer> {
        Ok(Customer { gateway, token: HeaderValue::from_str(&format!("Bearer {token}"))? })
    }

    pub(super) async fn go(
        &self,
        journey: Journey,
        products: &[ProductId],
        key: usize,
        random: &mut StdRng,
    ) -> Result<(), Problem> {
        let product = products[key];
        match journey {
            Journey::Browse => {
                let shelves: Vec<Category> = self.gateway.get("/api/categories").await?;
                let shelf = &shelves[random.random_range(0..shelves.len().max(1))].slug;
                let path = format!("/api/products?category={shelf}&size=10");
                let page: Page<Product> = self.gateway.get(&path).await?;
                if let Some(other) = page.items.first() {
                    Self::look(&self.gateway, other.id).await?;
                }
                Self::look(&self.gateway, product).await
            }
            Journey::Search => {
                let word = WORDS[random.random_range(0..WORDS.len())];
                let path = format!("/api/products?q={word}&size=10");
                let _: Page<Product> = self.gateway.get(&path).await?;
                Self::look(&self.gateway, product).await
            }
            Journey::Add => {
                Self::look(&self.gateway, product).await?;
                let path = format!("/api/products/{product}/availability");
                let _: Value = self.gateway.get(&path).await?;
                self.put(product, random.random_range(1..=3)).await
            }
            Journey::Checkout => {
                self.put(product, 1).await?;
                let key = format!("key-{:032x}", random.random::<u128>());
                self.buy(&key).await.map(drop)
            }
        }
    }

    /// Reads a product's page, as anybody may.
    ///
    /// # Errors
    /// The shop's refusal.
    pub async fn look(gateway: &Peer, product: ProductId) -> Result<(), Problem> {
        let _: Product = gateway.get(&format!("/api/products/{product}")).await?;
        Ok(())
    }

    /// Puts so many of a product into the cart.
    ///
    /// # Errors
    /// The shop's refusal.
    pub async fn put(&self, product: ProductId, quantity: u32) -> Result<(), Problem> {
        let path = format!("/api/cart/items/{product}");
        let _: Value = self.ask(Method::PUT, &path, &json!({"quantity": quantity}), None).await?;
        Ok(())
    }

    /// Buys what is in the cart. The same `key` is the same wish.
    ///
    /// # Errors
    /// The shop's refusal.
    pub async fn buy(&self, key: &str) -> Result<Order, Problem> {
        let body = json!({"card": "tok_ok"});
        self.ask(Method::POST, "/api/orders/checkout", &body, Some(key)).await
    }

    /// One order of theirs.
    ///
    /// # Errors
    /// The shop's refusal.
    pub async fn order(&self, id: OrderId) -> Result<Order, Problem> {
        self.ask(Method::GET, &format!("/api/orders/{id}"), &Value::Null, None).await
    }

    /// Whether nothing is in the cart.
    ///
    /// # Errors
    /// The shop's refusal.
    pub async fn cart_is_empty(&self) -> Result<bool, Problem> {
        let cart: Cart = self.ask(Method::GET, "/api/cart", &Value::Null, None).await?;
        Ok(cart.lines.is_empty())
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        key: Option<&str>,
    ) -> Result<T, Problem> {
        let mut headers = vec![(header::AUTHORIZATION, self.token.clone())];
        if let Some(key) = key.and_then(|key| HeaderValue::from_str(key).ok()) {
            headers.push((HeaderName::from_static("idempotency-key"), key));
        }
        let body = body.to_string().into();
        let answer = self.gateway.forward(method, path, body, &headers).await?;
        Peer::read(self.gateway.name(), answer)
    }
}
