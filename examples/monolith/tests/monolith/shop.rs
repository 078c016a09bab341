//! A monolith that answers, what stands around it, and customers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method};
use monolith::Monolith;
use monolith::books::Books;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use shop_contracts::carts::Cart;
use shop_contracts::id::{CustomerId, ProductId};
use shop_contracts::orders::Order;
use shop_contracts::users::{Customer, Role};
use shop_contracts::{Peer, Problem};
use shop_outside::{mail, payment, supplier};
use shop_service::token::{LIFE, Tokens};
use shop_service::{Running, Stop, serve_locally};
use testbed::place::Place;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// For what must happen and takes as long as it takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// So long that no test waits for its end.
pub(crate) const ENDLESS: Duration = Duration::from_secs(600);

pub(crate) struct Shop {
    pub(crate) monolith: Monolith,
    pub(crate) provider: payment::Provider,
    pub(crate) mail: mail::Server,
    pub(crate) tokens: Tokens,
    pub(crate) list: supplier::Catalogue,
    pub(crate) peer: Peer,
    /// Before the place, so that it is dropped first.
    running: Running,
    _stop: Stop,
    pub(crate) place: Place,
}

impl Shop {
    /// Where the provider and the mail server answer as good as at once.
    pub(crate) async fn open(place: Place) -> Shop {
        Shop::with(place, Duration::from_millis(2), Duration::from_millis(2)).await
    }

    pub(crate) async fn with(place: Place, payment: Duration, email: Duration) -> Shop {
        let provider = payment::Provider::new(payment);
        let mail = mail::Server::new(email);
        let tokens = Tokens::new(&Tokens::secret());
        let monolith = Monolith::open(place.url(), provider.clone(), mail.clone(), tokens.clone())
            .await
            .expect("a database");
        let list = supplier::list(7, 60);
        monolith.seed(&list).await.expect("something to sell");
        let stop = Stop::default();
        let running = serve_locally("monolith", monolith.router(), &stop).await.expect("a port");
        let peer = Peer::new("monolith", running.url()).patience(DEADLINE);
        Shop { monolith, provider, mail, tokens, list, peer, running, _stop: stop, place }
    }

    /// The product of this rank in the supplier's list.
    pub(crate) fn product(&self, rank: usize) -> ProductId {
        ProductId(self.list.products[rank].id)
    }

    /// Somebody with an account and an empty cart.
    pub(crate) async fn customer(&self, email: &str) -> Buyer {
        let wish = json!({"email": email, "password": "correct horse", "name": "Somebody"});
        let registered: Customer =
            self.peer.call(Method::POST, "/api/register", Some(&wish)).await.expect("an account");
        self.known_as(registered.id)
    }

    /// Somebody with something in the cart.
    pub(crate) async fn buyer(&self, email: &str, product: ProductId, quantity: u32) -> Buyer {
        let buyer = self.customer(email).await;
        buyer.put(product, quantity).await.expect("room in the cart");
        buyer
    }

    /// Whoever has a token for this account.
    pub(crate) fn known_as(&self, id: CustomerId) -> Buyer {
        Buyer {
            id,
            peer: self.peer.clone(),
            token: self.tokens.issue(id, Role::Customer, LIFE),
            address: self.running.address,
        }
    }

    /// Waits until the provider has booked so many charges.
    pub(crate) async fn charged(&self, charges: usize) {
        until("a charge", async || self.provider.books().entries.len() >= charges).await;
    }

    pub(crate) async fn books(&self) -> Books {
        self.monolith.books().await.expect("sums")
    }

    /// That our books fit together. Answers what the provider holds beyond them, in cents.
    pub(crate) async fn unexplained(&self) -> i64 {
        let books = self.books().await;
        let delivered: i64 = self.list.products.iter().map(|listing| listing.stock).sum();
        assert_eq!(books.revenue, books.paid, "{books:?}");
        assert_eq!([books.payments, books.notifications], [books.orders; 2], "{books:?}");
        assert_eq!(books.stock + books.units, delivered, "{books:?}");
        assert!(books.lowest >= 0, "{books:?}");
        self.provider.books().kept() - books.revenue
    }
}

/// Waits for what another task brings about.
pub(crate) async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !so().await {
        assert!(began.elapsed() < DEADLINE, "{what} never came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Somebody who is logged in.
#[derive(Clone)]
pub(crate) struct Buyer {
    pub(crate) id: CustomerId,
    pub(crate) token: String,
    pub(crate) peer: Peer,
    pub(crate) address: SocketAddr,
}

impl Buyer {
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        self.ask(Method::GET, path, None::<()>).await
    }

    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<impl Serialize>,
    ) -> Result<T, Problem> {
        let body =
            body.map_or(Bytes::new(), |body| serde_json::to_vec(&body).expect("JSON").into());
        let token = HeaderValue::try_from(format!("Bearer {}", self.token)).expect("ASCII");
        let answer = self.peer.forward(method, path, body, &[(AUTHORIZATION, token)]).await?;
        if answer.status().is_success() {
            Ok(serde_json::from_slice(answer.body()).expect("what was promised"))
        } else {
            Err(serde_json::from_slice(answer.body()).expect("a problem"))
        }
    }

    pub(crate) async fn cart(&self) -> Cart {
        self.get("/api/cart").await.expect("a cart")
    }

    pub(crate) async fn put(&self, product: ProductId, quantity: u32) -> Result<Cart, Problem> {
        let path = format!("/api/cart/items/{product}");
        self.ask(Method::PUT, &path, Some(json!({"quantity": quantity}))).await
    }

    pub(crate) async fn orders(&self) -> Vec<Order> {
        self.get("/api/orders").await.expect("orders")
    }

    pub(crate) async fn checkout(&self) -> Result<Order, Problem> {
        self.checkout_with("tok_ok").await
    }

    pub(crate) async fn checkout_with(&self, card: &str) -> Result<Order, Problem> {
        self.ask(Method::POST, "/api/orders/checkout", Some(json!({"card": card}))).await
    }

    /// Asks for a checkout on a connection of its own. Dropping it hangs up.
    pub(crate) async fn checkout_on_a_line_of_its_own(&self) -> TcpStream {
        let body = r#"{"card": "tok_ok"}"#;
        let (token, length) = (&self.token, body.len());
        let request = format!(
            "POST /api/orders/checkout HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let mut line = TcpStream::connect(self.address).await.expect("a connection");
        line.write_all(request.as_bytes()).await.expect("a request");
        line
    }

    /// Sends these very words, and answers the status and the rest.
    pub(crate) async fn say(&self, head: &str, body: &[u8]) -> (u16, String) {
        let mut line = TcpStream::connect(self.address).await.expect("a connection");
        let length = body.len();
        let head = format!(
            "{head}\r\nHost: shop\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        line.write_all(head.as_bytes()).await.expect("a head");
        line.write_all(body).await.expect("a body");
        let mut answer = String::new();
        line.read_to_string(&mut answer).await.expect("an answer");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), answer)
    }
}
