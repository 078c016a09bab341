//! `shop run SERVICE`: one service in a process of its own, as in a container.

use std::net::SocketAddr;
use std::time::Instant;

use crate::part::{self, Part};
use anyhow::{Context, Result};
use clap::Args;
use shop_cache::Cache;
use shop_contracts::Peers;
use shop_service::{Stop, listen, serve};

use super::up::asked_to_stop;
use super::{Leave, PORT, Patterns, Stores};
use crate::whole::flush;

#[derive(Args)]
pub(crate) struct Run {
    /// gateway, catalog, users, carts, orders, inventory, payments or notifications
    service: String,
    /// Where it listens [default: 127.0.0.1 and its port in `shop up`]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// The gateway's port; the other services are looked for at the seven that follow, or where a
    /// variable says: SHOP_CATALOG_URL, SHOP_USERS_URL …
    #[arg(long, default_value_t = PORT)]
    port: u16,
    #[command(flatten)]
    stores: Stores,
    #[command(flatten)]
    leave: Leave,
    /// End at once when standard input ends: for a program that starts this one
    #[arg(long, hide = true)]
    leashed: bool,
}

impl Run {
    pub(crate) async fn run(self, patterns: Patterns) -> Result<()> {
        let asked = asked_to_stop()?;
        if self.leashed {
            std::thread::spawn(|| {
                let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
                std::process::exit(1);
            });
        }
        let name = *["gateway"]
            .iter()
            .chain(&Peers::NAMES)
            .find(|name| **name == self.service)
            .with_context(|| {
                format!(
                    "there is no service `{}`; next: cargo run -p shop -- run gateway, or {}",
                    self.service,
                    Peers::NAMES.join(", ")
                )
            })?;
        let _alone = self.stores.alone(name)?;
        let place = self.stores.open().await?;
        let mut setup = self.stores.setup(self.port, patterns)?;
        if name == "payments" {
            setup.provider = self.stores.provider(&place)?;
        }
        let peers = peers(self.port);
        let telemetry = setup.recorded()?;
        let service = if name == "gateway" {
            part::gateway(&place, &setup, &peers, telemetry.as_ref())?
        } else {
            let cache = Cache::open(&place.cache, setup.cache)?;
            let bus = place.open_bus(name).await?;
            let part = Part {
                place: &place,
                setup: &setup,
                cache: &cache,
                peers: &peers,
                bus: &bus,
                telemetry: telemetry.as_ref(),
            };
            let mut opened = part.open(name).await?;
            opened.tend();
            opened.complete(&setup.flags, telemetry.as_ref())
        };
        let port = Peers::port(name, self.port);
        let address = self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], port)));
        let listener = listen(address).await.with_context(|| {
            format!("{address} cannot be had\nnext: cargo run -p shop -- run {name} --listen 127.0.0.1:0")
        })?;
        let stop = Stop::by(self.leave.closing());
        let running = serve(name, listener, service, &stop)?;
        page::title(&format!("{name} is open: {}", running.url()));
        for told in &place.told {
            page::note(told);
        }
        asked.await;
        let begun = Instant::now();
        stop.now();
        let drained = running.stopped().await;
        if let Some(telemetry) = &telemetry {
            flush(telemetry).await;
        }
        Leave::tell_spans(telemetry.as_ref());
        Leave::tell(begun.elapsed(), drained);
        Ok(())
    }
}

/// Where the services are: by variable, or beside the gateway's port.
pub(crate) fn peers(port: u16) -> Peers {
    Peers::at(|name| {
        std::env::var(format!("SHOP_{}_URL", name.to_uppercase()))
            .unwrap_or_else(|_| format!("http://127.0.0.1:{}", Peers::port(name, port)))
    })
}
