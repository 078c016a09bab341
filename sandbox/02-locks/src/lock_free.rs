//! 02.6 · Without a lock: the last unit is sold once, and nobody had to wait his turn.
//!
//! A lock makes three steps look like one: read what is left, compare, write less. Where the server
//! that keeps the stock can do the three as one step by itself, there is nothing to lock, no holder
//! to die, and no TTL to guess. The contract [`Stock`] names the promises; three references keep
//! them, each in its own way:
//!
//! | | the one step | what others do meanwhile |
//! | --- | --- | --- |
//! | [`ScriptStock`] | a Lua script; Redis runs nothing else while it runs | wait for some microseconds |
//! | [`WatchStock`] | `EXEC`, which Redis refuses if the key was touched since `WATCH` | one wins, the others begin again |
//! | [`UpdateStock`] | `UPDATE … WHERE units >= n`, in PostgreSQL | wait for the row until the commit |
//!
//! All three write the order down in the same step as they take its units. So a caller who lost the
//! answer asks again, and buys once.
//!
//! What they do not promise:
//!
//! - **More durability than the server has.** A Redis that restarts without its log has forgotten
//!   stock and orders alike; it then says [`Answer::Unknown`] and sells nothing. One that comes back
//!   with the state of a second ago, from its log or as a replica that took over, sells that
//!   second's units again. Where that must not be, the database decides: [`UpdateStock`], or Redis
//!   in front of it.
//! - **An order of arrival.** Nobody queues. With [`WatchStock`] a take of many units may lose to
//!   small ones until its attempts are used up.
//! - **Units that come back.** What is taken stays taken. To give units back needs a name for each
//!   return, for the same reason for which orders have one.

mod script;
mod update;
mod watch;

pub use script::ScriptStock;
pub use update::{SCHEMA, UpdateStock};
pub use watch::WatchStock;

use database::because;
use deadpool_postgres::{PoolError, tokio_postgres};
use redis::RedisError;
use std::future::Future;
use std::time::Duration;

// ANCHOR: contract
/// The contract: a stock of products, from which orders take units.
///
/// Whoever is dropped in the middle of a call leaves nothing behind that a later call would trip
/// over: no half of a sale, no open transaction, no watched key on a connection that others get.
/// And each call ends: when the server stalls or dies it fails after a small multiple of
/// [`Options::timeout`], and works again when the server does.
pub trait Stock: Send + Sync + Sized + 'static {
    /// The stock that is kept at `url`. Connects at the first call, so that a program can start
    /// while the server is down.
    ///
    /// # Errors
    /// Only for a `url` that cannot be read.
    fn open(url: &str, options: Options) -> Result<Self, Error>;

    /// Puts up `units` of `product` for sale, unless it was put up before: then nothing changes, so
    /// that it may be asked twice.
    ///
    /// # Errors
    /// If the server could not be asked, or the answer was lost: ask again.
    fn put(&self, product: &str, units: u32) -> impl Future<Output = Result<(), Error>> + Send;

    /// Takes `units` of `product` for `order`: all of them or none, and once, however often it is
    /// asked. An order is one wish: it names one product and one number of units.
    ///
    /// # Errors
    /// [`Error::Contended`] if others were faster each time; nothing was taken then. After any
    /// other error the units may be taken or not: the same order, asked again, gets the truth.
    fn take(
        &self,
        product: &str,
        order: &str,
        units: u32,
    ) -> impl Future<Output = Result<Answer, Error>> + Send;

    /// How many units of `product` nobody has taken; `None` if it is not known.
    ///
    /// # Errors
    /// If the server could not be asked.
    fn left(&self, product: &str) -> impl Future<Output = Result<Option<u32>, Error>> + Send;
}

/// What came of a take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The order has this many units, from now or from earlier on.
    Taken(u32),
    /// Fewer are left than were wanted. Nothing was taken, and the order may try with fewer.
    SoldOut,
    /// Nobody has put the product up, or the server has forgotten it.
    Unknown,
}

/// How a stock behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long a call waits for the server to connect, and then for each answer.
    pub timeout: Duration,
    /// How often a take tries, where others may come before it. At least 1.
    pub attempts: u32,
    /// How many connections there are at most, where a call needs one to itself. At least 1.
    pub connections: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { timeout: Duration::from_secs(1), attempts: 16, connections: 8 }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Others were faster each time. Nothing was taken.
    #[error("others were faster, {attempts} times in a row; ask again, or later")]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
    /// Redis failed.
    #[error("Redis failed: {0}")]
    Redis(#[from] RedisError),
    /// PostgreSQL failed.
    #[error("PostgreSQL failed: {reason}", reason = because(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// There was no connection to PostgreSQL to be had.
    #[error("no connection to PostgreSQL: {0}")]
    Pool(#[from] PoolError),
    /// The server did not answer in time.
    #[error("no answer within {0:?}")]
    Slow(Duration),
}
// ANCHOR_END: contract
