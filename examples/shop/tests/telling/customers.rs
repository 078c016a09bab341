//! Customers who tell the shop their secrets, in every way that comes to people's minds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderName, HeaderValue, Method, Response, header};
use serde_json::{Value, json};
use shop_contracts::Peer;
use shop_contracts::id::ProductId;

use crate::searcher::Searcher;

/// One who buys.
pub(crate) struct Customer {
    gateway: Peer,
    pub(crate) email: String,
    pub(crate) password: String,
    name: String,
    number: usize,
    token: Option<String>,
    /// How often anybody was answered.
    answered: Arc<AtomicUsize>,
}

impl Customer {
    pub(crate) fn new(gateway: Peer, number: usize, answered: &Arc<AtomicUsize>) -> Customer {
        Customer {
            gateway,
            email: format!("quirina-{number}@discreet.example"),
            password: format!("Hush-{number}-open+sesame"),
            name: format!("Quirina {number} Unmentionable"),
            number,
            token: None,
            answered: Arc::clone(answered),
        }
    }

    /// One whose letters come back.
    pub(crate) fn without_a_mailbox(mut self) -> Customer {
        self.email = format!("bounce@discreet-{}.example", self.number);
        self
    }

    pub(crate) fn card(&self, of: &str) -> String {
        format!("tok_{of}_quirina_{}", self.number)
    }

    fn key(&self, wish: &str) -> String {
        format!("idempotent-{wish}-{}", self.number)
    }

    /// All that it tells, for whoever looks whether it was told on.
    pub(crate) fn secrets(&self, searcher: &mut Searcher) {
        searcher.add("email", &self.email);
        searcher.add("password", &self.password);
        searcher.add("password", &self.wrong_password());
        searcher.add("name", &self.name);
        searcher.add("card", "_quirina_");
        searcher.add("idempotency key", "idempotent-");
        if let Some(token) = &self.token {
            searcher.add_token(token);
        }
    }

    fn wrong_password(&self) -> String {
        format!("Wrong-{}-guess", self.number)
    }

    /// What is answered; nothing, where nobody is there any more.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        more: &[(&'static str, &str)],
    ) -> Option<Response<bytes::Bytes>> {
        let mut headers: Vec<_> = more
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).expect("text"))
            })
            .collect();
        if let Some(token) = &self.token
            && headers.iter().all(|(name, _)| name != header::AUTHORIZATION)
        {
            let bearer = HeaderValue::from_str(&format!("Bearer {token}")).expect("text");
            headers.push((header::AUTHORIZATION, bearer));
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.gateway.forward(method, path, body.into(), &headers).await.ok()?;
        self.answered.fetch_add(1, Ordering::Relaxed);
        Some(answer)
    }

    /// Opens an account, and logs in.
    pub(crate) async fn comes(&mut self) {
        let new = json!({"email": self.email, "password": self.password, "name": self.name});
        let opened = self.ask(Method::POST, "/api/customers", &new, &[]).await;
        assert_eq!(opened.expect("an answer").status(), 201);
        let login = json!({"email": self.email, "password": self.password});
        let token = self.ask(Method::POST, "/api/tokens", &login, &[]).await.expect("an answer");
        let token: Value = serde_json::from_slice(token.body()).expect("JSON");
        self.token = Some(token["access_token"].as_str().expect("a token").to_owned());
    }

    /// Every mistake that shows a secret where none is expected. What comes of it does not matter.
    pub(crate) async fn errs(&self) {
        let (email, password) = (&self.email, &self.password);
        let (post, get) = (Method::POST, Method::GET);
        let token = self.token.as_deref().expect("it has come");
        let twice = json!({"email": email, "password": password, "name": self.name});
        self.ask(post.clone(), "/api/customers", &twice, &[]).await;
        let wrong = json!({"email": email, "password": self.wrong_password()});
        self.ask(post.clone(), "/api/tokens", &wrong, &[]).await;
        // A field too many, one of another type, and one in the place of another.
        let more = json!({"email": email, "password": password, "secret": password});
        self.ask(post.clone(), "/api/tokens", &more, &[]).await;
        let odd = json!({"email": [email], "password": {"is": password}});
        self.ask(post.clone(), "/api/tokens", &odd, &[]).await;
        let mixed = json!({"email": password, "password": email, "name": self.name});
        self.ask(post.clone(), "/api/customers", &mixed, &[]).await;
        let escaped = email.replace('@', "%40");
        for path in [
            format!("/api/products/{email}"),
            format!("/api/products/{escaped}"),
            format!("/api/products/{token}"),
            format!("/api/products?q={escaped}"),
            format!("/api/products?token={token}"),
            format!("/api/orders/{escaped}"),
            format!("/api/nowhere/{escaped}"),
        ] {
            self.ask(get.clone(), &path, &Value::Null, &[]).await;
        }
        let forged = format!("Bearer {token}x");
        self.ask(get.clone(), "/api/cart", &Value::Null, &[("authorization", &forged)]).await;
        let basic = format!("Basic {email}:{password}");
        self.ask(get, "/api/cart", &Value::Null, &[("authorization", &basic)]).await;
        let (card, key) = (self.card("o k-"), self.key("err"));
        self.buys_with(&card, &key).await;
        self.buys_with(&self.card("ok"), &format!("{key} with a space")).await;
    }

    /// Puts one into the cart and checks out, by a good card twice and then by one that is declined.
    pub(crate) async fn shops(&self, product: ProductId, round: usize, api_key: &str) {
        let by_key = [("x-api-key", api_key)];
        self.ask(Method::GET, "/api/products?q=tea", &Value::Null, &by_key).await;
        for of in ["ok", "declined"] {
            self.puts(product).await;
            let key = self.key(&format!("{of}-{round}"));
            let card = self.card(of);
            self.buys_with(&card, &key).await;
            self.buys_with(&card, &key).await;
        }
    }

    pub(crate) async fn puts(&self, product: ProductId) -> Option<Response<bytes::Bytes>> {
        let path = format!("/api/cart/items/{product}");
        self.ask(Method::PUT, &path, &json!({"quantity": 1}), &[]).await
    }

    async fn buys_with(&self, card: &str, key: &str) -> Option<Response<bytes::Bytes>> {
        let keyed = [("idempotency-key", key)];
        self.ask(Method::POST, "/api/orders/checkout", &json!({"card": card}), &keyed).await
    }

    /// Looks and buys, until nobody answers any more.
    pub(crate) async fn goes_on(&self, product: ProductId) {
        for wish in 0.. {
            let key = self.key(&format!("wish-{wish}"));
            let look = format!("/api/products/{product}");
            if self.ask(Method::GET, &look, &Value::Null, &[]).await.is_none()
                || self.puts(product).await.is_none()
                || self.buys_with("tok_ok", &key).await.is_none()
            {
                return;
            }
        }
    }
}
