//! The shop before: one program, one database, one transaction.
//!
//! Everything that an online shop needs, written as one would write it: a table for each thing,
//! foreign keys between them, and a checkout that is all or nothing because the database says so.
//! Nothing here is wrong in the small. What the lessons are about is what becomes of it when the
//! payment provider takes a second, the mail server takes two, and ten people want the same
//! thing: docs/monolith.md.
//!
//! - [`checkout`]: the eleven steps. Begin here.
//! - [`accounts`]: who is who, and [`accounts::Caller`], who is asking.
//! - [`catalog`], [`reviews`], [`carts`], [`orders`]: the rest of the shop, as it is asked for.
//! - [`books`]: sums, for those who check that they add up.
//! - [`seed`]: taking in the supplier's list.
//!
//! | request | answer |
//! | --- | --- |
//! | `POST /api/register` | 201 and the customer; `taken` if the address has an account |
//! | `POST /api/login` | a token; `unauthorized` |
//! | `GET /api/categories` | all categories |
//! | `GET /api/products?category&q&page&size` | a page of products, by name |
//! | `GET /api/products/{id}` | the product |
//! | `GET /api/products/{id}/reviews?page&size` | a page of reviews, the latest first |
//! | `POST /api/products/{id}/reviews` | 201 and the review; `taken` if there is one by this customer |
//! | `GET /api/cart` | the cart, at today's prices |
//! | `PUT /api/cart/items/{product}` | so many of it from now on, and the cart |
//! | `DELETE /api/cart/items/{product}` | none of it, and the cart |
//! | `POST /api/orders/checkout` | 201 and the order, three seconds later |
//! | `GET /api/orders` | the customer's orders, the latest first |
//! | `GET /api/orders/{id}` | the order, if it is theirs |
//! | `GET /health` | 200 while the database answers |
//!
//! Every refusal is a [`Problem`](shop_contracts::Problem). What belongs to somebody else is not
//! found: that it exists is theirs to know, too.

pub mod accounts;
pub mod books;
pub mod carts;
pub mod catalog;
pub mod checkout;
pub mod orders;
pub mod reviews;
pub mod seed;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post, put};
use shop_outside::{mail, payment};
use shop_service::operate;
use shop_service::password::Passwords;
use shop_service::token::Tokens;
use shop_storage::{Database, Error, Migration, Options, Side};
use tokio::sync::RwLock;

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    description: "the shop",
    sql: include_str!("../migrations/0001_the_shop.sql"),
}];

/// How long a request waits for its turn at the database. A checkout has it for three seconds, so
/// the tenth in a queue waits for half a minute; who waits for a whole one is told to try again.
///
/// The usual five seconds would turn the third buyer of one product away.
const PATIENCE: Duration = Duration::from_secs(60);

/// The most connections to a PostgreSQL. A buyer who waits for a lock waits on one of them: when
/// this many buyers wait, who only wants to look waits as well.
const CONNECTIONS: u32 = 24;

/// The whole shop. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Monolith {
    database: Database,
    provider: payment::Provider,
    mail: mail::Server,
    tokens: Tokens,
    passwords: Passwords,
    /// Read by each checkout while it lasts, so that whoever can write knows that none does.
    under_way: Arc<RwLock<()>>,
}

impl Monolith {
    /// The shop whose database is at `storage` (`sqlite://FOLDER` or `postgres://…`), made if it is
    /// not there. It has nothing to sell until it is [seeded](Monolith::seed).
    ///
    /// # Errors
    /// The database cannot be opened, or was made by another version of this program.
    pub async fn open(
        storage: &str,
        provider: payment::Provider,
        mail: mail::Server,
        tokens: Tokens,
    ) -> Result<Monolith, Error> {
        let options = Options { connections: CONNECTIONS, patience: PATIENCE };
        let database = Database::open(storage, "monolith", MIGRATIONS, options).await?;
        let (passwords, under_way) = Default::default();
        Ok(Monolith { database, provider, mail, tokens, passwords, under_way })
    }

    /// All that it answers over HTTP.
    pub fn router(&self) -> Router {
        let routes = Router::new()
            .route("/api/register", post(accounts::register))
            .route("/api/login", post(accounts::login))
            .route("/api/categories", get(catalog::categories))
            .route("/api/products", get(catalog::products))
            .route("/api/products/{id}", get(catalog::product))
            .route("/api/products/{id}/reviews", get(reviews::read).post(reviews::write))
            .route("/api/cart", get(carts::show))
            .route("/api/cart/items/{product}", put(carts::put).delete(carts::remove))
            .route("/api/orders/checkout", post(checkout::checkout))
            .route("/api/orders", get(orders::all))
            .route("/api/orders/{id}", get(orders::one))
            .with_state(self.clone());
        operate::complete(routes, self.database.clone())
    }

    /// Which kind of database it has, in words for people.
    pub fn place(&self) -> &'static str {
        match self.database.side() {
            Side::Sqlite => "SQLite: one writer at a time, whoever it is",
            Side::Postgres => "PostgreSQL: whoever wants the same rows waits",
        }
    }

    /// Closes the database, after the checkouts that are under way.
    ///
    /// One that has begun is finished, however long the provider takes and whoever it waits for;
    /// what comes later is refused as `unavailable`. Whoever cannot wait for ever brings a timeout.
    pub async fn close(&self) {
        self.database.close().await;
        // sqlx may be done with closing before a connection that is in use comes back:
        // https://github.com/launchbadge/sqlx/issues/3217.
        let _none_left = self.under_way.write().await;
    }
}
