//! A Redis of one's own, and the faults that a server can play by itself.
//!
//! ```no_run
//! # async fn lesson() -> Result<(), Box<dyn std::error::Error>> {
//! let redis = testbed::redis::private().await?;
//! println!("{}", redis.origin());
//! let client = redis::Client::open(redis.url())?;
//! redis.kill().await?; // nothing of it is left
//! redis.restart().await?; // the same address, an empty server
//! # Ok(()) }
//! ```
//!
//! # Private and shared
//!
//! A server started here is private: every fault is allowed, and it goes when the [`Redis`]
//! is dropped or its process dies. A server from `REDIS_URL` or `cargo lab up` is shared:
//! there a [`Redis`] is one logical database, taken by a lease (see [`lease`]). Of the faults
//! on a shared server, [`Redis::kill`], [`Redis::restart`], [`Redis::stop_process`] and
//! [`Redis::continue_process`] are refused; [`Redis::pause`] and [`Redis::script_flush`] meet
//! everybody on it. A check that needs them takes [`process`] in place of [`private`].
//!
//! # Traps
//!
//! - Orders to the server travel on a connection made for each, so that no fault can cut the
//!   hand that plays it. They count in [`Redis::command_stats`], as `info`, `client|kill` …
//! - A stopped process still accepts connections, as the kernel does that; only a time limit
//!   tells a frozen server from a slow one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::redis::{Cmd, Connection, ConnectionAddr, FromRedisValue, IntoConnectionInfo, RedisError};

use crate::Missing;
use crate::server::supervised::Trouble;
use crate::server::{self, Address, Holder, Own, Provided, Step};

pub mod lease;
mod recipe;
mod url;

use lease::Lease;
pub use recipe::RECIPE;
use recipe::{connect, open};

/// How long an order to the server may take. Local servers answer in well under 1 ms.
const PATIENCE: Duration = Duration::from_secs(5);

/// A Redis that is empty at first and nobody else's: a whole server, or a leased logical
/// database of a shared one. Clones are handles to the same; the last one dropped ends it.
#[derive(Debug, Clone)]
pub struct Redis {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    /// Our database, where the server is shared.
    lease: Option<Lease>,
    url: String,
    address: Address,
    origin: String,
    client: ::redis::Client,
    holder: Holder,
}

/// Why an order to the server was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only a process that the test bed started itself may be killed or stopped.
    #[error(
        "cannot {order} a server that is not ours: {origin}\n\
         next: install one with `cargo lab setup`, then unset REDIS_URL and run `cargo lab down`"
    )]
    NotOurs {
        /// What was asked for.
        order: &'static str,
        /// The server.
        origin: String,
    },
    /// The server's process could not be ruled.
    #[error(transparent)]
    Process(#[from] Trouble),
    /// The server did not answer, or refused.
    #[error("Redis did not take {order}: {cause}\nnext: cargo lab doctor")]
    Order {
        /// The command.
        order: String,
        /// What the client said. In the message, so no `source` for others to append.
        cause: RedisError,
    },
    /// The thread that should have done it was lost.
    #[error("the order was lost")]
    Lost(#[from] tokio::task::JoinError),
}

/// A Redis by the whole chain: see [`server`].
///
/// # Errors
/// [`Missing`], whose message ends with the one command to run.
pub async fn private() -> Result<Redis, Missing> {
    obtain(&[]).await
}

/// A Redis that is a process of one's own, so that every fault may be played: the chain
/// without shared servers, which a `REDIS_URL` or a `cargo lab up` would otherwise give.
///
/// # Errors
/// [`Missing`], whose message ends with the one command to run.
pub async fn process() -> Result<Redis, Missing> {
    obtain(&[Step::Url, Step::Kept]).await
}

async fn obtain(without: &'static [Step]) -> Result<Redis, Missing> {
    // On a blocking thread, so that a paused tokio clock does not run away meanwhile.
    let walk = move || Redis::new(server::provide(&RECIPE, without)?);
    tokio::task::spawn_blocking(walk).await.unwrap_or_else(|lost| {
        let next = format!("run it again: the search was interrupted ({lost})");
        Err(Missing { server: RECIPE.name, tried: Vec::new(), next })
    })
}

impl Redis {
    fn new(provided: Provided) -> Result<Self, Missing> {
        let Provided { step, url, mut origin, holder } = provided;
        let refused = |why: String, next: &str| Missing {
            server: RECIPE.name,
            tried: vec![(step, why)],
            next: next.into(),
        };
        let unreadable =
            |error: RedisError| refused(error.to_string(), "correct or unset REDIS_URL");
        let mut info = url.as_str().into_connection_info().map_err(unreadable)?;
        let mut lease = None;
        if matches!(holder, Holder::Others) {
            let taken = Lease::take(&info).map_err(|full| {
                let next = match step {
                    Step::Kept => "cargo lab down && cargo lab up",
                    _ => "unset REDIS_URL, or name an empty database in it",
                };
                refused(full.to_string(), next)
            })?;
            let settings = info.redis_settings().clone().set_db(taken.database());
            info = info.set_redis_settings(settings);
            origin = format!("{origin} · database {}", taken.database());
            lease = Some(taken);
        }
        let address = match info.addr() {
            ConnectionAddr::Unix(path) => Address::Unix(path.clone()),
            ConnectionAddr::Tcp(host, port) => Address::Tcp(host.clone(), *port),
            _ => {
                return Err(refused(
                    "TLS is not built in".into(),
                    "name a server without TLS in REDIS_URL",
                ));
            }
        };
        let url = url::render(&address, info.redis_settings());
        let client = open(info).map_err(unreadable)?;
        Ok(Self { held: Arc::new(Held { lease, url, address, origin, client, holder }) })
    }

    /// What clients open: host or socket, database and credentials.
    pub fn url(&self) -> &str {
        &self.held.url
    }

    /// Where a proxy connects to.
    pub fn address(&self) -> &Address {
        &self.held.address
    }

    /// One line for people: what this is and where it comes from.
    pub fn origin(&self) -> impl fmt::Display + '_ {
        &self.held.origin
    }

    /// The server's process, while it lives and is ours.
    pub fn pid(&self) -> Option<u32> {
        match &self.held.holder {
            Holder::Process(process) => process.pid(),
            _ => None,
        }
    }

    /// The directory in which our own server works; gone when it is.
    pub fn room(&self) -> Option<PathBuf> {
        match &self.held.holder {
            Holder::Process(process) => Some(process.room().to_owned()),
            _ => None,
        }
    }

    /// Kills the server as `kill -9` does, and waits for its end. Clients see their
    /// connections closed, then refused. Killing a dead server is fine.
    ///
    /// # Errors
    /// [`Error::NotOurs`] on a shared server.
    pub async fn kill(&self) -> Result<(), Error> {
        self.rule("kill", Own::kill).await
    }

    /// Starts the server again on the same address, empty, and waits until it is ready;
    /// kills it first where it runs.
    ///
    /// # Errors
    /// [`Error::NotOurs`] on a shared server; [`Error::Process`] when it does not come up.
    pub async fn restart(&self) -> Result<(), Error> {
        self.rule("restart", Own::restart).await
    }

    /// Freezes the process with SIGSTOP: connections stay open, nothing answers.
    ///
    /// # Errors
    /// [`Error::NotOurs`] on a shared server; [`Error::Process`] when it is dead.
    pub async fn stop_process(&self) -> Result<(), Error> {
        self.rule("stop", Own::stop).await
    }

    /// Wakes the process with SIGCONT. What clients sent meanwhile is now carried out.
    ///
    /// # Errors
    /// [`Error::NotOurs`] on a shared server; [`Error::Process`] when it is dead.
    pub async fn continue_process(&self) -> Result<(), Error> {
        self.rule("continue", Own::resume).await
    }

    /// Holds back every command of every client for `how_long` (`CLIENT PAUSE … ALL`), ours
    /// included. On a shared server it meets everybody.
    ///
    /// # Errors
    /// [`Error::Order`].
    pub async fn pause(&self, how_long: Duration) -> Result<(), Error> {
        let millis = u64::try_from(how_long.as_millis()).unwrap_or(u64::MAX);
        self.order(&format!("CLIENT PAUSE {millis} ALL")).await
    }

    /// Closes the connections of all ordinary clients but this hand's; on a shared server,
    /// of those that use our database. Gives the number of connections closed.
    ///
    /// # Errors
    /// [`Error::Order`].
    pub async fn kill_clients(&self) -> Result<usize, Error> {
        if self.held.lease.is_none() {
            return self.order("CLIENT KILL TYPE normal SKIPME yes").await;
        }
        let database = self.held.client.get_connection_info().redis_settings().db();
        let kill = move |connection: &mut Connection| {
            let own: u64 = command("CLIENT ID").query(connection)?;
            let list: String = command("CLIENT LIST TYPE normal").query(connection)?;
            let mut killed = 0;
            for id in lease::clients_of(database, &list).filter(|id| *id != own) {
                killed += command(&format!("CLIENT KILL ID {id}")).query::<usize>(connection)?;
            }
            Ok(killed)
        };
        self.converse("CLIENT KILL", kill).await
    }

    /// Makes the server forget every script, so that EVALSHA answers NOSCRIPT. On a shared
    /// server it meets everybody; a correct client does not mind.
    ///
    /// # Errors
    /// [`Error::Order`].
    pub async fn script_flush(&self) -> Result<(), Error> {
        self.order("SCRIPT FLUSH").await
    }

    /// Removes every key: of the server where it is ours (`FLUSHALL`), of our database where
    /// it is shared.
    ///
    /// # Errors
    /// [`Error::Order`].
    pub async fn flush_all(&self) -> Result<(), Error> {
        let Some(lease) = &self.held.lease else {
            return self.order("FLUSHALL").await;
        };
        let token = lease.token().to_owned();
        self.converse("FLUSHDB", move |connection| lease::flush(connection, &token)).await
    }

    /// How often the server has carried out each command since it started, in lower case:
    /// `get`, `set`, `client|kill`. Subtract an earlier answer from a later one; on a shared
    /// server the counts are everybody's.
    ///
    /// # Errors
    /// [`Error::Order`].
    pub async fn command_stats(&self) -> Result<BTreeMap<String, u64>, Error> {
        let info: String = self.order("INFO commandstats").await?;
        // cmdstat_get:calls=21,usec=175,usec_per_call=8.33,rejected_calls=0,failed_calls=0
        let calls = |line: &str| {
            let (name, figures) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let calls = figures.strip_prefix("calls=")?.split(',').next()?;
            Some((name.to_owned(), calls.parse().ok()?))
        };
        Ok(info.lines().filter_map(calls).collect())
    }

    async fn order<T>(&self, order: &str) -> Result<T, Error>
    where
        T: FromRedisValue + Send + 'static,
    {
        let command = command(order);
        self.converse(order, move |connection| command.query(connection)).await
    }

    /// Opens a connection for one conversation, on a blocking thread, where a paused tokio
    /// clock cannot make its time limits fire.
    async fn converse<T, F>(&self, order: &str, talk: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, RedisError> + Send + 'static,
    {
        let held = Arc::clone(&self.held);
        let said = tokio::task::spawn_blocking(move || talk(&mut connect(&held.client, PATIENCE)?));
        said.await?.map_err(|cause| Error::Order { order: order.into(), cause })
    }

    async fn rule<F>(&self, order: &'static str, rule: F) -> Result<(), Error>
    where
        F: FnOnce(&(dyn Own + 'static)) -> Result<(), Trouble> + Send + 'static,
    {
        let held = Arc::clone(&self.held);
        let done = tokio::task::spawn_blocking(move || match held.holder.own() {
            Some(own) => Ok(rule(own)?),
            None => Err(Error::NotOurs { order, origin: held.origin.clone() }),
        });
        done.await?
    }
}

/// A command whose words hold no spaces.
fn command(words: &str) -> Cmd {
    let mut command = Cmd::new();
    for word in words.split(' ') {
        command.arg(word);
    }
    command
}
