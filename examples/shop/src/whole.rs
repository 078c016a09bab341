//! The whole shop in one process: each service on a port of its own, for those who want to ask it,
//! while among themselves they pass the same requests without a socket. In processes of their own
//! (`shop run`) they talk over the network.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use observability::telemetry::{self, Telemetry};
use shop_bus::Bus;
use shop_cache::Cache;
use shop_contracts::Peers;
use shop_flags::{Flags, PatternTracing};
use shop_gateway::{Gateway, Limiting};
use shop_outside::{mail, payment};
use shop_service::health::Drained;
use shop_service::token::Tokens;
use shop_service::{Closing, Running, Stop, here, serve};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::part::{self, Part};
use crate::place::Place;

/// How long the collector gets for what it has not taken yet.
const FLUSH: Duration = Duration::from_secs(2);

/// Sends what the collector has not taken yet: the last thing that a program does.
pub(crate) async fn flush(telemetry: &Telemetry) {
    let left = telemetry.stop(FLUSH).await;
    if left.lost > 0 {
        tracing::warn!(spans = left.lost, "the collector has not taken all of the traces");
    }
}

/// How long the services get after the gateway: for what it has given up.
const AFTER: Duration = Duration::from_millis(200);

/// What a shop is opened with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The gateway's port; the services follow it. 0 for any free ones.
    pub port: u16,
    /// Signs the tokens.
    pub tokens: Tokens,
    /// The switches; all services share them.
    pub flags: Flags,
    /// The payment provider, outside.
    pub provider: payment::Provider,
    /// The mail server, outside.
    pub mail: mail::Server,
    /// How the catalogue's cache behaves.
    pub cache: shop_cache::Options,
    /// How the stock is guarded.
    pub stock: shop_inventory::Options,
    /// How the gateway limits its clients.
    pub limiting: Limiting,
    /// How many requests are under way at once in the gateway.
    pub places: usize,
    /// How a service treats those whom it asks.
    pub calls: shop_calls::Options,
    /// How long an order's saga rests when whoever drove it is dead.
    pub lease: Duration,
    /// What is recorded of it, but for how much: `pattern.tracing` says that. Without, nothing is
    /// there that could be recorded.
    pub telemetry: Option<telemetry::Setup>,
    /// Services that run in a process of their own, and where: they are asked there, and not opened
    /// here.
    pub apart: Vec<(&'static str, String)>,
    /// How the shop closes.
    pub closing: Closing,
}

impl Setup {
    /// Begins to record, if anything is to be.
    ///
    /// # Errors
    /// The collector has no address.
    pub fn recorded(&self) -> Result<Option<Telemetry>> {
        let Some(setup) = self.telemetry.clone() else { return Ok(None) };
        let flags = self.flags.clone();
        let share = telemetry::Share::asking(move || match flags.get() {
            PatternTracing::Off => 0.0,
            PatternTracing::Tenth => 0.1,
            PatternTracing::Full => 1.0,
        });
        Ok(Some(Telemetry::start(telemetry::Setup { share, ..setup })?))
    }
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            port: 0,
            tokens: Tokens::new(&Tokens::secret()),
            flags: Flags::default(),
            provider: payment::Provider::default(),
            mail: mail::Server::default(),
            cache: shop_cache::Options::default(),
            stock: shop_inventory::Options::default(),
            limiting: Limiting::default(),
            places: Gateway::PLACES,
            calls: shop_calls::Options::default(),
            lease: Duration::from_secs(10),
            telemetry: Some(telemetry::Setup::default()),
            apart: Vec::new(),
            closing: Closing::default(),
        }
    }
}

/// A shop that is open.
pub struct Shop {
    /// What it was opened with.
    pub setup: Setup,
    /// Its services, behind the gateway. For those who look behind it: seeds, books, comparisons.
    pub peers: Peers,
    /// Over which its services tell each other.
    pub bus: Arc<dyn Bus>,
    /// What is recorded of it.
    pub telemetry: Option<Telemetry>,
    gateway: Running,
    services: Vec<Running>,
    tending: Vec<JoinHandle<()>>,
    close: Stop,
    stop: Stop,
}

impl Shop {
    /// Opens every service at `place`, and then the door.
    ///
    /// # Errors
    /// A port that is taken, or a database that cannot be opened.
    pub async fn open(place: &Place, setup: Setup) -> Result<Shop> {
        let door = bind(setup.port, 0).await?;
        let mut listeners = Vec::new();
        for (offset, name) in (1..).zip(Peers::NAMES) {
            if setup.apart.iter().all(|(apart, _)| *apart != name) {
                listeners.push((name, bind(setup.port, offset).await?));
            }
        }
        // Every port is ours before the first service starts, so each knows all the others.
        let mut addresses = setup.apart.clone();
        for (name, listener) in &listeners {
            addresses.push((*name, format!("http://{}", listener.local_addr()?)));
        }
        let peers = Peers::at(|name| {
            let found = addresses.iter().find(|(service, _)| *service == name);
            found.map(|(_, address)| address.clone()).unwrap_or_default()
        });
        let cache = Cache::open(&place.cache, setup.cache)?;
        let bus = place.open_bus("shop").await?;
        let telemetry = setup.recorded()?;
        let parts = Part {
            place,
            setup: &setup,
            cache: &cache,
            peers: &peers,
            bus: &bus,
            telemetry: telemetry.as_ref(),
        };
        let stop = Stop::by(Closing { lame_duck: Duration::ZERO, drain: AFTER });
        let close = Stop::by(setup.closing);
        let mut opened = Vec::new();
        for (name, listener) in listeners {
            opened.push((name, listener, parts.open(name).await?));
        }
        let (mut services, mut tending) = (Vec::new(), Vec::new());
        for (name, listener, mut service) in opened {
            tending.extend(service.tend());
            let service = service.complete(&setup.flags, telemetry.as_ref());
            if let Some(peer) = peers.all().into_iter().find(|peer| peer.name() == name) {
                peer.is_here(here(service.router()));
            }
            services.push(serve(name, listener, service, &stop)?);
        }
        let gateway = part::gateway(place, &setup, &peers, telemetry.as_ref())?;
        let gateway = serve("gateway", door, gateway, &close)?;
        Ok(Shop { setup, peers, bus, telemetry, gateway, services, tending, close, stop })
    }

    /// The door.
    pub fn url(&self) -> String {
        self.gateway.url()
    }

    /// Name and address of the gateway and of each service behind it.
    pub fn addresses(&self) -> impl Iterator<Item = (&'static str, String)> {
        std::iter::once(&self.gateway).chain(&self.services).map(|one| (one.name, one.url()))
    }

    /// Closes the shop, and says what became of those who were inside. First nobody is sent in any
    /// more, by readiness; then the door is closed, and who is inside is served; then the services
    /// stop. What time cuts short is finished when the shop opens again.
    pub async fn close(self) -> Drained {
        let begun = Instant::now();
        for service in &self.services {
            service.drain();
        }
        self.close.now();
        self.tending.iter().for_each(JoinHandle::abort);
        let mut drained = self.gateway.stopped().await;
        // Somebody may have asked a service past the gateway. They have the same time, together.
        let Closing { lame_duck, drain } = self.setup.closing;
        let left = (lame_duck + drain).saturating_sub(begun.elapsed()).max(AFTER);
        self.stop.now_by(Closing { lame_duck: Duration::ZERO, drain: left });
        for service in self.services {
            // Behind the gateway one customer may be several requests; who is lost is lost once.
            drained.lost = drained.lost.max(service.stopped().await.lost);
        }
        if let Some(telemetry) = &self.telemetry {
            flush(telemetry).await;
        }
        drained
    }
}

/// The port `offset` above `port`, on this machine alone.
///
/// # Errors
/// It is taken: the message names a way out.
pub(crate) async fn bind(port: u16, offset: u16) -> Result<TcpListener> {
    let port = match port {
        0 => 0,
        port => port.checked_add(offset).context("ports end at 65535: choose a lower --port")?,
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    shop_service::listen(address).await.with_context(|| {
        format!(
            "port {port} cannot be had; next: cargo run -p shop -- up --port {}",
            port.saturating_add(100)
        )
    })
}
