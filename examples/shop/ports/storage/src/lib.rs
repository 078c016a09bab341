//! The storage port: where a service keeps what it must not lose.
//!
//! Two sides stand behind one type, [`Database`], and a service cannot tell which it has:
//!
//! | side | place | one service's database |
//! | --- | --- | --- |
//! | SQLite, embedded | `sqlite://FOLDER` | the file `FOLDER/orders.db` |
//! | PostgreSQL | `postgres://…` | the schema `orders`, first in the search path |
//!
//! Both speak through sqlx's `Any` driver, so there is one SQL text for both. What that asks of
//! those who write it: `$1` for parameters; columns of `BIGINT` and `TEXT` alone, with times in
//! microseconds since 1970 and ids as text; `CAST(SUM(x) AS BIGINT)`, since PostgreSQL sums into
//! `NUMERIC`; and no word of either dialect, but for [`Database::for_update`]. Why one text and
//! not two implementations of each query: docs/decisions/0010-one-sql.md.
//!
//! # Reading and writing
//!
//! [`Database::reader`] is for questions, [`Database::begin`] for changes. SQLite has one writer
//! at a time, whoever asks, so a change begins with `BEGIN IMMEDIATE` and waits its turn there.
//! The usual `BEGIN` takes the lock at the first write instead, and fails at once where another
//! has written since the transaction's first read: <https://www.sqlite.org/lang_transaction.html>.
//!
//! # When the server stalls or dies
//!
//! Whoever waits for a connection or a lock gets [`Error::Busy`] after [`Options::patience`]. A lost
//! server is [`Error::Unavailable`]; the next call tries a new connection. A statement under way
//! when its connection dies may or may not have been carried out; one inside a transaction was
//! not, unless it was the commit.

mod error;
mod migrate;
mod open;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use sqlx::{Any, AnyPool, Transaction};

pub use error::Error;
pub use migrate::Migration;
pub use open::without_password;
pub use sqlx;

/// How a database is held.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The most connections for reading; on PostgreSQL, for everything.
    pub connections: u32,
    /// How long to wait for a connection, and for a lock.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options { connections: 4, patience: Duration::from_secs(5) }
    }
}

/// Which side this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Embedded: a file.
    Sqlite,
    /// A server.
    Postgres,
}

/// One service's database. Clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Database {
    side: Side,
    readers: AnyPool,
    writers: AnyPool,
    reads: Arc<AtomicU64>,
    waiting: Arc<AtomicUsize>,
}

/// How full a pool of connections is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// `read` and `write`; `all`, where one pool is for both.
    pub pool: &'static str,
    /// The most connections that it may have.
    pub most: usize,
    /// Connections that somebody works on.
    pub in_use: usize,
}

impl Database {
    /// The database `name` at the place `url`, made if it is not there, with `migrations` applied.
    ///
    /// Several processes may open the same one at the same time: one migrates, the others wait.
    ///
    /// # Errors
    /// [`Error::Place`] for a `url` that is neither `sqlite:` nor `postgres:`, or a folder that cannot
    /// be made; [`Error::Migration`] where the database was made by a newer or a changed program.
    pub async fn open(
        url: &str,
        name: &str,
        migrations: &[Migration],
        options: Options,
    ) -> Result<Database, Error> {
        let opened = open::open(url, name, options).await?;
        let database = Database {
            side: opened.side,
            readers: opened.readers,
            writers: opened.writers,
            reads: Arc::default(),
            waiting: Arc::default(),
        };
        migrate::run(&database.writers, name, migrations, opened.lock).await?;
        Ok(database)
    }

    /// Which side this is, for those who show it. Nothing should depend on it.
    pub fn side(&self) -> Side {
        self.side
    }

    /// For one question. Each call counts in [`Database::reads`].
    pub fn reader(&self) -> &AnyPool {
        self.reads.fetch_add(1, Ordering::Relaxed);
        &self.readers
    }

    /// Questions asked by way of [`Database::reader`] since this was opened.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// How full its pools are at this moment.
    pub fn full(&self) -> Vec<Full> {
        let full = |pool, of: &AnyPool| {
            let in_use = (of.size() as usize).saturating_sub(of.num_idle());
            Full { pool, most: of.options().get_max_connections() as usize, in_use }
        };
        match self.side {
            Side::Sqlite => vec![full("read", &self.readers), full("write", &self.writers)],
            Side::Postgres => vec![full("all", &self.writers)],
        }
    }

    /// How many changes wait for their turn, or for a connection.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A change: all of it or nothing. Dropped without a commit, nothing happened.
    ///
    /// # Errors
    /// [`Error::Busy`] when the turn did not come in time; [`Error::Unavailable`].
    pub async fn begin(&self) -> Result<Transaction<'static, Any>, Error> {
        // In a task, which ends whatever becomes of the caller. Where a `begin` of sqlx is dropped
        // halfway, as a request is whose client hangs up, the connection goes back to the pool
        // within a transaction that nobody ends: https://github.com/launchbadge/sqlx/issues/2054.
        let (side, writers) = (self.side, self.writers.clone());
        let waits = Waits::begin(&self.waiting);
        let begun = tokio::spawn(async move {
            let _waits = waits;
            if side == Side::Postgres {
                return writers.begin().await;
            }
            match writers.begin_with("BEGIN IMMEDIATE").await {
                // A full disk makes SQLite roll back by itself, and sqlx, whose own rollback then
                // fails, believes in a transaction for ever. The one writer is made anew.
                Err(sqlx::Error::InvalidSavePointStatement) => {
                    writers.acquire().await?.close().await?;
                    writers.begin_with("BEGIN IMMEDIATE").await
                }
                begun => begun,
            }
        });
        // The task does not panic; it ends early where its runtime does.
        Ok(begun.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))?)
    }

    /// What makes a `SELECT` inside a transaction lock the rows that it finds. SQLite needs no
    /// word for it: there, who has begun is alone.
    pub fn for_update(&self) -> &'static str {
        match self.side {
            Side::Sqlite => "",
            Side::Postgres => " FOR UPDATE",
        }
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// As for any question.
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        Ok(())
    }

    /// Closes every connection, after what is under way, however long that takes: who cannot wait
    /// for it sets a limit. Whoever comes from now on gets [`Error::Unavailable`]. SQLite folds
    /// its write-ahead log into the file at the end.
    pub async fn close(&self) {
        close(&self.writers).await;
        close(&self.readers).await;
    }
}

/// What sqlx 0.8 promises of `Pool::close` and does not keep: where some connections are idle, it
/// returns while others are at work, and one that comes back just then stays open until it is
/// closed once more. <https://github.com/launchbadge/sqlx/issues/3217>
async fn close(pool: &AnyPool) {
    loop {
        pool.close().await;
        if pool.size() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// One who waits for a turn. It is the task that waits, also for a caller who has gone.
struct Waits(Arc<AtomicUsize>);

impl Waits {
    fn begin(waiting: &Arc<AtomicUsize>) -> Waits {
        waiting.fetch_add(1, Ordering::Relaxed);
        Waits(Arc::clone(waiting))
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Now, as it is stored: microseconds since 1970, UTC.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
