//! The payments service: what was charged, and for which order.
//!
//! It stands between the shop and a company that is not the shop: the payment provider, which
//! takes a second, may never answer, and does not know of our transactions. So each charge is two
//! facts that no transaction can make one: a booking there and a row here. The order in which they
//! come is all that can be chosen:
//!
//! 1. the row `pending` is committed;
//! 2. the provider is asked, with the order's id as the key;
//! 3. its answer is recorded.
//!
//! Whatever breaks in between leaves a row that says "ask the provider". The other way round, a
//! crash between booking and row would leave a customer who paid for something that nobody here
//! has heard of.
//!
//! - `routes`: the HTTP API, as the contract says it.
//! - `payment`: those steps, and what to do with an outcome that is not known.
//! - `provider`: the provider as this service sees it: with an end to every call.
//! - `store`: the rows.
//! - `says`: what others are told, each in the transaction of the row that it tells of.
//!
//! # When something stalls or dies
//!
//! A provider that does not answer is given up after [`Payments::PATIENCE`]: `timed-out`, and the
//! payment stays pending. `GET /payments/{order}` then asks the provider what it booked, and `PUT`
//! asks before it charges. A caller that hangs up changes nothing: what was begun runs in a task
//! of its own. A database that dies after the booking leaves the row pending, too.

mod payment;
mod provider;
mod routes;
mod says;
mod store;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use observability::propagation::OneTrace;
use shop_bus::Bus;
use shop_flags::Flags;
use shop_outbox::{OUTBOX, Outbox};
use shop_outside::payment::Provider;
use shop_service::health::{self, Dependency};
use shop_service::turns::Turns;
use shop_storage::{Database, Error, Migration, Options};

use crate::provider::Counter;
use crate::store::Store;

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        description: "payments",
        sql: include_str!("../migrations/0001_payments.sql"),
    },
    Migration { version: 2, description: "outbox", sql: OUTBOX },
    Migration { version: 3, description: "told", sql: include_str!("../migrations/0003_told.sql") },
];

/// The payments service. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Payments {
    store: Store,
    provider: Counter,
    turns: Turns,
}

impl Payments {
    /// How long the provider may take for one answer. With the question before it, it stays below
    /// what callers wait for us: they shall hear of a timeout, not run into one.
    pub const PATIENCE: Duration = Duration::from_secs(4);

    /// The service, with its database at the place `storage` and `provider` to charge with. The
    /// flag `fault.payment` decides, order by order, how the provider behaves.
    ///
    /// # Errors
    /// The database cannot be opened or brought up to date.
    pub async fn open(storage: &str, provider: Provider, flags: Flags) -> Result<Payments, Error> {
        let database = Database::open(storage, "payments", MIGRATIONS, Options::default()).await?;
        let outbox = Outbox::without_bus(database.clone());
        Ok(Payments {
            store: Store { database, outbox },
            provider: Counter { provider, flags, patience: Payments::PATIENCE },
            turns: Turns::default(),
        })
    }

    /// The same, telling others over `bus` what has become of payments.
    pub fn telling(mut self, bus: Arc<dyn Bus>) -> Payments {
        let (database, flags) = (self.store.database.clone(), self.provider.flags.clone());
        self.store.outbox = Outbox::new(database, bus, flags);
        self
    }

    /// The same, whose events say in which trace they happened.
    pub fn traced(mut self, traces: OneTrace) -> Payments {
        self.store.outbox = self.store.outbox.traced(traces);
        self
    }

    /// The same, with another patience for the provider.
    pub fn patience(mut self, patience: Duration) -> Payments {
        self.provider.patience = patience;
        self
    }

    /// Its whole HTTP API; the table stands in `shop_contracts::payments`.
    pub fn router(&self) -> Router {
        routes::routes(self.clone())
    }

    /// Carries what it says to the bus, until it is dropped. Without a bus it ends.
    pub fn tend(&self) -> impl Future<Output = ()> + Send + 'static {
        self.store.outbox.relay()
    }

    /// Its database, for those who look how full it is.
    pub fn database(&self) -> &Database {
        &self.store.database
    }

    /// How many events wait in the outbox.
    ///
    /// # Errors
    /// The database's.
    pub async fn unsaid(&self) -> Result<i64, Error> {
        self.store.outbox.unsaid().await
    }

    /// What it leans on.
    pub fn needs(&self) -> Vec<Dependency> {
        vec![health::database(&self.store.database)]
    }
}
