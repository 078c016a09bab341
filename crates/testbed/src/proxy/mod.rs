//! A proxy that understands Redis, PostgreSQL and RabbitMQ, and does to a connection what networks do.
//!
//! One [`Proxy`] stands before one client, so that a check can hold the reader's request while
//! the writer's passes. It counts what goes through and can
//!
//! | fault | method |
//! | --- | --- |
//! | F1 hold requests, or replies, at a gate until others have passed | [`Proxy::hold`], [`Proxy::hold_reply`] |
//! | F2 drop a request, or let it through and drop its reply | [`Proxy::cut_request`], [`Proxy::cut_reply`] |
//! | F4 close the connections | [`Proxy::kill_connections`] |
//! | latency | [`Proxy::set_delay`] |
//! | a black hole: connections stay open, nothing moves | [`Proxy::stall`] |
//! | the server is down, as its clients see it | [`Proxy::refuse`] |
//! | hold or drop what a server says by itself | [`Proxy::hold_from_server`], [`Proxy::cut_from_server`] |
//! | F9 count commands and round trips | [`Proxy::counts`] |
//!
//! What a client says to introduce itself passes uncounted and uncut: HELLO, AUTH, CLIENT and SELECT
//! to Redis, the login to PostgreSQL, and all that opens and closes connections and channels to
//! RabbitMQ.
//!
//! Before PostgreSQL a request is a statement: what a client sends until it waits for the server.
//!
//! ```no_run
//! # async fn check(postgres: testbed::postgres::Postgres) -> Result<(), Box<dyn std::error::Error>> {
//! # use testbed::proxy::Proxy;
//! # let patience = std::time::Duration::from_secs(3);
//! let proxy = Proxy::before_postgres(postgres.url()).await?;
//! let gate = proxy.hold(|request| request.is("UPDATE"));
//! // … a client of proxy.url() begins to write …
//! gate.arrived(1, patience).await?; // its UPDATE is on its way, and PostgreSQL has not seen it
//! gate.open();
//! let lost = proxy.cut_reply(|request| request.is("COMMIT")); // committed, and nobody is told
//! # Ok(()) }
//! ```
//!
//! # Before RabbitMQ
//!
//! A request is a method of AMQP 0-9-1 that the client says: `basic.publish`, with its header and
//! its body; `basic.ack`; `queue.declare`. [`Request::field`] finds in it what the specification
//! names. The reply to a publish is its confirm, if the client has asked for confirms; a
//! `basic.ack` and its like have none, and no rule for replies ever matches them. One confirm may
//! answer many publishes, and what is done to one is then done to all.
//!
//! What the broker says is matched by [`Proxy::hold_from_server`] and [`Proxy::cut_from_server`],
//! be it a confirm or a delivery. There `basic.ack` is the broker's confirm; in [`Proxy::hold`] and
//! [`Proxy::cut_request`] it is the consumer's acknowledgement.
//!
//! ```no_run
//! # async fn check(rabbit: testbed::rabbitmq::Rabbit) -> Result<(), Box<dyn std::error::Error>> {
//! # use testbed::proxy::Proxy;
//! # let patience = std::time::Duration::from_secs(3);
//! let publisher = Proxy::before_rabbitmq(rabbit.url()).await?;
//! // The broker has the order, and its publisher will never know.
//! let lost = publisher.cut_reply(|request| request.field("message-id") == Some("order-7"));
//! // The broker confirms, and no confirm arrives: who goes on without one?
//! let confirms = publisher.hold_from_server(|said| said.is("basic.ack"));
//!
//! let consumer = Proxy::before_rabbitmq(rabbit.url()).await?;
//! // The work is done, and the broker will never know: it delivers again.
//! let unacknowledged = consumer.cut_request(|request| request.is("basic.ack"));
//! let deliveries = consumer.hold_from_server(|said| said.is("basic.deliver"));
//! # Ok(()) }
//! ```
//!
//! What passed before a cut is carried out: on that side the proxy closes the connection as the
//! protocol wants it. After [`Proxy::kill_connections`], as after a client's end, RabbitMQ may
//! forget what it has received and has neither confirmed nor answered.
//!
//! # Where it listens
//!
//! On a unix socket in a private folder. A port could be taken by another program between
//! [`Proxy::refuse`] and [`Proxy::accept`]; a path of our own cannot. Clients of RabbitMQ know
//! nothing but TCP, so before it the proxy has a free port of 127.0.0.1 and listens on that as
//! long as it lives: while it refuses, it closes each connection as soon as it is made. A client
//! then sees a reset, or an end, where a server that is down would have it see a refusal.

mod amqp;
mod connection;
mod line;
mod observation;
mod pgwire;
mod resp;
mod room;
mod rule;
mod wire;

pub use observation::Observation;
pub use rule::{Landed, Request};

use crate::gate::Gate;
use crate::postgres;
use crate::rabbitmq;
use crate::server::Address;
use line::{accept, accept_at_port};
use redis::{ConnectionAddr, IntoConnectionInfo};
use room::Room;
use rule::{Fate, Rules};
use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Why a proxy could not stand before a server.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The server's URL is not one.
    #[error("the server's URL cannot be read: {0}")]
    Url(#[from] redis::RedisError),
    /// The server's URL is not one.
    #[error("the server's URL cannot be read: {0}")]
    PostgresUrl(String),
    /// The server's URL is not one.
    #[error("the server's URL cannot be read: {0}")]
    RabbitmqUrl(String),
    /// The proxy cannot look into encrypted traffic.
    #[error(
        "the server's URL asks for TLS, and the proxy must read what passes; use redis:// or amqp://"
    )]
    Tls,
    /// No socket could be opened in the temporary folder.
    #[error("no socket for the proxy in {}: {source}; is TMPDIR writable?", dir.display())]
    Socket {
        /// Where it was tried.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No port of 127.0.0.1 could be opened.
    #[error("no port for the proxy on 127.0.0.1: {0}; are there too many open files?")]
    Port(io::Error),
}

type Observer = Box<dyn Fn(Observation) + Send + Sync>;

/// A proxy before one client. It ends when it is dropped, and its connections with it.
pub struct Proxy {
    shared: Arc<Shared>,
    accepting: Mutex<JoinHandle<()>>,
    door: Door,
    url: String,
}

/// Where clients come in.
enum Door {
    Socket {
        room: Room,
        name: &'static str,
    },
    /// A port, which is open for as long as the proxy stands.
    Port,
}

#[derive(Clone, Copy)]
enum Protocol {
    Redis,
    Postgres,
    Rabbitmq,
}

struct Shared {
    protocol: Protocol,
    upstream: Address,
    rules: Rules,
    /// For what the server says.
    server_rules: Rules,
    traffic: Mutex<Traffic>,
    flowing: watch::Sender<bool>,
    /// Raised to close every connection that was made before.
    generation: watch::Sender<u64>,
    delay: Mutex<Duration>,
    /// Whether a port closes what it accepts.
    refusing: AtomicBool,
    observer: Observer,
}

#[derive(Default)]
struct Traffic {
    requests: usize,
    round_trips: usize,
    commands: BTreeMap<String, usize>,
    from_server: BTreeMap<String, usize>,
}

/// What has passed through a proxy since it began or since [`Proxy::reset_count`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests of all kinds.
    pub requests: usize,
    /// Times the client had to wait for the server: requests sent together count once. Before
    /// RabbitMQ, requests that are answered by an `-ok`. Whether a client waits for a confirm cannot
    /// be seen from outside: hold the confirms, and count the publishes that come all the same.
    pub round_trips: usize,
    /// Requests by command.
    pub commands: BTreeMap<String, usize>,
    /// What RabbitMQ has said, by method: `basic.deliver`, `basic.ack` for its confirms.
    pub from_server: BTreeMap<String, usize>,
}

impl Proxy {
    /// Stands a proxy before the Redis at `upstream`, a URL as `redis::Client::open` takes it.
    ///
    /// # Errors
    /// See [`ProxyError`]. The server itself is not asked: a proxy may stand before one that is
    /// down.
    pub async fn before(upstream: &str) -> Result<Proxy, ProxyError> {
        Proxy::observed(upstream, |_| {}).await
    }

    /// Like [`Proxy::before`], and tells `observer` of everything that passes.
    ///
    /// # Errors
    /// See [`ProxyError`].
    pub async fn observed(
        upstream: &str,
        observer: impl Fn(Observation) + Send + Sync + 'static,
    ) -> Result<Proxy, ProxyError> {
        let info = upstream.into_connection_info()?;
        let upstream = match info.addr() {
            ConnectionAddr::Unix(path) => Address::Unix(path.clone()),
            ConnectionAddr::Tcp(host, port) => Address::Tcp(host.clone(), *port),
            _ => return Err(ProxyError::Tls),
        };
        let url = |socket: &Path| url_through(socket, info.redis_settings());
        Proxy::stand(Protocol::Redis, upstream, "redis.sock", url, observer)
    }

    /// Stands a proxy before the PostgreSQL at `upstream`, a URL as its clients take it. Requests
    /// are then statements: see [`Request`].
    ///
    /// # Errors
    /// As [`Proxy::before`].
    pub async fn before_postgres(upstream: &str) -> Result<Proxy, ProxyError> {
        Proxy::observed_postgres(upstream, |_| {}).await
    }

    /// Like [`Proxy::before_postgres`], and tells `observer` of everything that passes.
    ///
    /// # Errors
    /// As [`Proxy::before`].
    pub async fn observed_postgres(
        upstream: &str,
        observer: impl Fn(Observation) + Send + Sync + 'static,
    ) -> Result<Proxy, ProxyError> {
        let target = postgres::Target::read(upstream).map_err(ProxyError::PostgresUrl)?;
        let url = |socket: &Path| target.through(Address::Unix(socket.to_owned())).render();
        // Clients look for a socket of this name in the folder that the URL says.
        let socket = ".s.PGSQL.5432";
        Proxy::stand(Protocol::Postgres, target.address().clone(), socket, url, observer)
    }

    /// Stands a proxy before the RabbitMQ at `upstream`, a URL as its clients take it. Requests are
    /// then methods of AMQP 0-9-1: see [the module](self).
    ///
    /// # Errors
    /// As [`Proxy::before`].
    pub async fn before_rabbitmq(upstream: &str) -> Result<Proxy, ProxyError> {
        Proxy::observed_rabbitmq(upstream, |_| {}).await
    }

    /// Like [`Proxy::before_rabbitmq`], and tells `observer` of everything that passes.
    ///
    /// # Errors
    /// As [`Proxy::before`].
    pub async fn observed_rabbitmq(
        upstream: &str,
        observer: impl Fn(Observation) + Send + Sync + 'static,
    ) -> Result<Proxy, ProxyError> {
        let target = rabbitmq::Target::read(upstream).map_err(ProxyError::RabbitmqUrl)?;
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(ProxyError::Port)?;
        let port = listener.local_addr().map_err(ProxyError::Port)?.port();
        let url = target.through(Address::Tcp(Ipv4Addr::LOCALHOST.to_string(), port)).render();
        let shared = Shared::new(Protocol::Rabbitmq, target.address().clone(), observer);
        let accepting = Mutex::new(tokio::spawn(accept_at_port(Arc::clone(&shared), listener)));
        Ok(Proxy { shared, accepting, door: Door::Port, url })
    }

    fn stand(
        protocol: Protocol,
        upstream: Address,
        name: &'static str,
        url: impl Fn(&Path) -> String,
        observer: impl Fn(Observation) + Send + Sync + 'static,
    ) -> Result<Proxy, ProxyError> {
        let room = Room::new()
            .map_err(|source| ProxyError::Socket { dir: std::env::temp_dir(), source })?;
        let url = url(&room.path().join(name));
        let listener = listen(&room, name)?;
        let shared = Shared::new(protocol, upstream, observer);
        let accepting = Mutex::new(tokio::spawn(accept(Arc::clone(&shared), listener)));
        Ok(Proxy { shared, accepting, door: Door::Socket { room, name }, url })
    }

    /// Where the client connects.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// F1: each request that `matches` waits at the returned gate, and with it whatever its
    /// connection sends after it.
    pub fn hold(&self, matches: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Gate {
        let gate = Gate::shut();
        self.shared.rules.add(usize::MAX, matches, Fate::Hold(gate.clone()));
        gate
    }

    /// F1: the next request that `matches` waits at `gate`, which may stand before other clients
    /// too; give it [`Gate::barrier`] and they all go on together.
    pub fn hold_at(
        &self,
        gate: &Gate,
        matches: impl Fn(&Request) -> bool + Send + Sync + 'static,
    ) -> Landed {
        self.shared.rules.add(1, matches, Fate::Hold(gate.clone()))
    }

    /// F1: each request that `matches` is carried out, and its reply waits at the returned gate, and
    /// with it whatever its connection is sent after it.
    pub fn hold_reply(&self, matches: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Gate {
        let gate = Gate::shut();
        self.shared.rules.add(usize::MAX, matches, Fate::HoldReply(gate.clone()));
        gate
    }

    /// F2: the first request that `matches` never reaches the server; its connection closes.
    pub fn cut_request(
        &self,
        matches: impl Fn(&Request) -> bool + Send + Sync + 'static,
    ) -> Landed {
        self.shared.rules.add(1, matches, Fate::CutRequest)
    }

    /// F2: the first request that `matches` is carried out, and its reply lost with the
    /// connection: the client cannot know whether it happened.
    pub fn cut_reply(&self, matches: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Landed {
        self.shared.rules.add(1, matches, Fate::CutReply)
    }

    /// Each message of the server that `matches` waits at the returned gate, and with it whatever
    /// comes after it on its connection. Only RabbitMQ speaks by itself; before another server, and
    /// for what RabbitMQ says to open and close connections and channels, no message ever matches.
    pub fn hold_from_server(
        &self,
        matches: impl Fn(&Request) -> bool + Send + Sync + 'static,
    ) -> Gate {
        let gate = Gate::shut();
        self.shared.server_rules.add(usize::MAX, matches, Fate::HoldReply(gate.clone()));
        gate
    }

    /// The first message of the server that `matches` never reaches the client; its connection
    /// closes. Matches as [`Proxy::hold_from_server`] does.
    pub fn cut_from_server(
        &self,
        matches: impl Fn(&Request) -> bool + Send + Sync + 'static,
    ) -> Landed {
        self.shared.server_rules.add(1, matches, Fate::CutReply)
    }

    /// Forgets all holds and cuts. What already waits at a gate waits on.
    pub fn clear_rules(&self) {
        self.shared.rules.clear();
        self.shared.server_rules.clear();
    }

    /// Each request is late by this much from now on, and so is what RabbitMQ says by itself.
    pub fn set_delay(&self, delay: Duration) {
        *self.shared.delay.lock().unwrap_or_else(PoisonError::into_inner) = delay;
    }

    /// A black hole: connections stay open, new ones are accepted, nothing comes through.
    pub fn stall(&self) {
        self.shared.flowing.send_replace(false);
    }

    /// Ends [`Proxy::stall`]; what was under way arrives late.
    pub fn resume(&self) {
        self.shared.flowing.send_replace(true);
    }

    /// F4: closes the client's connections. It may connect again at once.
    pub fn kill_connections(&self) {
        self.shared.generation.send_modify(|generation| *generation += 1);
    }

    /// The server is down, as this client sees it: its connections close and no new one is
    /// accepted; before RabbitMQ, each new one closes at once.
    pub fn refuse(&self) {
        match &self.door {
            Door::Socket { room, name } => {
                self.stop_accepting();
                let _ = std::fs::remove_file(room.path().join(name));
            }
            Door::Port => self.shared.refusing.store(true, Ordering::SeqCst),
        }
        self.kill_connections();
    }

    /// Ends [`Proxy::refuse`].
    ///
    /// # Errors
    /// [`ProxyError::Socket`] if the socket cannot be opened again.
    pub async fn accept(&self) -> Result<(), ProxyError> {
        match &self.door {
            Door::Socket { room, name } => {
                let accepting = accept(Arc::clone(&self.shared), listen(room, name)?);
                *self.accepting.lock().unwrap_or_else(PoisonError::into_inner) =
                    tokio::spawn(accepting);
            }
            Door::Port => self.shared.refusing.store(false, Ordering::SeqCst),
        }
        Ok(())
    }

    fn stop_accepting(&self) {
        self.accepting.lock().unwrap_or_else(PoisonError::into_inner).abort();
    }

    /// F9: what has passed.
    pub fn counts(&self) -> Counts {
        let traffic = self.shared.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        Counts {
            requests: traffic.requests,
            round_trips: traffic.round_trips,
            commands: traffic.commands.clone(),
            from_server: traffic.from_server.clone(),
        }
    }

    /// Counts from zero again; [`Request::nth`] too.
    pub fn reset_count(&self) {
        *self.shared.traffic.lock().unwrap_or_else(PoisonError::into_inner) = Traffic::default();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.refuse();
        self.stop_accepting();
    }
}

impl Shared {
    fn new(
        protocol: Protocol,
        upstream: Address,
        observer: impl Fn(Observation) + Send + Sync + 'static,
    ) -> Arc<Shared> {
        Arc::new(Shared {
            protocol,
            upstream,
            rules: Rules::default(),
            server_rules: Rules::default(),
            traffic: Mutex::default(),
            flowing: watch::Sender::new(true),
            generation: watch::Sender::new(0),
            delay: Mutex::default(),
            refusing: AtomicBool::new(false),
            observer: Box::new(observer),
        })
    }

    fn tell(&self, observation: Observation) {
        (self.observer)(observation);
    }
}

fn listen(room: &Room, name: &str) -> Result<UnixListener, ProxyError> {
    UnixListener::bind(room.path().join(name))
        .map_err(|source| ProxyError::Socket { dir: room.path().to_owned(), source })
}

fn url_through(socket: &Path, settings: &redis::RedisConnectionInfo) -> String {
    let mut url = format!("redis+unix://{}?db={}", socket.display(), settings.db());
    for (name, value) in [("user", settings.username()), ("pass", settings.password())] {
        if let Some(value) = value {
            url.push_str(&format!("&{name}={value}"));
        }
    }
    url
}
