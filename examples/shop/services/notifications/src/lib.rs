//! The notifications service: what customers were told. What it answers stands in
//! [`shop_contracts::notifications`].
//!
//! One mail for each order, and the order's id is its name: asked twice, it is sent once.
//!
//! ```text
//!   (none) --claim--> pending --the server took it-----> sent
//!                      ^   |
//!                      |   +---the server refused it---> failed
//!                      +--------asked again--------------+
//! ```
//!
//! **First the row, then the mail.** The row `pending` is committed before the mail server is asked,
//! and whoever wrote it is the one who sends. Nobody else does, in this process or in another one
//! that shares the database. It does not matter by which way one comes: a request, or an event on
//! the bus; the synchronous checkout takes both. Who asks while the mail is being sent waits for the outcome; in another
//! process they are told `pending`.
//!
//! **Whom to tell is asked before that.** Where the users service is away, its problem is passed on,
//! nothing has been written, and the next attempt begins anew.
//!
//! **A mail that was not taken undoes no order.** The answer is 200 with the state `failed`, since
//! the question was heard and this is its answer. A failed one may be asked for again: the server
//! said no, so nobody has got it, and a server that was out of order may be well by then.
//!
//! # What a crash means
//!
//! Between the mail and the writing down of it lies a moment in which the mail is out and the row
//! says `pending`. RFC 1047 described it in 1988: the sender cannot know whether the other side took
//! the message, and mail has no idempotency key by which to ask. There are two ways to be wrong.
//! Whoever sends again may tell a customer twice; whoever does not may tell them never. Here a
//! `pending` that nobody is working on stays as it is: the order stands in the shop, where the
//! customer can look, and two confirmations look like two orders. Who finds it, the row, can ask the
//! mail server's log for the order's id.
//!
//! The same holds where the mail server does not answer within [`PATIENCE`], where this process is
//! stopped while it sends, and where the database is lost before the outcome is written down.
//!
//! A caller that hangs up changes nothing: the work is a task of its own.
//!
//! # When the database stalls or dies
//!
//! The request is answered `unavailable`, and may be asked again: at worst it is `pending`.

mod hear;
mod routes;
mod store;
mod tell;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use observability::propagation::OneTrace;
use shop_bus::Bus;
use shop_contracts::users;
use shop_flags::Flags;
use shop_outbox::{INBOX, Inbox, OUTBOX, Outbox};
use shop_outside::mail::Server;
use shop_service::health::{self, Dependency};
use shop_service::turns::Turns;
use shop_storage::{Database, Migration, Options};

pub use hear::subscription;

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        description: "notifications",
        sql: include_str!("../migrations/0001_notifications.sql"),
    },
    Migration { version: 2, description: "inbox", sql: INBOX },
    Migration { version: 3, description: "outbox", sql: OUTBOX },
    Migration {
        version: 4,
        description: "asked",
        sql: include_str!("../migrations/0004_asked.sql"),
    },
];

/// How long the mail server is waited for. It usually takes two seconds, and four where
/// `fault.email` is `slow`; callers wait ten.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// The notifications service. Clones are the same one.
#[derive(Clone)]
pub struct Notifications {
    database: Database,
    users: users::Client,
    mail: Server,
    flags: Flags,
    patience: Duration,
    turns: Turns,
    bus: Option<Arc<dyn Bus>>,
    inbox: Inbox,
    outbox: Outbox,
    traces: OneTrace,
}

impl Notifications {
    /// The service that keeps its data at `storage`, brought up to date; asks `users` for addresses;
    /// and hands its letters to `mail`, in the weather of the flag `fault.email` for the order's id.
    ///
    /// # Errors
    /// As for [`Database::open`].
    pub async fn open(
        storage: &str,
        users: users::Client,
        mail: Server,
        flags: Flags,
    ) -> Result<Notifications, shop_storage::Error> {
        let database = Database::open(storage, "notifications", MIGRATIONS, Options::default());
        let (database, turns) = (database.await?, Turns::default());
        let inbox = Inbox::new("notifications", flags.clone());
        let outbox = Outbox::without_bus(database.clone());
        Ok(Notifications {
            database,
            users,
            mail,
            flags,
            patience: PATIENCE,
            turns,
            bus: None,
            inbox,
            outbox,
            traces: OneTrace::default(),
        })
    }

    /// The same, hearing of confirmed orders over `bus`, and saying there whom it told.
    pub fn telling(mut self, bus: Arc<dyn Bus>) -> Notifications {
        let (database, flags) = (self.database.clone(), self.flags.clone());
        self.outbox = Outbox::new(database, Arc::clone(&bus), flags);
        self.bus = Some(bus);
        self
    }

    /// The same, hearing in the trace in which an event happened, and saying so of its own.
    pub fn traced(mut self, traces: OneTrace) -> Notifications {
        self.outbox = self.outbox.traced(traces.clone());
        self.traces = traces;
        self
    }

    /// The same, with another patience than [`PATIENCE`].
    pub fn patience(mut self, patience: Duration) -> Notifications {
        self.patience = patience;
        self
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

impl std::fmt::Debug for Notifications {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifications").field("database", &self.database).finish_non_exhaustive()
    }
}
