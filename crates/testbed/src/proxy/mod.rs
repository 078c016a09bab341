//! A proxy that understands Redis and PostgreSQL, and does to a connection what networks do.
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
//! | F9 count commands and round trips | [`Proxy::counts`] |
//!
//! What a client says to introduce itself passes uncounted and uncut: HELLO, AUTH, CLIENT and SELECT
//! to Redis, the login to PostgreSQL.
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
//! The proxy listens on a unix socket in a private folder. A port could be taken by another
//! program between [`Proxy::refuse`] and [`Proxy::accept`]; a path of our own cannot.

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
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixListener, UnixStream};
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
    /// The proxy cannot look into encrypted traffic.
    #[error("the server's URL asks for TLS, and the proxy must read what passes; use redis://")]
    Tls,
    /// No socket could be opened in the temporary folder.
    #[error("no socket for the proxy in {}: {source}; is TMPDIR writable?", dir.display())]
    Socket {
        /// Where it was tried.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

type Observer = Box<dyn Fn(Observation) + Send + Sync>;

/// A proxy before one client. It ends when it is dropped, and its connections with it.
pub struct Proxy {
    shared: Arc<Shared>,
    accepting: Mutex<JoinHandle<()>>,
    folder: tempfile::TempDir,
    socket: &'static str,
    url: String,
}

#[derive(Clone, Copy)]
enum Protocol {
    Redis,
    Postgres,
}

struct Shared {
    protocol: Protocol,
    upstream: Address,
    rules: Rules,
    traffic: Mutex<Traffic>,
    flowing: watch::Sender<bool>,
    /// Raised to close every connection that was made before.
    generation: watch::Sender<u64>,
    delay: Mutex<Duration>,
    observer: Observer,
}

#[derive(Default)]
struct Traffic {
    requests: usize,
    round_trips: usize,
    commands: BTreeMap<String, usize>,
}

/// What has passed through a proxy since it began or since [`Proxy::reset_count`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests of all kinds.
    pub requests: usize,
    /// Times the client had to wait for the server: requests sent together count once.
    pub round_trips: usize,
    /// Requests by command.
    pub commands: BTreeMap<String, usize>,
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

    fn stand(
        protocol: Protocol,
        upstream: Address,
        socket: &'static str,
        url: impl Fn(&Path) -> String,
        observer: impl Fn(Observation) + Send + Sync + 'static,
    ) -> Result<Proxy, ProxyError> {
        let folder = tempfile::Builder::new()
            .prefix("testbed-proxy-")
            .tempdir()
            .map_err(|source| ProxyError::Socket { dir: std::env::temp_dir(), source })?;
        let url = url(&folder.path().join(socket));
        let listener = UnixListener::bind(folder.path().join(socket))
            .map_err(|source| ProxyError::Socket { dir: folder.path().to_owned(), source })?;
        let shared = Arc::new(Shared {
            protocol,
            upstream,
            rules: Rules::default(),
            traffic: Mutex::default(),
            flowing: watch::Sender::new(true),
            generation: watch::Sender::new(0),
            delay: Mutex::default(),
            observer: Box::new(observer),
        });
        let accepting = Mutex::new(tokio::spawn(accept(Arc::clone(&shared), listener)));
        Ok(Proxy { shared, accepting, folder, socket, url })
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

    /// Forgets all holds and cuts. Requests that already wait at a gate wait on.
    pub fn clear_rules(&self) {
        self.shared.rules.clear();
    }

    /// Each request is late by this much from now on.
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

    /// The server is down, as this client sees it: its connections close and no new one is accepted.
    pub fn refuse(&self) {
        self.accepting.lock().unwrap_or_else(PoisonError::into_inner).abort();
        let _ = std::fs::remove_file(self.socket());
        self.kill_connections();
    }

    /// Ends [`Proxy::refuse`].
    ///
    /// # Errors
    /// [`ProxyError::Socket`] if the socket cannot be opened again.
    pub async fn accept(&self) -> Result<(), ProxyError> {
        let listener = UnixListener::bind(self.socket())
            .map_err(|source| ProxyError::Socket { dir: self.folder.path().to_owned(), source })?;
        *self.accepting.lock().unwrap_or_else(PoisonError::into_inner) =
            tokio::spawn(accept(Arc::clone(&self.shared), listener));
        Ok(())
    }

    /// F9: what has passed.
    pub fn counts(&self) -> Counts {
        let traffic = self.shared.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        Counts {
            requests: traffic.requests,
            round_trips: traffic.round_trips,
            commands: traffic.commands.clone(),
        }
    }

    /// Counts from zero again; [`Request::nth`] too.
    pub fn reset_count(&self) {
        *self.shared.traffic.lock().unwrap_or_else(PoisonError::into_inner) = Traffic::default();
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join(self.socket)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.refuse();
    }
}

impl Shared {
    fn tell(&self, observation: Observation) {
        (self.observer)(observation);
    }
}

async fn accept(shared: Arc<Shared>, listener: UnixListener) {
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let mut generation = shared.generation.subscribe();
        let born = *generation.borrow_and_update();
        tokio::spawn(async move {
            let killed = async {
                // An error means that the proxy is gone, and the connection with it.
                let _ = generation.wait_for(|generation| *generation > born).await;
            };
            tokio::select! {
                () = killed => {}
                () = connect_and_carry(Arc::clone(&shared), client) => {}
            }
        });
    }
}

async fn connect_and_carry(shared: Arc<Shared>, client: UnixStream) {
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
    client: UnixStream,
    server: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
) {
    let client = client.into_split();
    match shared.protocol {
        Protocol::Redis => connection::carry::<Resp>(shared, client, server).await,
        Protocol::Postgres => connection::carry::<Pgwire>(shared, client, server).await,
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
