//! A PostgreSQL of one's own, and the faults that a server can play by itself.
//!
//! ```no_run
//! # async fn lesson() -> Result<(), Box<dyn std::error::Error>> {
//! let postgres = testbed::postgres::process().await?;
//! println!("{}", postgres.origin());
//! println!("psql '{}'", postgres.url());
//! postgres.kill().await?; // every process of it, as when the machine's power is cut
//! postgres.restart().await?; // the same address, and what was committed is there
//! # Ok(()) }
//! ```
//!
//! # A database or a server
//!
//! [`private`] gives a fresh database, which is dropped with the last handle to it. All that a
//! program asks for are on one server, which ends with the program: a server needs a tenth of
//! a second to start, a database a fifth of that, and databases see nothing of each other.
//! [`process`] gives a server, for checks that kill or freeze it. [`Postgres::kill`],
//! [`Postgres::restart`], [`Postgres::stop_process`] and [`Postgres::continue_process`] are
//! refused on a database, whose neighbours they would meet too.
//!
//! A server from `DATABASE_URL` or `cargo lab up postgres` may be used by others: of it, too,
//! [`private`] gives a fresh database, and nothing else there is touched.
//!
//! # Traps
//!
//! - PostgreSQL is many processes, one for each session and some more. Killing or freezing the
//!   first one alone leaves all sessions at work; here the orders go to all of them.
//! - Redis comes back empty from a restart; this comes back with all that was committed, and
//!   reads its log first.
//! - A stopped process still accepts connections, as the kernel does that; only a time limit
//!   tells a frozen server from a slow one.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::Missing;
use crate::server::supervised::Trouble;
use crate::server::{self, Address, Holder, Own, Provided, Step};

mod cluster;
mod database;
mod recipe;
mod scram;
mod session;
mod url;

use database::Database;
pub use recipe::RECIPE;
pub use session::{Refusal, Rows, Session};
pub use url::Target;

/// How long the server may take to answer an order. Local ones answer in well under 100 ms.
const PATIENCE: Duration = Duration::from_secs(10);

/// PostgreSQL's word for "you may not do that".
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// The server on which [`private`] makes its databases, where it is ours. It is never dropped:
/// it ends with the process, which its supervisor notices.
static SERVER: Mutex<Option<Arc<Provided>>> = Mutex::new(None);

/// A PostgreSQL database that is empty at first and nobody else's, or a whole server with one
/// in it. Clones are handles to the same; the last one dropped ends it.
#[derive(Debug, Clone)]
pub struct Postgres {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    /// Before the server, so that it is dropped first.
    database: Option<Database>,
    target: Target,
    url: String,
    origin: String,
    server: Arc<Provided>,
}

/// Why an order to the server was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only a server that is nobody else's may be killed or stopped.
    #[error(
        "cannot {order} a server that others use: {origin}\n\
         next: take one with testbed::postgres::process()"
    )]
    NotOurs {
        /// What was asked for.
        order: &'static str,
        /// The server.
        origin: String,
    },
    /// The server's processes could not be ruled.
    #[error(transparent)]
    Process(#[from] Trouble),
    /// The server did not answer, or refused.
    #[error("PostgreSQL did not take the order: {cause}\nnext: cargo lab doctor postgres")]
    Order {
        /// What the server said. In the message, so no `source` for others to append.
        cause: Refusal,
    },
    /// The thread that should have done it was lost.
    #[error("the order was lost")]
    Lost(#[from] tokio::task::JoinError),
}

/// A fresh database, on a server by the whole chain: see [`server`].
///
/// # Errors
/// [`Missing`], whose message ends with the one command to run.
pub async fn private() -> Result<Postgres, Missing> {
    obtain(Postgres::on_a_server).await
}

/// A server of one's own, so that every fault may be played: the chain without shared
/// servers, which a `DATABASE_URL` or a `cargo lab up postgres` would otherwise give.
///
/// # Errors
/// [`Missing`], whose message ends with the one command to run.
pub async fn process() -> Result<Postgres, Missing> {
    obtain(Postgres::whole).await
}

async fn obtain(how: fn() -> Result<Postgres, Missing>) -> Result<Postgres, Missing> {
    // On a blocking thread, so that a paused tokio clock does not run away meanwhile.
    tokio::task::spawn_blocking(how).await.unwrap_or_else(|lost| {
        let next = format!("run it again: the search was interrupted ({lost})");
        Err(Missing { server: RECIPE.name, tried: Vec::new(), next })
    })
}

impl Postgres {
    fn whole() -> Result<Self, Missing> {
        let server = Arc::new(server::provide(&RECIPE, &[Step::Url, Step::Kept])?);
        let target = read(&server)?;
        let (url, origin) = (target.render(), server.origin.clone());
        Ok(Self { held: Arc::new(Held { database: None, target, url, origin, server }) })
    }

    fn on_a_server() -> Result<Self, Missing> {
        // Held while the first server starts: all others wait for it and share it.
        let mut ours = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = |server: &&Arc<Provided>| match &server.holder {
            Holder::Process(process) => process.pid().is_some(),
            _ => true,
        };
        let server = match ours.as_ref().filter(alive) {
            Some(server) => Arc::clone(server),
            None => Arc::new(server::provide(&RECIPE, &[])?),
        };
        let shared = matches!(server.holder, Holder::Others);
        if !shared {
            *ours = Some(Arc::clone(&server));
        }
        drop(ours);

        let at = read(&server)?;
        let database = Database::make(&at, shared).map_err(|refused| {
            let next = match (&refused, server.step) {
                (Refusal::Server { code, .. }, Step::Url) if code == INSUFFICIENT_PRIVILEGE => {
                    format!(
                        "ALTER ROLE \"{}\" CREATEDB, as its administrator; or unset DATABASE_URL",
                        at.user()
                    )
                }
                (_, Step::Url) => "name another server in DATABASE_URL, or unset it".into(),
                (_, Step::Kept) => "cargo lab down postgres && cargo lab up postgres".into(),
                _ => "cargo lab doctor postgres".into(),
            };
            let why = format!("cannot make a database at {}: {refused}", at.address());
            Missing { server: RECIPE.name, tried: vec![(server.step, why)], next }
        })?;
        let target = database.target();
        let origin = match shared {
            true => format!("{} · own database", server.origin),
            false => server.origin.clone(),
        };
        let url = target.render();
        let database = Some(database);
        Ok(Self { held: Arc::new(Held { database, target, url, origin, server }) })
    }

    /// What clients open: host or socket, database and credentials. `psql` and sqlx read it.
    pub fn url(&self) -> &str {
        &self.held.url
    }

    /// Where a proxy connects to.
    pub fn address(&self) -> &Address {
        self.held.target.address()
    }

    /// One line for people: what this is and where it comes from.
    pub fn origin(&self) -> impl fmt::Display + '_ {
        &self.held.origin
    }

    /// The server's first process, while it lives and the server is ours.
    pub fn pid(&self) -> Option<u32> {
        match &self.held.server.holder {
            Holder::Process(process) => process.pid(),
            _ => None,
        }
    }

    /// The directory in which our own server works; gone when it is.
    pub fn room(&self) -> Option<PathBuf> {
        match &self.held.server.holder {
            Holder::Process(process) => Some(process.room().to_owned()),
            _ => None,
        }
    }

    /// Kills the server's processes, as `kill -9` does, and waits for their end. Clients see
    /// their connections closed without a word, then refused. Killing a dead server is fine.
    ///
    /// The first process, to which no client talks, goes by an "immediate shutdown": it saves
    /// nothing either, and gives back the shared memory that would stay for ever.
    ///
    /// # Errors
    /// [`Error::NotOurs`] unless this is a [`process`].
    pub async fn kill(&self) -> Result<(), Error> {
        self.rule("kill", Own::kill).await
    }

    /// Starts the server again on the same address and waits until it is ready; kills it first
    /// where it runs. What was committed is there, and nothing else: the server's files stay,
    /// and what it has not written into them it reads from its log.
    ///
    /// # Errors
    /// [`Error::NotOurs`] unless this is a [`process`]; [`Error::Process`] when it does not
    /// come up.
    pub async fn restart(&self) -> Result<(), Error> {
        self.rule("restart", Own::restart).await
    }

    /// Freezes the server's processes with SIGSTOP: connections stay open, nothing answers.
    ///
    /// # Errors
    /// [`Error::NotOurs`] unless this is a [`process`]; [`Error::Process`] when it is dead.
    pub async fn stop_process(&self) -> Result<(), Error> {
        self.rule("stop", Own::stop).await
    }

    /// Wakes the processes with SIGCONT. What clients sent meanwhile is now carried out.
    ///
    /// # Errors
    /// [`Error::NotOurs`] unless this is a [`process`]; [`Error::Process`] when it is dead.
    pub async fn continue_process(&self) -> Result<(), Error> {
        self.rule("continue", Own::resume).await
    }

    /// Ends every session in our database, on a whole server in any, and waits for their end:
    /// what an administrator, a failover or a pooler does to clients. They find out at their
    /// next word. Gives the number of sessions ended; one that its client has just left counts
    /// until the server has noticed.
    ///
    /// # Errors
    /// [`Error::Order`].
    pub async fn terminate_clients(&self) -> Result<usize, Error> {
        let occupant = self.held.database.as_ref().and_then(Database::occupant).unwrap_or(0);
        let which = format!("{} AND pid <> {occupant}", self.scope());
        self.converse(move |session| database::end_sessions(session, &which, PATIENCE)).await
    }

    /// How many locks are waited for in our database, on a whole server in any: two clients
    /// that update one row, and a third behind them, are 2. What F9 observers look at.
    ///
    /// # Errors
    /// [`Error::Order`].
    pub async fn waiting(&self) -> Result<usize, Error> {
        // By the session's database: a lock on a transaction, for which one waits who wants a
        // row that another has changed, belongs to none.
        let order = format!(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) \
             WHERE NOT granted AND {}",
            self.scope()
        );
        self.converse(move |session| session.number(&order)).await
    }

    /// Whose sessions are meant, as a condition on `pg_stat_activity`.
    fn scope(&self) -> &'static str {
        match self.held.database {
            Some(_) => "datname = current_database()",
            None => "datname IS NOT NULL",
        }
    }

    /// Opens a session for one order, on a blocking thread, where a paused tokio clock cannot
    /// make its time limits fire.
    async fn converse<T, F>(&self, talk: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Session) -> Result<T, Refusal> + Send + 'static,
    {
        let held = Arc::clone(&self.held);
        let said = tokio::task::spawn_blocking(move || {
            let mut session = Session::open(&held.target, PATIENCE)?;
            let said = talk(&mut session);
            session.close();
            said
        });
        said.await?.map_err(|cause| Error::Order { cause })
    }

    async fn rule<F>(&self, order: &'static str, rule: F) -> Result<(), Error>
    where
        F: FnOnce(&(dyn Own + 'static)) -> Result<(), Trouble> + Send + 'static,
    {
        let held = Arc::clone(&self.held);
        let done = tokio::task::spawn_blocking(move || {
            match held.server.holder.own().filter(|_| held.database.is_none()) {
                Some(own) => Ok(rule(own)?),
                None => Err(Error::NotOurs { order, origin: held.origin.clone() }),
            }
        });
        done.await?
    }
}

fn read(server: &Provided) -> Result<Target, Missing> {
    Target::read(&server.url).map_err(|why| Missing {
        server: RECIPE.name,
        tried: vec![(server.step, why)],
        next: "correct or unset DATABASE_URL".into(),
    })
}
