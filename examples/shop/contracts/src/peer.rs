//! How one service asks another: JSON over HTTP/1.1, on connections that are kept. Services in one
//! process ask each other with the same requests and without a socket between them, as Loki and
//! Jaeger do it in their single program: see [`Peer::is_here`].
//!
//! Every call ends: after [`Peer::patience`] it is given up as [`Kind::TimedOut`]. Whether the
//! other side carried it out is then unknown, so what must not happen twice is named by its
//! caller, with the order's id, and may be asked again.
//!
//! A refusal by the other side comes back as the [`Problem`] that it sent. A service that is not
//! there is [`Kind::Unavailable`].
//!
//! This is the bare call. What stands around it, retries, breakers and the like, comes from whoever
//! makes the peer: see [`Peer::through`].

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::{Kind, Problem};
use crate::{carts, catalog, inventory, notifications, orders, payments, users};

/// The longest answer that is read: the whole catalogue fits many times.
const LONGEST: usize = 16 << 20;

/// How a service in this process is asked: a request goes in, its answer comes out.
pub type Here = Arc<dyn Fn(Request<Bytes>) -> Answering + Send + Sync>;

/// An answer under way.
pub type Answering = Pin<Box<dyn Future<Output = Result<Response<Bytes>, Problem>> + Send>>;

/// One service, as others see it. Clones share its connections.
#[derive(Clone)]
pub struct Peer {
    wire: Arc<Wire>,
    patience: Duration,
    /// What stands around the wire.
    around: Option<Here>,
}

/// The way to a service, and nothing around it.
struct Wire {
    name: &'static str,
    base: String,
    http: Client<HttpConnector, Full<Bytes>>,
    here: OnceLock<Here>,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({} at {})", self.name(), self.base())
    }
}

impl Peer {
    /// The service `name` at `base`, such as `http://127.0.0.1:8081`.
    pub fn new(name: &'static str, base: impl Into<String>) -> Peer {
        let mut connector = HttpConnector::new();
        // A request is one small write, and Nagle's algorithm would hold the next one back.
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(1)));
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        let base = base.into().trim_end_matches('/').to_owned();
        let wire = Arc::new(Wire { name, base, http, here: OnceLock::new() });
        Peer { wire, patience: Duration::from_secs(5), around: None }
    }

    /// From now on the service is asked in this process, without a socket: by all clones of this.
    /// The requests and answers are the same, headers and all. Of two ways the first one holds.
    pub fn is_here(&self, here: Here) {
        let _ = self.wire.here.set(here);
    }

    /// The same, with another patience.
    pub fn patience(mut self, patience: Duration) -> Peer {
        self.patience = patience;
        self
    }

    /// The same, with what `around` puts around its bare calls, each of which is a request that is
    /// sent once and waits for its answer without end: patience is a part of what stands around.
    /// `around` is told how long that is to be.
    pub fn through(mut self, around: impl FnOnce(Here, Duration) -> Here) -> Peer {
        let wire = Arc::clone(&self.wire);
        let bare: Here = Arc::new(move |request| {
            let wire = Arc::clone(&wire);
            Box::pin(async move { wire.exchange(request).await })
        });
        self.around = Some(around(bare, self.patience));
        self
    }

    /// Which service this is.
    pub fn name(&self) -> &'static str {
        self.wire.name
    }

    /// Where it is.
    pub fn base(&self) -> &str {
        &self.wire.base
    }

    /// Asks, and reads the answer as `T`.
    ///
    /// # Errors
    /// The problem that the service answered with; [`Kind::Unavailable`], [`Kind::TimedOut`];
    /// [`Kind::Internal`] for an answer that is not what was agreed.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        self.call(Method::GET, path, None::<&()>).await
    }

    /// Asks with a body; see [`Peer::get`].
    ///
    /// # Errors
    /// As for [`Peer::get`].
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Problem> {
        let body = match body {
            Some(body) => serde_json::to_vec(body).map_err(|_| Problem::internal())?.into(),
            None => Bytes::new(),
        };
        Self::read(self.name(), self.forward(method, path, body, &[]).await?)
    }

    /// Reads what `name` answered: a `T`, or a problem.
    ///
    /// # Errors
    /// That problem; [`Kind::Internal`] for an answer that is neither.
    pub fn read<T: DeserializeOwned>(name: &str, answer: Response<Bytes>) -> Result<T, Problem> {
        let garbled = |error: serde_json::Error| {
            Problem::new(Kind::Internal, format!("{name} answered strangely: {error}"))
        };
        let status = answer.status();
        let body = match status {
            StatusCode::NO_CONTENT => Bytes::from_static(b"null"),
            _ => answer.into_body(),
        };
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(garbled);
        }
        Err(serde_json::from_slice(&body).unwrap_or_else(garbled))
    }

    /// Asks, and passes the answer on as it is, a refusal too.
    ///
    /// # Errors
    /// [`Kind::Unavailable`], [`Kind::TimedOut`].
    pub async fn forward(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<Response<Bytes>, Problem> {
        let mut request = Request::builder().method(method).uri(path);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(body).map_err(|error| {
            Problem::new(Kind::Malformed, format!("{path} is no address: {error}"))
        })?;
        match &self.around {
            Some(around) => around(request).await,
            None => patiently(self.name(), self.patience, self.wire.exchange(request)).await,
        }
    }
}

async fn patiently(
    name: &str,
    patience: Duration,
    answer: impl Future<Output = Result<Response<Bytes>, Problem>>,
) -> Result<Response<Bytes>, Problem> {
    tokio::time::timeout(patience, answer).await.unwrap_or_else(|_| Err(late(name, patience)))
}

/// What is told of a service that has not answered for so long.
pub fn late(name: &str, waited: Duration) -> Problem {
    Problem::new(Kind::TimedOut, format!("{name} took over {} s", waited.as_secs_f64()))
}

impl Wire {
    /// Sends one request, whose address is a path, and waits for its answer without end.
    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Problem> {
        if let Some(here) = self.here.get() {
            return here(request).await;
        }
        let (mut head, body) = request.into_parts();
        head.uri = format!("{}{}", self.base, head.uri).parse().map_err(|error| {
            let Wire { name, base, .. } = self;
            Problem::new(Kind::Malformed, format!("{base} is no address of {name}: {error}"))
        })?;
        let request = Request::from_parts(head, Full::new(body));
        let answer = self.http.request(request).await.map_err(|error| self.lost(&error))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, LONGEST).collect().await.map_err(|error| {
            Problem::new(Kind::Unavailable, format!("{} broke off: {error}", self.name))
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    fn lost(&self, error: &hyper_util::client::legacy::Error) -> Problem {
        let what = if error.is_connect() { "is not there" } else { "broke off" };
        Problem::new(Kind::Unavailable, format!("the service `{}` {what}", self.name))
    }
}

/// Every service but the gateway: a client for each.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Peers {
    pub catalog: catalog::Client,
    pub users: users::Client,
    pub carts: carts::Client,
    pub orders: orders::Client,
    pub inventory: inventory::Client,
    pub payments: payments::Client,
    pub notifications: notifications::Client,
}

impl Peers {
    /// Their names, in the order in which [`Peers::at`] asks for their addresses.
    pub const NAMES: [&'static str; 7] =
        ["catalog", "users", "carts", "orders", "inventory", "payments", "notifications"];

    /// Where `name` listens in a shop of one machine: the gateway at `port`, the others at the seven
    /// that follow.
    pub fn port(name: &str, port: u16) -> u16 {
        let offset = (1..).zip(Self::NAMES).find(|(_, of)| *of == name).map_or(0, |(at, _)| at);
        port.saturating_add(offset)
    }

    /// Those of a shop of one machine, with its gateway at `port`.
    pub fn beside(port: u16) -> Peers {
        Self::at(|name| format!("http://127.0.0.1:{}", Self::port(name, port)))
    }

    /// Where each of them is, by its name.
    pub fn at(address: impl Fn(&'static str) -> String) -> Peers {
        let peer = |name| Peer::new(name, address(name));
        Peers {
            catalog: catalog::Client(peer("catalog")),
            users: users::Client(peer("users")),
            carts: carts::Client(peer("carts")),
            // A checkout waits for the payment provider and the mail server.
            orders: orders::Client(peer("orders").patience(Duration::from_secs(30))),
            inventory: inventory::Client(peer("inventory")),
            payments: payments::Client(peer("payments").patience(Duration::from_secs(10))),
            notifications: notifications::Client(
                peer("notifications").patience(Duration::from_secs(10)),
            ),
        }
    }

    /// The same, each as `change` makes it.
    pub fn map(self, mut change: impl FnMut(Peer) -> Peer) -> Peers {
        Peers {
            catalog: catalog::Client(change(self.catalog.0)),
            users: users::Client(change(self.users.0)),
            carts: carts::Client(change(self.carts.0)),
            orders: orders::Client(change(self.orders.0)),
            inventory: inventory::Client(change(self.inventory.0)),
            payments: payments::Client(change(self.payments.0)),
            notifications: notifications::Client(change(self.notifications.0)),
        }
    }

    /// All of them, to ask each the same.
    pub fn all(&self) -> [&Peer; 7] {
        [
            &self.catalog.0,
            &self.users.0,
            &self.carts.0,
            &self.orders.0,
            &self.inventory.0,
            &self.payments.0,
            &self.notifications.0,
        ]
    }
}
