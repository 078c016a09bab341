//! The orders service: orders, and the checkout that leads to them.
//!
//! - `state`: which state may follow which: one table.
//! - `checkout`: the seam. A wish goes in, an order or a refusal comes out; the routes know no
//!   more of it. Behind it stands the synchronous checkout, which asks one service after the
//!   other while the customer waits.
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
mod refusal;
mod routes;
mod state;
mod store;

use axum::Router;
use shop_contracts::{carts, inventory, notifications, payments};
use shop_service::health::{self, Dependency};
use shop_storage::{Database, Error, Migration, Options, now};
use tokio::time::sleep;

use crate::checkout::{Checkout, Services};
pub use crate::checkout::{Pace, Recovered};
use crate::store::Store;

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    description: "orders and their lines",
    sql: include_str!("../migrations/0001_orders.sql"),
}];

/// After how many microseconds an order that is under way has been left, though nobody here has left
/// it: a checkout that asks everybody as often as it may takes less.
const ABANDONED: i64 = 90_000_000;

/// The orders service. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Orders {
    store: Store,
    checkout: Checkout,
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
        let checkout = Checkout::new(store.clone(), services, Pace::default());
        Ok(Orders { store, checkout })
    }

    /// The same, at another pace.
    pub fn pace(mut self, pace: Pace) -> Orders {
        self.checkout = self.checkout.pace(pace);
        self
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
    /// It takes every order that is under way for abandoned. That is true while there is one
    /// instance, before it serves. A second instance that starts would cancel what the first is
    /// working on; the conditional updates keep each order's row whole, but the customer would
    /// be refused for nothing. And it does not look at orders that are confirmed: a crash just
    /// after may leave a customer without a mail. Leases, a durable queue of what is to be done,
    /// and a saga that remembers how far it is are the answers to these; they are lessons of their
    /// own.
    ///
    /// # Errors
    /// The database does not say which orders there are.
    pub async fn recover(&self) -> Result<Recovered, Error> {
        self.checkout.recover(i64::MAX).await
    }

    /// Recovers while the service serves: at once what an earlier run left, and from then on, again
    /// and again, what has been under way for longer than any checkout takes, because a service or
    /// the database was away. Until it is dropped; to be called before the service serves.
    pub fn tend(&self) -> impl Future<Output = ()> + Send + 'static {
        let checkout = self.checkout.clone();
        let mut before = now();
        async move {
            loop {
                for done in [checkout.recover(before).await, checkout.go_on().await] {
                    match done {
                        Ok(done) if done == Recovered::default() => {}
                        Ok(done) => tracing::warn!(?done, "went on with orders that were left"),
                        Err(error) => tracing::error!(%error, "the orders cannot be looked after"),
                    }
                }
                sleep(checkout.pace.tend).await;
                before = now() - ABANDONED;
            }
        }
    }

    /// Its whole HTTP API; the table stands in `shop_contracts::orders`.
    pub fn router(&self) -> Router {
        routes::routes(self.store.clone(), self.checkout.clone())
    }

    /// What it leans on.
    pub fn needs(&self) -> Vec<Dependency> {
        vec![health::database(&self.store.0)]
    }
}
