//! The inventory service: what is in the warehouse, and for whom it is held. What it answers stands
//! in [`shop_contracts::inventory`].
//!
//! A checkout reserves first and buys later, and in between anything may go wrong: an answer is
//! lost, a customer gives up, a service dies. So three things hold here at every moment.
//!
//! **Nothing is sold twice.** To look whether there is enough and then to take it is the oldest
//! mistake of web shops: two customers look, both see the last one, both take it. Here one
//! statement does both, `UPDATE … SET available = available - n WHERE available >= n`, and the
//! database decides who comes first. That is what `pattern.lock` calls `conditional`, and the
//! default; what else it may be, and what each is worth, stands in `guard`.
//!
//! **All or nothing.** Each request is one transaction. It takes the rows of the products in the
//! order of their ids: two orders for tea and milk, one of them naming milk first, would otherwise
//! each hold what the other waits for.
//!
//! **Asked twice is done once.** A reservation is named by its order, and its row says how far it
//! is:
//!
//! ```text
//!   (none) --reserve--> held --commit---> sold
//!      |                  |
//!      |                  +---release--> released
//!      +------------------release-------> released
//! ```
//!
//! Nothing leaves `sold` or `released`.
//!
//! # The release that comes first
//!
//! The arrow below is no mistake. A caller that lost patience with its reservation releases it, and
//! the two travel on connections of their own: the release may arrive first. Were it answered "there
//! is nothing to release" and forgotten, the reservation would come after it and hold its stock for
//! an order that is long over, for ever. So a release writes down that the order is over, and the
//! reservation finds that.
//!
//! # What it says
//!
//! That stock is held, and that what was held is for sale again: `says` has the events. Each is
//! written in the transaction of the change that it tells of. That there was too little has changed
//! nothing; it is the answer of who asked, and at a sale nearly everybody gets it.
//!
//! # When the database stalls or dies
//!
//! The request is answered `unavailable` and has changed nothing, or, where the database died
//! during the commit, all of it. The caller need not know which: it asks again.

mod guard;
pub mod leases;
mod routes;
mod says;
mod store;

use std::sync::Arc;

use axum::Router;
use guard::Guard;
pub use guard::{Options, Think};
use observability::propagation::OneTrace;
use shop_bus::Bus;
use shop_flags::Flags;
use shop_outbox::{OUTBOX, Outbox};
use shop_service::health::{self, Dependency};
use shop_storage::{Database, Migration};

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        description: "warehouse",
        sql: include_str!("../migrations/0001_warehouse.sql"),
    },
    Migration {
        version: 2,
        description: "fence",
        sql: include_str!("../migrations/0002_fence.sql"),
    },
    Migration { version: 3, description: "outbox", sql: OUTBOX },
];

/// The inventory service. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Inventory {
    database: Database,
    guard: Guard,
    outbox: Outbox,
}

impl Inventory {
    /// The service that keeps its data at `storage`, brought up to date, and guards its stock as
    /// `flags` and `options` say. What of that needs Redis is ruled out where there is no `redis`.
    ///
    /// # Errors
    /// As for [`Database::open`].
    pub async fn open(
        storage: &str,
        redis: Option<&str>,
        flags: Flags,
        options: Options,
    ) -> Result<Inventory, shop_storage::Error> {
        let held = shop_storage::Options::default();
        let database = Database::open(storage, "inventory", MIGRATIONS, held).await?;
        let outbox = Outbox::without_bus(database.clone());
        Ok(Inventory { database, guard: Guard::open(flags, redis, options), outbox })
    }

    /// The same, telling others over `bus` what is held and what is not.
    pub fn telling(mut self, bus: Arc<dyn Bus>) -> Inventory {
        self.outbox = Outbox::new(self.database.clone(), bus, self.guard.flags.clone());
        self
    }

    /// The same, whose events say in which trace they happened.
    pub fn traced(mut self, traces: OneTrace) -> Inventory {
        self.outbox = self.outbox.traced(traces);
        self
    }

    /// Carries what it says to the bus, until it is dropped. Without a bus it ends.
    pub fn tend(&self) -> impl Future<Output = ()> + Send + 'static {
        self.outbox.relay()
    }

    /// Its HTTP API.
    pub fn router(&self) -> Router {
        shop_service::operate::complete(routes::routes(self.clone()), self.database.clone())
    }

    /// Its database, for those who look how full it is.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// How many events wait in the outbox.
    ///
    /// # Errors
    /// The database's.
    pub async fn unsaid(&self) -> Result<i64, shop_storage::Error> {
        self.outbox.unsaid().await
    }

    /// What it leans on.
    pub fn needs(&self) -> Vec<Dependency> {
        vec![health::database(&self.database)]
    }
}
