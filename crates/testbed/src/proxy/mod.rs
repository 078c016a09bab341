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
//! # async fn check(amqp_url: &str) -> Result<(), Box<dyn std::error::Error>> {
//! # use testbed::proxy::Proxy;
//! # let patience = std::time::Duration::from_secs(3);
//! let publisher = Proxy::before_rabbitmq(amqp_url).await?;
//! // The broker has the order, and its publisher will never know.
//! let lost = publisher.cut_reply(|request| request.field("message-id") == Some("order-7"));
//! // The broker confirms, and no confirm arrives: who goes on without one?
//! let confirms = publisher.hold_from_server(|said| said.is("basic.ack"));
//!
//! let consumer = Proxy::before_rabbitmq(amqp_url).await?;
//! // The work is done, and the broker will never know: it delivers again.
//! let unacknowledged = consumer.cut_request(|request| request.is("basic.ack"));
//! let deliveries = consumer.hold_from_server(|said| said.is("basic.deliver"));
//! # Ok(()) }
//! ```
//!
//! What passed before a cut has reached the broker: the proxy closes that side in peace.
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
mod observation;
mod pgwire;
mod resp;
mod rule;
mod wire;

pub use observation::Observation;
pub use rule::{Landed, Request};

use crate::gate::Gate;
use crate::postgres::Target;
use crate::server::Address;
use pgwire::Pgwire;
use redis::{ConnectionAddr, IntoConnectionInfo};
use resp::Resp;
use rule::{Fate, Rules};
use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
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
        folder: tempfile::TempDir,
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
        let target = Target::read(upstream).map_err(ProxyError::PostgresUrl)?;
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
        let unread = |why: String| ProxyError::RabbitmqUrl(why);
        let mut url = url::Url::parse(upstream).map_err(|error| unread(error.to_string()))?;
        match url.scheme() {
            "amqp" => {}
            "amqps" => return Err(ProxyError::Tls),
            scheme => return Err(unread(format!("it begins with {scheme}:, and not with amqp:"))),
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| unread("it names no host".to_owned()))?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let upstream = Address::Tcp(host, url.port().unwrap_or(5672));

        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(ProxyError::Port)?;
        let port = listener.local_addr().map_err(ProxyError::Port)?.port();
        // All else of the URL, such as the virtual host, is the client's business with the broker.
        url.set_host(Some("127.0.0.1")).map_err(|error| unread(error.to_string()))?;
        url.set_port(Some(port)).map_err(|()| unread("it can have no port".to_owned()))?;
        let shared = Shared::new(Protocol::Rabbitmq, upstream, observer);
        let accepting = Mutex::new(tokio::spawn(accept_at_port(Arc::clone(&shared), listener)));
        Ok(Proxy { shared, accepting, door: Door::Port, url: url.into() })
    }

    fn stand(
        protocol: Protocol,
        upstream: Address,
        name: &'static str,
        url: impl Fn(&Path) -> String,
        observer: impl Fn(Observation) + Send + Sync + 'static,
    ) -> Result<Proxy, ProxyError> {
        let folder = tempfile::Builder::new()
            .prefix("testbed-proxy-")
            .tempdir()
            .map_err(|source| ProxyError::Socket { dir: std::env::temp_dir(), source })?;
        let url = url(&folder.path().join(name));
        let listener = listen(&folder, name)?;
        let shared = Shared::new(protocol, upstream, observer);
        let accepting = Mutex::new(tokio::spawn(accept(Arc::clone(&shared), listener)));
        Ok(Proxy { shared, accepting, door: Door::Socket { folder, name }, url })
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
            Door::Socket { folder, name } => {
                self.stop_accepting();
                let _ = std::fs::remove_file(folder.path().join(name));
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
            Door::Socket { folder, name } => {
                let accepting = accept(Arc::clone(&self.shared), listen(folder, name)?);
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

fn listen(folder: &tempfile::TempDir, name: &str) -> Result<UnixListener, ProxyError> {
    UnixListener::bind(folder.path().join(name))
        .map_err(|source| ProxyError::Socket { dir: folder.path().to_owned(), source })
}

async fn accept(shared: Arc<Shared>, listener: UnixListener) {
    while let Ok((client, _)) = listener.accept().await {
        let killed = killed(&shared);
        tokio::spawn(serve(Arc::clone(&shared), killed, client.into_split()));
    }
}

async fn accept_at_port(shared: Arc<Shared>, listener: TcpListener) {
    while let Ok((client, _)) = listener.accept().await {
        // Asked for before `refusing` is: who refuses says so first and kills then, and what comes
        // between the two must not live on.
        let killed = killed(&shared);
        if !shared.refusing.load(Ordering::SeqCst) {
            let _ = client.set_nodelay(true);
            tokio::spawn(serve(Arc::clone(&shared), killed, client.into_split()));
        }
    }
}

/// Waits until the connections that there are now are killed.
fn killed(shared: &Shared) -> impl Future<Output = ()> + use<> {
    let mut generation = shared.generation.subscribe();
    let born = *generation.borrow_and_update();
    async move {
        // An error means that the proxy is gone, and the connection with it.
        let _ = generation.wait_for(|generation| *generation > born).await;
    }
}

async fn serve(
    shared: Arc<Shared>,
    killed: impl Future<Output = ()>,
    client: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
) {
    tokio::select! {
        () = killed => {}
        () = connect_and_carry(Arc::clone(&shared), client) => {}
    }
}

async fn connect_and_carry(
    shared: Arc<Shared>,
    client: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
) {
    // Where the server cannot be reached, dropping the client's socket tells it so.
    match shared.upstream.clone() {
        Address::Unix(path) => {
            if let Ok(server) = UnixStream::connect(path).await {
                carry(shared, client, server.into_split()).await;
            }
        }
        Address::Tcp(host, port) => {
            if let Ok(server) = TcpStream::connect((host, port)).await {
                let _ = server.set_nodelay(true);
                carry(shared, client, server.into_split()).await;
            }
        }
    }
}

async fn carry(
    shared: Arc<Shared>,
    client: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    server: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
) {
    match shared.protocol {
        Protocol::Redis => connection::carry::<Resp>(shared, client, server).await,
        Protocol::Postgres => connection::carry::<Pgwire>(shared, client, server).await,
        Protocol::Rabbitmq => amqp::carry(shared, client, server).await,
    }
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
