//! One service, opened with what it needs and nothing else.

use anyhow::{Context, Result, bail};
use axum::Json;
use axum::Router;
use axum::routing::get;
use shop_cache::Cache;
use shop_calls::Calls;
use shop_carts::Carts;
use shop_catalog::Catalog;
use shop_contracts::Peers;
use shop_inventory::Inventory;
use shop_notifications::Notifications;
use shop_orders::Orders;
use shop_payments::Payments;
use shop_users::Users;
use tokio::task::JoinHandle;

use crate::place::Place;
use crate::whole::Setup;

/// What services are opened with.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Where the data lie.
    pub place: &'a Place,
    /// How the shop is set up.
    pub setup: &'a Setup,
    /// The catalogue's cache.
    pub cache: &'a Cache,
    /// Where the services are.
    pub peers: &'a Peers,
}

/// A service that is open and not served yet.
#[derive(Debug)]
pub struct Opened {
    /// Its HTTP API.
    pub router: Router,
    /// The orders service itself, where it is that one.
    orders: Option<Orders>,
}

impl Opened {
    /// Brings to its end what an earlier run left under way, and what is left later, until the task
    /// is aborted. To be called before the service is served.
    pub fn tend(&self) -> Option<JoinHandle<()>> {
        self.orders.as_ref().map(|orders| tokio::spawn(orders.tend()))
    }
}

impl Opened {
    /// The same, with what its requests bring along, and a route that tells what is counted between
    /// it and those whom it asks.
    fn among(mut self, calls: &Calls) -> Opened {
        let told = calls.clone();
        self.router = calls
            .arriving(self.router)
            .route("/calls", get(move || async move { Json(told.book()) }));
        self
    }
}

impl From<Router> for Opened {
    fn from(router: Router) -> Opened {
        Opened { router, orders: None }
    }
}

impl Part<'_> {
    /// The service `name`.
    ///
    /// # Errors
    /// There is no such service, or its database cannot be opened.
    pub async fn open(&self, name: &str) -> Result<Opened> {
        let Part { place, setup, cache, peers } = *self;
        let known = Peers::NAMES.into_iter().find(|known| *known == name);
        let calls = Calls::new(known.unwrap_or_default(), setup.flags.clone(), setup.calls);
        let peers = &calls.through(peers);
        let (storage, flags) = (place.storage.as_str(), setup.flags.clone());
        let opened = async {
            Ok::<_, shop_storage::Error>(Some(match name {
                "catalog" => Catalog::open(storage, cache.clone(), flags).await?.router().into(),
                "users" => Users::open(storage, setup.tokens.clone()).await?.router().into(),
                "carts" => Carts::open(storage, peers.catalog.clone()).await?.router().into(),
                "inventory" => {
                    let guarded = setup.stock.clone();
                    Inventory::open(storage, place.redis(), flags, guarded).await?.router().into()
                }
                "payments" => {
                    Payments::open(storage, setup.provider.clone(), flags).await?.router().into()
                }
                "notifications" => {
                    let (users, mail) = (peers.users.clone(), setup.mail.clone());
                    Notifications::open(storage, users, mail, flags).await?.router().into()
                }
                "orders" => {
                    let Peers { carts, inventory, payments, notifications, .. } = peers.clone();
                    let orders =
                        Orders::open(storage, carts, inventory, payments, notifications).await?;
                    Opened { router: orders.router(), orders: Some(orders) }
                }
                _ => return Ok(None),
            }))
        };
        match opened.await.with_context(|| {
            format!("the service `{name}` cannot open; next: --data FOLDER, or --storage URL")
        })? {
            Some(opened) => Ok(opened.among(&calls)),
            None => bail!(
                "there is no service `{name}`\nnext: cargo run -p shop -- run gateway, or one of {}",
                Peers::NAMES.join(", ")
            ),
        }
    }
}
