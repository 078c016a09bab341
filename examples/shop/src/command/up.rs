//! `shop up`: the whole shop, until Ctrl-C.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};

use crate::goods::{self, ACCOUNTS};
use crate::place::{self, Place};
use crate::whole::{Setup, Shop};
use anyhow::{Context, Result};
use observability::telemetry;
use serde_json::json;
use shop_gateway::Limiting;
use shop_outside::payment;
use shop_service::token::Tokens;
use tokio::signal::unix::{SignalKind, signal};

use super::{Leave, PRODUCTS, Patterns, Stores, Up};

/// Opens the shop, fills it where it is empty, and closes it at Ctrl-C.
pub(crate) async fn up(Up { port, stores, leave }: Up, patterns: Patterns) -> Result<()> {
    let begun = Instant::now();
    // From the first moment, so that a Ctrl-C while the shop opens is not lost.
    let asked = asked_to_stop()?;
    let _alone = stores.alone("shop")?;
    let mut asked = pin!(asked);
    let place = stores.open().await?;
    let (provider, closing) = (stores.provider(&place)?, leave.closing());
    let setup = Setup { provider, closing, ..stores.setup(port, patterns)? };
    let opening = async {
        let shop = Shop::open(&place, setup).await?;
        if shop.peers.catalog.counters().await?.products == 0 {
            goods::take_in(&shop.peers, 1, PRODUCTS as usize).await?;
        }
        anyhow::Ok(shop)
    };
    let shop = tokio::select! {
        shop = opening => shop?,
        () = &mut asked => return Ok(()),
    };
    tell(&shop, &place, begun.elapsed());
    asked.await;
    page::note("closing: what is under way comes to its end; Ctrl-C again: at once");
    let begun = Instant::now();
    let telemetry = shop.telemetry.clone();
    let drained = shop.close().await;
    Leave::tell_spans(telemetry.as_ref());
    if drained.lost > 0 {
        page::note("what was cut short is finished when the shop opens again");
    }
    Leave::tell(begun.elapsed(), drained);
    Ok(())
}

/// Ends at the first Ctrl-C or SIGTERM. The second one is as impatient as it looks.
pub(crate) fn asked_to_stop() -> Result<impl Future<Output = ()>> {
    let context = "cannot listen for Ctrl-C";
    let mut interrupt = signal(SignalKind::interrupt()).context(context)?;
    let mut terminate = signal(SignalKind::terminate()).context(context)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tokio::spawn(async move {
            interrupt.recv().await;
            std::process::exit(130);
        });
    })
}

impl Stores {
    /// Where the data lie.
    pub(crate) async fn open(&self) -> Result<Place> {
        let place = match self.real {
            true => Place::real().await?.with_broker().await?,
            false => Place::embedded(&self.folder()),
        };
        let place = place.with_storage(self.storage.clone()).with_cache(self.cache.clone());
        Ok(place.with_bus(self.bus.clone()))
    }

    /// How a shop there is set up. The secret of the tokens is a file in the folder.
    pub(crate) fn setup(&self, port: u16, patterns: Patterns) -> Result<Setup> {
        let tokens = Tokens::new(&place::secret(&self.folder())?);
        let limiting = Limiting::from_environment()?;
        let lease = self.lease;
        let mut setup = Setup { port, tokens, limiting, lease, ..Setup::default() };
        setup.stock.leases = patterns.leases;
        let seen = telemetry::Setup::from_env()?;
        let logs = super::LOGS.get().cloned();
        setup.telemetry = Some(telemetry::Setup { logs, ..seen });
        for switch in &self.switches {
            let (name, variant) = switch.split_once('=').with_context(|| {
                format!("`{switch}` sets no switch; next: --set pattern.async=on")
            })?;
            let document = json!({ "flags": { name: { "defaultVariant": variant } } });
            setup.flags.merge(document.to_string()).with_context(|| format!("--set {switch}"))?;
        }
        Ok(setup)
    }

    /// The payment provider, whose books are a file in the folder where the shop's own data last as
    /// long: one for what is embedded there, one for each server.
    pub(crate) fn provider(&self, place: &Place) -> Result<payment::Provider> {
        let provider = payment::Provider::default();
        if !place.lasts() {
            return Ok(provider);
        }
        let name = match &self.storage {
            None => "provider.books".into(),
            Some(url) => {
                let mut hasher = DefaultHasher::new();
                url.hash(&mut hasher);
                format!("provider-{:016x}.books", hasher.finish())
            }
        };
        let file = self.folder().join(name);
        provider.with_books(&file).with_context(|| {
            let file = file.display();
            format!("the payment provider's books cannot be used; next: look at {file}")
        })
    }

    /// Keeps others off the folder: a second shop would take the first one's orders for abandoned.
    /// Until it is dropped, or the process ends.
    pub(crate) fn alone(&self, what: &str) -> Result<File> {
        let folder = self.folder();
        let context = || format!("{} cannot be used; next: --data FOLDER", folder.display());
        fs::create_dir_all(&folder).with_context(context)?;
        let lock = File::create(folder.join(format!("{what}.open"))).with_context(context)?;
        lock.try_lock().with_context(|| {
            format!(
                "{what} is open already on {}; next: stop it, or --data FOLDER",
                folder.display()
            )
        })?;
        Ok(lock)
    }

    fn folder(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(place::folder)
    }
}

fn tell(shop: &Shop, place: &Place, took: Duration) {
    page::title(&format!("The shop is open: {}", shop.url()));
    for (what, told) in ["data", "cache"].iter().zip(&place.told) {
        page::note(format_args!("{what:<8}{told}"));
    }
    page::note(format_args!("{:<8}{}", "bus", place.told_bus));
    if !place.lasts() {
        page::note("        started for this run; gone with it");
    }
    let rows: Vec<_> =
        shop.addresses().map(|(name, address)| vec![name.to_owned(), address]).collect();
    page::grid(&["service", "address"], &rows);
    let [(email, password, _), (staff, staff_password, _)] = ACCOUNTS;
    page::gap();
    page::note(format_args!("to buy           {email} · {password}"));
    page::note(format_args!("to set prices    {staff} · {staff_password}"));
    page::note(format_args!("ready in         {}", page::millis(took)));
    page::next(&[
        (&format!("curl {}/api/products", shop.url()), "what there is"),
        (&format!("{}/docs", shop.url()), "the API, to read and to try"),
        (&format!("curl {}/health/ready", shop.url()), "how it is; each service, too"),
        ("cargo run -p shop -- load", "send customers in"),
        ("Ctrl-C", "close"),
    ]);
}
