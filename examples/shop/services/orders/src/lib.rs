//! The orders service: orders, and the checkout that leads to them.
//!
//! - `state`: which state may follow which: one table.
//! - `checkout`: the seam. A wish goes in, an order or a refusal comes out; the routes know no
//!   more of it. Behind it stand two checkouts: the synchronous one asks one service after the other
//!   while the customer waits; the asynchronous one, with `pattern.async` on, answers at once, and a
//!   saga does the rest.
//! - `journal`, `leases`: what a saga needs to outlive its process, in this service's own database.
//! - `refusal`: what a customer is told of an order that came to nothing, the first time and each
//!   time after.
//! - `routes`: the HTTP API, as the contract says it.
//! - `store`: the rows; each change of a state names the state that it leaves.
//!
//! # When something stalls or dies
//!
//! A checkout runs in a task of its own: a customer who hangs up does not leave it half done. What
//! another service did or did not do is asked, never guessed, and what cannot be learned is undone
//! ([`Pace`] says how often). An order that could not be brought to its end keeps the state that it
//! reached, and [`Orders::tend`] goes on from there. A stop of the process in the middle of a
//! checkout is such a case: what is under way when a drain ends is cut.

mod checkout;
mod journal;
mod leases;
mod refusal;
mod routes;
mod state;
mod store;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use locks::lease::{Lease, Options as LeaseOptions};
use observability::metrics::Counters;
use observability::propagation::OneTrace;
use redis::RedisError;
use shop_bus::Bus;
use shop_contracts::orders::Books;
use shop_contracts::{carts, inventory, notifications, payments};
use shop_flags::Flags;
use shop_outbox::{OUTBOX, Outbox};
use shop_service::health::{self, Dependency};
use shop_storage::{Database, Error, Migration, Options, now};
use tokio::time::sleep;

use crate::checkout::{Checkout, Services};
pub use crate::checkout::{Pace, Recovered};
use crate::leases::{Leases, StorageLease};
use crate::store::Store;

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        description: "orders and their lines",
        sql: include_str!("../migrations/0001_orders.sql"),
    },
    Migration {
        version: 2,
        description: "sagas",
        sql: include_str!("../migrations/0002_sagas.sql"),
    },
    Migration { version: 3, description: "outbox", sql: OUTBOX },
];

/// How long a saga rests whose driver is dead, where nobody says otherwise.
const TTL: Duration = Duration::from_secs(10);

/// After how many microseconds an order that is under way has been left, though nobody here has left
/// it: a checkout that asks everybody as often as it may takes less.
const ABANDONED: i64 = 90_000_000;

/// The orders service. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Orders {
    store: Store,
    services: Services,
    how: How,
    outbox: Outbox,
    checkout: Checkout,
}

/// How checkouts are done.
#[derive(Clone)]
pub(crate) struct How {
    pub(crate) pace: Pace,
    pub(crate) flags: Flags,
    pub(crate) bus: Option<Arc<dyn Bus>>,
    pub(crate) traces: OneTrace,
    pub(crate) leases: Leases,
    pub(crate) ttl: Duration,
    /// The attempts of all steps: by step, by what was attempted, and by what came of it.
    pub(crate) steps: Option<Counters<3>>,
}

impl std::fmt::Debug for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("How").field("pace", &self.pace).finish_non_exhaustive()
    }
}

impl Orders {
    /// The service, with its database at the place `storage`, and those whom it asks.
    ///
    /// # Errors
    /// The database cannot be opened or brought up to date.
    pub async fn open(
        storage: &str,
        carts: carts::Client,
        inventory: inventory::Client,
        payments: payments::Client,
        notifications: notifications::Client,
    ) -> Result<Orders, Error> {
        let database = Database::open(storage, "orders", MIGRATIONS, Options::default()).await?;
        let store = Store(database);
        let services = Services { carts, inventory, payments, notifications };
        let leases = Leases::Storage(StorageLease::on(store.0.clone(), TTL));
        let (pace, flags) = (Pace::default(), Flags::default());
        let traces = OneTrace::default();
        let how = How { pace, flags, bus: None, traces, leases, ttl: TTL, steps: None };
        Ok(Orders::of(store, services, how))
    }

    fn of(store: Store, services: Services, how: How) -> Orders {
        let database = store.0.clone();
        let outbox = match &how.bus {
            Some(bus) => Outbox::new(database, Arc::clone(bus), how.flags.clone()),
            None => Outbox::without_bus(database),
        };
        let outbox = outbox.traced(how.traces.clone());
        let checkout = Checkout::new(store.clone(), services.clone(), outbox.clone(), &how);
        Orders { store, services, how, outbox, checkout }
    }

    /// The same, at another pace.
    pub fn pace(self, pace: Pace) -> Orders {
        Orders::of(self.store, self.services, How { pace, ..self.how })
    }

    /// The same, switched by `flags`.
    pub fn switched(self, flags: Flags) -> Orders {
        Orders::of(self.store, self.services, How { flags, ..self.how })
    }

    /// How many orders there are, and what they come to.
    ///
    /// # Errors
    /// The database's.
    pub async fn books(&self) -> Result<Books, Error> {
        self.store.books().await
    }

    /// How many events wait in the outbox.
    ///
    /// # Errors
    /// The database's.
    pub async fn unsaid(&self) -> Result<i64, Error> {
        self.outbox.unsaid().await
    }

    /// The same, in whose trace what happens for an order stays one.
    pub fn traced(self, traces: OneTrace) -> Orders {
        Orders::of(self.store, self.services, How { traces, ..self.how })
    }

    /// The same, telling others over `bus` what has become of orders.
    pub fn telling(self, bus: Arc<dyn Bus>) -> Orders {
        Orders::of(self.store, self.services, How { bus: Some(bus), ..self.how })
    }

    /// The same, whose sagas count each attempt of a step in `steps`, under its name, what was
    /// attempted (`do`, `ask`, `undo`) and what came of it: `done`, `yes`, `no`, `refused`,
    /// `not_done` or `unclear`.
    pub fn counting(self, steps: Counters<3>) -> Orders {
        Orders::of(self.store, self.services, How { steps: Some(steps), ..self.how })
    }

    /// The same, with leases on its sagas that last for `ttl`: in the Redis at `redis`, or else in its
    /// own database.
    ///
    /// # Errors
    /// The address is none.
    pub fn leases(self, redis: Option<&str>, ttl: Duration) -> Result<Orders, RedisError> {
        let leases = match redis {
            Some(url) => Leases::open(url, LeaseOptions { ttl, ..LeaseOptions::default() })?,
            None => Leases::Storage(StorageLease::on(self.store.0.clone(), ttl)),
        };
        Ok(Orders::of(self.store, self.services, How { leases, ttl, ..self.how }))
    }

    /// Brings to an end what an earlier run left under way. To be called when the services that
    /// this one asks can be asked, and before this one serves.
    ///
    /// An order that was paid is confirmed. One whose payment is not known is asked about: charged,
    /// it is confirmed as well. All others are cancelled, with nothing charged and nothing held.
    /// Where a service cannot be asked, the order stays under way, for the next time.
    ///
    /// # What it does not do
    ///
    /// It does not touch an order that has a saga: that is [`Orders::tend`]'s. Every other one that is
    /// under way it takes for abandoned. That is true while there is one
    /// instance, before it serves. A second instance that starts would cancel what the first is
    /// working on; the conditional updates keep each order's row whole, but the customer would
    /// be refused for nothing. And it does not look at orders that are confirmed: a crash just
    /// after may leave in the cart what was bought. (The mail does not depend on that: notifications
    /// hears of the order.) With `pattern.async` on, none of this is so.
    ///
    /// # Errors
    /// The database does not say which orders there are.
    pub async fn recover(&self) -> Result<Recovered, Error> {
        self.checkout.recover(i64::MAX).await
    }

    /// Recovers while the service serves: at once what an earlier run left, and from then on, again
    /// and again, what has been under way for longer than any checkout takes, because a service or
    /// the database was away. Sagas that nobody drives are driven, and what was said is carried to
    /// the bus. Until it is dropped; to be called before the service serves.
    pub fn tend(&self) -> impl Future<Output = ()> + Send + 'static {
        let (checkout, sagas) = (self.checkout.clone(), self.checkout.clone());
        let relay = self.outbox.relay();
        let mut before = now();
        async move {
            let recovering = async move {
                loop {
                    for done in [checkout.recover(before).await, checkout.go_on().await] {
                        match done {
                            Ok(done) if done == Recovered::default() => {}
                            Ok(done) => tracing::warn!(?done, "went on with orders that were left"),
                            Err(error) => {
                                tracing::error!(%error, "the orders cannot be looked after");
                            }
                        }
                    }
                    sleep(checkout.pace.tend).await;
                    before = now() - ABANDONED;
                }
            };
            let driving = async move {
                loop {
                    sagas.tend_sagas().await;
                    sleep(sagas.pace.tend).await;
                }
            };
            // Of these, only a relay without a bus ends.
            tokio::join!(recovering, driving, relay);
        }
    }

    /// Its whole HTTP API; the table stands in `shop_contracts::orders`.
    pub fn router(&self) -> Router {
        routes::routes(self.store.clone(), self.checkout.clone(), self.outbox.clone())
    }

    /// Its database, for those who look how full it is.
    pub fn database(&self) -> &Database {
        &self.store.0
    }

    /// What it leans on.
    pub fn needs(&self) -> Vec<Dependency> {
        vec![health::database(&self.store.0)]
    }
}
