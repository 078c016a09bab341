//! The carts service: what a customer means to buy. What it answers stands in
//! [`shop_contracts::carts`].
//!
//! **A cart keeps products and numbers, no names and no prices.** Those are the catalogue's, and a
//! copy of them would be wrong as soon as a price changes. So each time a cart is looked at, the
//! catalogue is asked for all its lines in one question. The price is the one at which an order
//! would be placed now, not a promise.
//!
//! **What the catalogue no longer knows is not shown**, and not counted in the total: nobody can buy
//! it. Its line stays, and shows again should the product come back, until the customer removes it
//! or empties the cart.
//!
//! **A change is one line.** The cart is not read, changed and written back as a whole: of two
//! browser tabs doing that at once, one would undo the other. A line is a row, and a request touches
//! its own. Where the number of lines matters, the cart's row is taken first, so that two who both
//! see the last free place are one after the other.
//!
//! # When the catalogue stalls or dies
//!
//! Its problem is passed on. `PUT` asks whether the product exists before it writes, so then nothing
//! has changed. But each change is answered with the cart at today's prices: where the catalogue is
//! lost between the two, the change is made and the answer is a problem. To ask again is safe, since
//! `PUT` says how many there are to be, not how many more. To empty a cart needs no catalogue.
//!
//! # When the database stalls or dies
//!
//! The request is answered `unavailable`, and may be asked again as well.

mod routes;
mod store;

use axum::Router;
use shop_contracts::catalog;
use shop_service::health::{self, Dependency};
use shop_storage::{Database, Migration, Options};

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    description: "carts",
    sql: include_str!("../migrations/0001_carts.sql"),
}];

/// The carts service. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Carts {
    database: Database,
    catalog: catalog::Client,
}

impl Carts {
    /// The service that keeps its data at `storage`, brought up to date, and asks `catalog` for
    /// names and prices.
    ///
    /// # Errors
    /// As for [`Database::open`].
    pub async fn open(
        storage: &str,
        catalog: catalog::Client,
    ) -> Result<Carts, shop_storage::Error> {
        let database = Database::open(storage, "carts", MIGRATIONS, Options::default()).await?;
        Ok(Carts { database, catalog })
    }

    /// Its HTTP API.
    pub fn router(&self) -> Router {
        shop_service::operate::complete(routes::routes(self.clone()), self.database.clone())
    }

    /// Its database, for those who look how full it is.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// What it leans on.
    pub fn needs(&self) -> Vec<Dependency> {
        vec![health::database(&self.database)]
    }
}
