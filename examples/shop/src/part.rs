//! One service, opened with what it needs and nothing else.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::{Json, Router};
use observability::propagation::OneTrace;
use observability::telemetry::Telemetry;
use shop_bus::Bus;
use shop_cache::Cache;
use shop_calls::Calls;
use shop_carts::Carts;
use shop_catalog::Catalog;
use shop_contracts::Peers;
use shop_flags::Flags;
use shop_gateway::Gateway;
use shop_inventory::Inventory;
use shop_notifications::Notifications;
use shop_orders::{Orders, Pace};
use shop_payments::Payments;
use shop_service::health::{self, Dependency};
use shop_service::tempo::{Tempo, tempo};
use shop_service::{Door, Healthy, operate};
use shop_users::Users;
use tokio::task::JoinHandle;

use crate::meters::Meters;
use crate::place::Place;
use crate::traces;
use crate::whole::Setup;

/// What services are opened with.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// Where the data lie.
    pub place: &'a Place,
    /// How the shop is set up.
    pub setup: &'a Setup,
    /// The catalogue's cache.
    pub cache: &'a Cache,
    /// Where the services are.
    pub peers: &'a Peers,
    /// Over which they tell each other.
    pub bus: &'a Arc<dyn Bus>,
    /// What is recorded of them.
    pub telemetry: Option<&'a Telemetry>,
}

type Tending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A service that is open and not served yet.
pub struct Opened {
    /// Its HTTP API.
    router: Router,
    /// What it leans on.
    needs: Vec<Dependency>,
    /// What it does beside answering.
    tending: Option<Tending>,
}

impl Opened {
    /// Brings to its end what an earlier run left under way, and what is left later, and tells others
    /// and hears from them; until the task is aborted. To be called before the service is served.
    pub fn tend(&mut self) -> Option<JoinHandle<()>> {
        self.tending.take().map(tokio::spawn)
    }

    /// With what all services answer: how they are, their switches, and their traces.
    pub fn complete(self, flags: &Flags, telemetry: Option<&Telemetry>) -> Healthy {
        let operated = operate::switches(flags).merge(traces::routes(telemetry));
        Healthy::new(self.router.merge(operated), self.needs)
    }

    /// The same, with what its requests bring along, and a route that tells what is counted between
    /// it and those whom it asks.
    fn among(
        mut self,
        name: &'static str,
        calls: &Calls,
        traces: OneTrace,
        meters: &Meters,
        flags: &Flags,
    ) -> Opened {
        let told = calls.clone();
        meters.around(calls);
        let tempo = from_fn_with_state(Tempo::of(name, flags.clone()), tempo);
        self.router = self
            .router
            .layer((Door::inside(name, traces), meters.layer(), calls.arrivals(), tempo))
            .merge(meters.routes())
            .route("/calls", get(move || async move { Json(told.book()) }));
        self
    }

    fn leaning_on(mut self, more: impl IntoIterator<Item = Dependency>) -> Opened {
        self.needs.extend(more);
        self
    }
}

/// One of which there is nothing else to know.
macro_rules! opened {
    ($meters:expr, $service:expr) => {{
        let service = $service;
        $meters.of_a_database(service.database());
        Opened { router: service.router(), needs: service.needs(), tending: None }
    }};
}

/// One that has something to say, and something to do beside answering.
macro_rules! telling {
    ($meters:expr, $service:expr) => {{
        let service = $service;
        let unsaid = service.clone();
        $meters.of_an_outbox(move || {
            let service = unsaid.clone();
            async move { service.unsaid().await.ok() }
        });
        let tending: Option<Tending> = Some(Box::pin(service.tend()));
        Opened { tending, ..opened!($meters, service) }
    }};
}

/// The gateway, and what it leans on: it keeps nothing, so without any of them it still answers.
///
/// # Errors
/// The cache's place is none.
pub fn gateway(
    place: &Place,
    setup: &Setup,
    peers: &Peers,
    telemetry: Option<&Telemetry>,
) -> Result<Healthy> {
    let (tokens, flags, limiting) =
        (setup.tokens.clone(), setup.flags.clone(), setup.limiting.clone());
    let meters = Meters::new("gateway");
    meters.told_to(telemetry, "gateway");
    let gateway = Gateway::open(peers.clone(), tokens, flags, &place.cache, limiting)?
        .places(setup.places)
        .traced(traces::of(telemetry, "gateway"))
        .measured(meters.layer())
        .calls(setup.calls);
    let peers = peers.all().into_iter().map(health::peer);
    let needs = peers.chain(redis(place, "limits")?).collect();
    door(&meters, &gateway);
    let router = gateway.router().merge(traces::routes(telemetry)).merge(meters.routes());
    Ok(Healthy::new(router, needs))
}

/// The Redis of `place`, if it has one, as what it is used for.
fn redis(place: &Place, name: &'static str) -> Result<Option<Dependency>> {
    Ok(place.redis().map(|url| health::redis(name, url)).transpose()?)
}

impl Part<'_> {
    /// The service `name`.
    ///
    /// # Errors
    /// There is no such service, or its database cannot be opened.
    pub async fn open(&self, name: &str) -> Result<Opened> {
        let Part { place, setup, cache, peers, bus, telemetry } = *self;
        let known = Peers::NAMES.into_iter().find(|known| *known == name);
        let known = known.unwrap_or_default();
        let traces = traces::of(telemetry, known);
        let meters = Meters::new(known);
        meters.told_to(telemetry, known);
        let calls = Calls::new(known, setup.flags.clone(), setup.calls).traced(traces.clone());
        let peers = &calls.through(peers);
        let (storage, flags) = (place.storage.as_str(), setup.flags.clone());
        // Before anybody says anything: what no queue wants is gone.
        if matches!(name, "orders" | "notifications") {
            let declared = bus.subscribe(shop_notifications::subscription()).await;
            declared.context("the bus takes no queue; next: --data FOLDER, or --bus URL")?;
        }
        let opened = async {
            Ok::<_, anyhow::Error>(Some(match name {
                "catalog" => {
                    let service = Catalog::open(storage, cache.clone(), flags).await?;
                    catalogue(&meters, &service);
                    opened!(meters, service)
                }
                "users" => opened!(meters, Users::open(storage, setup.tokens.clone()).await?),
                "carts" => opened!(meters, Carts::open(storage, peers.catalog.clone()).await?),
                "inventory" => {
                    let guarded = setup.stock.clone();
                    let service = Inventory::open(storage, place.redis(), flags, guarded).await?;
                    telling!(meters, service.telling(Arc::clone(bus)).traced(traces.clone()))
                }
                "payments" => {
                    let service = Payments::open(storage, setup.provider.clone(), flags).await?;
                    telling!(meters, service.telling(Arc::clone(bus)).traced(traces.clone()))
                }
                "notifications" => {
                    let (users, mail) = (peers.users.clone(), setup.mail.clone());
                    let service = Notifications::open(storage, users, mail, flags).await?;
                    meters.of_a_queue(bus, shop_notifications::subscription().queue);
                    telling!(meters, service.telling(Arc::clone(bus)).traced(traces.clone()))
                }
                "orders" => {
                    let Peers { carts, inventory, payments, notifications, .. } = peers.clone();
                    let orders =
                        Orders::open(storage, carts, inventory, payments, notifications).await?;
                    let orders =
                        orders.switched(flags).telling(Arc::clone(bus)).traced(traces.clone());
                    // Twice in a lease it is looked whether somebody has left one.
                    let pace = Pace { tend: setup.lease / 2, ..Pace::default() };
                    let orders = orders.pace(pace).leases(place.redis(), setup.lease)?;
                    let orders = orders.counting(meters.saga_steps());
                    orders_by_state(&meters, &orders);
                    telling!(meters, orders)
                }
                _ => return Ok(None),
            }))
        };
        match opened.await.with_context(|| {
            format!("the service `{name}` cannot open; next: --data FOLDER, or --storage URL")
        })? {
            Some(opened) => Ok(opened
                .among(known, &calls, traces, &meters, &setup.flags)
                .leaning_on(match name {
                    "catalog" => redis(place, "cache")?,
                    "inventory" => redis(place, "locks")?,
                    _ => None,
                })),
            None => bail!(
                "there is no service `{name}`\nnext: cargo run -p shop -- run gateway, or one of {}",
                Peers::NAMES.join(", ")
            ),
        }
    }
}

/// How many orders are in which state.
fn orders_by_state(meters: &Meters, orders: &Orders) {
    let families = meters.registry();
    let count = families.gauges("orders", "Orders, by what has become of them", ["state"]);
    let orders = orders.clone();
    meters.looking(move || {
        let (orders, count) = (orders.clone(), count.clone());
        async move {
            // A database that is away leaves the last figures: `/health/ready` tells of it.
            if let Ok(books) = orders.books().await {
                for (state, many) in
                    [("confirmed", books.confirmed), ("failed", books.failed), ("open", books.open)]
                {
                    count.with([state]).set(many);
                }
            }
        }
    });
}

/// What the cache has not kept from the database.
fn catalogue(meters: &Meters, catalog: &Catalog) {
    let families = meters.registry();
    let help = "Reads of one product that the cache could not answer";
    let loads = families.counters("catalog_product_loads_total", help, []);
    let help = "Questions that the database answered";
    let reads = families.counters("catalog_database_reads_total", help, []);
    let help = "Reads through the cache; a hit is one that the database was not asked for";
    let cached = families.counters("cache_reads_total", help, ["outcome"]);
    let catalog = catalog.clone();
    meters.looking(move || {
        for (outcome, count) in catalog.cached() {
            cached.with([outcome]).inner().store(count, Ordering::Relaxed);
        }
        let (all, of_a_product) = catalog.counted();
        reads.with([]).inner().store(all, Ordering::Relaxed);
        loads.with([]).inner().store(of_a_product, Ordering::Relaxed);
        std::future::ready(())
    });
}

/// Who was let in, and how full it is.
fn door(meters: &Meters, gateway: &Gateway) {
    let families = meters.registry();
    let help = "Requests that were allowed or refused; by_outage, of both, without knowing";
    let limited = families.counters("limiter_decisions_total", help, ["decision"]);
    let places = families.gauges("gateway_places", "Places for requests", ["state"]);
    let counted = gateway.clone();
    meters.looking(move || {
        for (decision, count) in counted.limited() {
            limited.with([decision]).inner().store(count, Ordering::Relaxed);
        }
        for (state, count) in counted.taken() {
            places.with([state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        std::future::ready(())
    });
    meters.around(gateway.around());
}
