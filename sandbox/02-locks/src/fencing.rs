//! 02.4 · Fencing tokens: the resource refuses who is late.
//!
//! A lease cannot stop a holder that was stopped itself. It looks at its clock, finds its lease good,
//! and is paused in that very moment: by the scheduler, a collector, a virtual machine that moves. It
//! wakes a minute later, and writes. No check in the client helps, for the pause fits behind the last
//! one. So the resource does the checking, with a number that only rises: each lease comes with a
//! [fencing token](Held::token), every access names it, and the resource refuses an access whose
//! token is lower than one it has seen.
//!
//! | promise | how |
//! | --- | --- |
//! | A holder that is late changes nothing, however late it is | the comparison stands in the `UPDATE` |
//! | Nor does it change anything between its successor's read and write | reading raises the fence as well |
//! | A write that is repeated because its reply was lost is not done twice | a token buys one write |
//! | It holds for all processes and after any restart | the highest token stands in the row |
//!
//! What it does not promise:
//!
//! - **Anything about what does not look at the token.** A mail that was sent and a card that was
//!   charged cannot be taken back. Each resource has to check, or be put behind one that does.
//! - **That two resources agree.** Each remembers what it has seen. A late holder may pass one that
//!   its successor has not reached.
//! - **More than the database keeps.** A replica that takes over without the last commits has
//!   forgotten the highest tokens along with them.
//!
//! Sources: M. Kleppmann, [How to do distributed
//! locking](https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html), 2016; M.
//! Burrows, "The Chubby lock service for loosely-coupled distributed systems", OSDI 2006, section
//! 2.4, where the tokens are called sequencers.

mod connections;

pub use connections::Connections;

use crate::lease::Held;
use database::because;
use deadpool_postgres::PoolError;
use deadpool_postgres::tokio_postgres::{self, types::ToSql};
use std::future::Future;
use std::time::Duration;

// ANCHOR: schema
/// The table of the stock. Both columns hold fencing tokens: the highest that has come at all, and
/// the highest that has written.
pub const SCHEMA: &str = "
    CREATE TABLE fenced_stock (
        product text PRIMARY KEY,
        units bigint NOT NULL CHECK (units >= 0),
        seen bigint NOT NULL DEFAULT 0,
        written bigint NOT NULL DEFAULT 0
    )";
// ANCHOR_END: schema

// ANCHOR: contract
/// The contract: a stock in PostgreSQL, in the table of [`SCHEMA`], that no late holder can spoil.
///
/// Who wants to change it holds a lease, reads, thinks, and writes. If another has read or written
/// under a later lease in the meantime, the write is refused: what it was based on may be old.
///
/// Every call ends within a few times [`Options::timeout`], also when PostgreSQL hangs or is gone,
/// and after it has come back the next call works. A caller may be dropped, or its process stopped,
/// at any moment: that keeps nobody else from the product for longer than that.
pub trait FencedStock: Send + Sync + Sized + 'static {
    /// The stock in the database at `url`. Connects at the first call.
    ///
    /// # Errors
    /// Only for a `url` that cannot be read.
    fn open(url: &str, options: Options) -> Result<Self, Error>;

    /// The units of `product`, for the holder of `lease`. From now on no earlier holder can write.
    /// It may be read again under the same lease.
    ///
    /// # Errors
    /// [`Error::Fenced`] if a later holder was there, [`Error::NoSuchProduct`], or that PostgreSQL
    /// could not be asked.
    fn read(
        &self,
        product: &str,
        lease: &impl Held,
    ) -> impl Future<Output = Result<u32, Error>> + Send;

    /// Sets the units of `product`. A lease buys one write of a product: the second is refused, so
    /// that a caller who lost the reply may write again, and it is not done twice.
    ///
    /// # Errors
    /// [`Error::Fenced`] if a later holder was there, or this one has written already: then nothing
    /// was changed, and `newest` tells which. [`Error::NoSuchProduct`]. After any other error it is
    /// not known whether it was done, and the same write may be tried again.
    fn write(
        &self,
        product: &str,
        units: u32,
        lease: &impl Held,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// How the stock behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long a call waits for a connection, and then for each answer. On the server a statement
    /// is given up after the same time.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options { timeout: Duration::from_secs(1) }
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token is too low.
    #[error("token {token} is refused: {newest} has been here")]
    Fenced {
        /// The token of the lease.
        token: u64,
        /// The highest that has been seen. The same as `token`: it has written already.
        newest: u64,
    },
    /// There is no such product.
    #[error("there is no such product")]
    NoSuchProduct,
    /// PostgreSQL failed.
    #[error("PostgreSQL failed: {reason}", reason = because(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// No connection was to be had.
    #[error("no connection to PostgreSQL: {0}")]
    Pool(#[from] PoolError),
    /// No answer came in time.
    #[error("PostgreSQL did not answer within {0:.0?}")]
    Slow(Duration),
}
// ANCHOR_END: contract

/// The reference: one conditional `UPDATE` a call.
#[derive(Clone, Debug)]
pub struct PgStock {
    connections: Connections,
}

impl PgStock {
    /// A stock on connections that others use, too.
    pub fn on(connections: Connections) -> PgStock {
        PgStock { connections }
    }
}

impl FencedStock for PgStock {
    fn open(url: &str, options: Options) -> Result<PgStock, Error> {
        Ok(PgStock::on(Connections::open(url, options.timeout)?))
    }

    async fn read(&self, product: &str, lease: &impl Held) -> Result<u32, Error> {
        // ANCHOR: read
        // A read that left no mark would let an earlier holder write behind it, and this one's write
        // would then undo that: the fence would have let pass what it is there for.
        let read = "UPDATE fenced_stock SET seen = $2
                    WHERE product = $1 AND seen <= $2
                    RETURNING units";
        // ANCHOR_END: read
        let token = lease.token();
        match self.connections.row(read, &[&product, &column(token)]).await? {
            Some(row) => Ok(u32::try_from(row.get::<_, i64>("units")).unwrap_or(u32::MAX)),
            None => Err(self.refusal(product, token).await),
        }
    }

    async fn write(&self, product: &str, units: u32, lease: &impl Held) -> Result<(), Error> {
        // ANCHOR: write
        // The comparison and the change are one statement. If another is just changing the row, this
        // one waits for it, and PostgreSQL then compares again, with what the other has left
        // (manual, 13.2.1, Read Committed).
        let write = "UPDATE fenced_stock SET units = $2, seen = $3, written = $3
                     WHERE product = $1 AND seen <= $3 AND written < $3
                     RETURNING units";
        // ANCHOR_END: write
        let token = lease.token();
        let parameters: [&(dyn ToSql + Sync); 3] = [&product, &i64::from(units), &column(token)];
        match self.connections.row(write, &parameters).await? {
            Some(_) => Ok(()),
            None => Err(self.refusal(product, token).await),
        }
    }
}

impl PgStock {
    /// Why nothing was changed. A second look, which only who is refused pays for; the highest token
    /// may have risen meanwhile, and it never falls.
    async fn refusal(&self, product: &str, token: u64) -> Error {
        let look = "SELECT seen FROM fenced_stock WHERE product = $1";
        match self.connections.row(look, &[&product]).await {
            Ok(Some(row)) => {
                let newest = u64::try_from(row.get::<_, i64>("seen")).unwrap_or_default();
                Error::Fenced { token, newest }
            }
            Ok(None) => Error::NoSuchProduct,
            Err(error) => error,
        }
    }
}

/// PostgreSQL has no unsigned numbers. Tokens that it cannot hold are all taken for the highest that
/// it can, of which only the first may write.
fn column(token: u64) -> i64 {
    i64::try_from(token).unwrap_or(i64::MAX)
}
