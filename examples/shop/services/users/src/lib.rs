//! The users service: who is who. What it answers stands in [`shop_contracts::users`].
//!
//! **A password is never kept**, only its Argon2id hash ([`shop_service::password`]). It leaves this
//! service in no answer and no log.
//!
//! **One address, one account.** Whether an address is taken is not looked up first: of two who
//! register at once, both would find it free. The table says `UNIQUE`, both insert, and one is told
//! `taken`. The address is in lower case by then, so that `Ada@` and `ada@` are one.
//!
//! **A login tells nothing but yes or no.** An unknown address and a wrong password get the same
//! answer after the same work, so that neither the words nor a clock tell a stranger who has an
//! account here. Registration does tell, by `taken`; shops that must not tell even that answer
//! "we have written to you" to everybody, and need a mail for each registration.
//!
//! **A token speaks for itself.** Others read it with the secret that they share with us, without
//! asking. The price: it cannot be taken back before its end, which is an hour away
//! ([`shop_service::token::LIFE`]). A role that was changed shows in the next token.
//!
//! # When the database stalls or dies
//!
//! The request is answered `unavailable`. A registration may have been carried out by then; who
//! repeats it is told `taken`, and can log in.

mod routes;
mod store;

use axum::Router;
use shop_service::health::{self, Dependency};
use shop_service::password::Passwords;
use shop_service::token::Tokens;
use shop_storage::{Database, Migration, Options};

const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    description: "customers",
    sql: include_str!("../migrations/0001_customers.sql"),
}];

/// The users service. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Users {
    database: Database,
    passwords: Passwords,
    tokens: Tokens,
}

impl Users {
    /// The service that keeps its data at `storage`, brought up to date, and signs with `tokens`.
    ///
    /// # Errors
    /// As for [`Database::open`].
    pub async fn open(storage: &str, tokens: Tokens) -> Result<Users, shop_storage::Error> {
        let database = Database::open(storage, "users", MIGRATIONS, Options::default()).await?;
        Ok(Users { database, passwords: Passwords::default(), tokens })
    }

    /// How many hashes of passwords were computed since this was opened. They are nearly all of the
    /// time that a login takes, so that who counts them need not measure it.
    pub fn hashes(&self) -> u64 {
        self.passwords.hashes()
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
