//! 05.6 · Idempotent consumer: a message that comes twice has one effect.
//!
//! A broker delivers at least once. It cannot do better: when a consumer is gone before its
//! acknowledgement has come, the work may have been done or not, and only the consumer can have
//! known. So the message comes again, and it is for the consumer to notice. Its memory is a table,
//! the inbox, and it is written **in the transaction of the effect**: either both are there or
//! neither is.
//!
//! | promise | how |
//! | --- | --- |
//! | A message has one effect, however often and at whatever time it comes | one row for each id, under a primary key |
//! | Also when it comes to two consumers at once | the `INSERT` comes first; the second one's waits for the first one's commit |
//! | No effect without the row, no row without the effect | one transaction |
//! | What is answered with `Ok` is in the database | a commit that did nothing is noticed |
//! | A consumer that is stopped keeps the message from others only for a time | the server's own time limits |
//!
//! What it does not promise:
//!
//! - **Anything about effects elsewhere.** A mail that was sent and a card that was charged are not
//!   rolled back. Let the effect write down *that* it is to be done (lesson 06.5), and hand the
//!   message's id on as the key under which the other side recognises it (06.6).
//! - **Order.** A message that failed comes again after those behind it.
//! - **A memory for ever.** Rows go after [`Options::keep`]. A message that comes later than that is
//!   new.
//!
//! Sources: P. Helland, [Idempotence Is Not a Medical
//! Condition](https://queue.acm.org/detail.cfm?id=2187821), ACM Queue 10(4), 2012; C. Richardson,
//! [Idempotent consumer](https://microservices.io/patterns/communication-style/idempotent-consumer.html).

mod lent;
mod settle;

pub use settle::settle;

use crate::Message;
use database::because;
use deadpool_postgres::tokio_postgres::error::SqlState;
use deadpool_postgres::tokio_postgres::types::Type;
use deadpool_postgres::tokio_postgres::{self, Client, IsolationLevel, Transaction};
use deadpool_postgres::{Pool, PoolError};
use lent::Lent;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

// ANCHOR: schema
/// The inbox. It lies in the database that the effects are in: they share a transaction.
///
/// Several consumers may share one table, for each has its own name. `seen_at` is the server's
/// clock, the only one that all of them have.
pub const SCHEMA: &str = "
CREATE TABLE inbox (
    consumer text NOT NULL,
    message text NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, message)
);
CREATE INDEX inbox_by_age ON inbox (consumer, seen_at);
";
// ANCHOR_END: schema

// ANCHOR: contract
/// The contract: the inbox of one consumer, in PostgreSQL, in the table of [`SCHEMA`].
///
/// Every call ends within a few times [`Options::timeout`], also when PostgreSQL hangs or is gone,
/// and after it has come back the next call works. So it does on a new connection when nothing comes
/// on an old one any more. A caller may be dropped, or its process stopped or killed, at any moment:
/// nothing is half done by that, and the message is kept from others for no longer than that time.
pub trait Inbox: Send + Sync + Sized + 'static {
    /// The inbox of `consumer` in the database at `url`. Connects at the first call. All processes
    /// that consume from one queue have one name; whoever is to have the effects for itself has
    /// another.
    ///
    /// # Errors
    /// Only for a `url` that cannot be read.
    fn open(url: &str, consumer: &str, options: Options) -> Result<Self, Error>;

    /// Carries out `effect` if this consumer sees the message for the first time, in one transaction
    /// with the fact that it has seen it. The message is known by its id alone, and a message that was
    /// seen is not tried again: what was possible then may be an error now.
    ///
    /// If another call is just at the same message, its outcome is not known, and this one waits for
    /// it, or ends with an error. It holds up no other message meanwhile, and no other consumer.
    ///
    /// After `Ok` the effect is committed, by this call or by an earlier one, and the message may be
    /// acknowledged. After an error it must not be: let it come again.
    ///
    /// The effect works on the transaction that it is given, and on nothing else. It may be run more
    /// than once, for a transaction that is not committed was not.
    ///
    /// # Errors
    /// [`Error::NoId`] for a message without an id: it is neither new nor seen, and will never be.
    /// [`Error::Effect`] and [`Error::Hidden`]: nothing was done. After any other it is not known
    /// whether it was done.
    fn once<E>(
        &self,
        message: &Message,
        effect: E,
    ) -> impl Future<Output = Result<Once, Error>> + Send
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send;

    /// Forgets some of this consumer's messages that were seen longer ago than [`Options::keep`]: at
    /// most [`BATCH`], so that nobody waits. How many they were; as long as there were any, there may
    /// be more. A message that was forgotten is new when it comes again.
    ///
    /// # Errors
    /// That PostgreSQL could not be asked.
    fn sweep(&self) -> impl Future<Output = Result<u64, Error>> + Send;
}

/// What an effect does in its transaction: `|transaction| Box::pin(async move { … })`.
pub type Work<'t> = Pin<Box<dyn Future<Output = Result<(), EffectError>> + Send + 't>>;

/// Why an effect was not possible, in its own words. `?` makes it of whatever is an error.
pub type EffectError = Box<dyn std::error::Error + Send + Sync>;

/// What became of a message. Both mean: acknowledge it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Once {
    /// It was new, and its effect is committed now.
    First,
    /// Its effect was committed before.
    Seen,
}

/// How many rows go in one sweep at most.
pub const BATCH: u32 = 500;

/// How an inbox behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// On the server: how long a statement may take, and how long a transaction may wait for its
    /// client's next word. Here: half as long as each answer is waited for, and the whole effect.
    pub timeout: Duration,
    /// How long a message is remembered. Longer than any way back that it may take: redeliveries,
    /// an outage of this consumer, and what somebody moves out of the dead letters weeks later.
    pub keep: Duration,
    /// How many messages are worked on at once at most; more wait for a connection.
    pub connections: usize,
}

impl Default for Options {
    fn default() -> Options {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Options { timeout: Duration::from_secs(5), keep: 30 * DAY, connections: 8 }
    }
}

/// Why a message must not be acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It has no id, so nobody can tell whether it came before.
    #[error("the message has no id")]
    NoId,
    /// The effect said so. Nothing was done.
    #[error("the effect failed: {0}")]
    Effect(#[source] EffectError),
    /// A statement of the effect failed, and the effect said that all was well. Nothing was done.
    #[error("the effect hid an error of PostgreSQL, and nothing was committed")]
    Hidden,
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

/// Remembers a message. No row is written if it was seen before. For those who have no
/// [`Transaction`] of this driver; SQLite takes it as well.
pub const REMEMBER: &str = "INSERT INTO inbox (consumer, message) VALUES ($1, $2)
                            ON CONFLICT (consumer, message) DO NOTHING";

// ANCHOR: first_time
/// Whether `consumer` sees the message `id` for the first time, which is remembered if the
/// transaction is committed. For whoever has a transaction of their own: ask this before anything
/// else, and end the transaction if the answer is no.
///
/// If another transaction is just at the same message, this waits for its end: until then the answer
/// is not known.
///
/// # Errors
/// [`Error::NoId`] for an empty one, and PostgreSQL's own. Under REPEATABLE READ and above, one of
/// these takes the place of a `false`.
pub async fn first_time(
    transaction: &Transaction<'_>,
    consumer: &str,
    id: &str,
) -> Result<bool, Error> {
    if id.is_empty() {
        return Err(Error::NoId);
    }
    // With its types, a statement need not be prepared first: one round trip.
    let rows =
        transaction.execute_typed(REMEMBER, &[(&consumer, Type::TEXT), (&id, Type::TEXT)]).await?;
    Ok(rows == 1)
}
// ANCHOR_END: first_time

/// The reference: the inbox's row, the effect, and one commit.
#[derive(Clone, Debug)]
pub struct PgInbox {
    pool: Pool,
    consumer: String,
    options: Options,
}

impl PgInbox {
    /// An inbox on connections that others use, too. They have to have limits on the server:
    /// [`database::pool`].
    pub fn on(pool: Pool, consumer: &str, options: Options) -> PgInbox {
        PgInbox { pool, consumer: consumer.to_owned(), options }
    }

    // ANCHOR: once
    async fn carry_out<E>(&self, client: &mut Client, id: &str, effect: E) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        // Under READ COMMITTED an INSERT that has waited looks at what there is then. A database may
        // be set to something stricter, and would answer with an error instead.
        let begin = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted);
        let transaction = self.in_time(begin.start()).await??;
        // First, so that whoever else has the same message waits here and not behind its effect.
        if !self.in_time(first_time(&transaction, &self.consumer, id)).await?? {
            return Ok(Once::Seen); // and rolls back, as every way out of here but the last
        }
        self.in_time(effect(&transaction)).await?.map_err(Error::Effect)?;
        self.in_time(commit(transaction)).await??;
        Ok(Once::First)
    }
    // ANCHOR_END: once

    /// An end for every wait. It is later than the server's own, whose answer tells more.
    async fn in_time<T>(&self, asked: impl Future<Output = T>) -> Result<T, Error> {
        let patience = 2 * self.options.timeout;
        tokio::time::timeout(patience, asked).await.map_err(|_| Error::Slow(patience))
    }
}

// ANCHOR: commit
/// Commits, and is sure of it. After a statement that failed, PostgreSQL takes a COMMIT, rolls back,
/// and says so in a word that is no error and that the driver does not hand on. Any other statement
/// is refused then, and what stands behind it is not carried out. Both are one round trip.
async fn commit(transaction: Transaction<'_>) -> Result<(), Error> {
    match transaction.batch_execute("SELECT 1; COMMIT").await {
        Ok(()) => {
            // It is over. Dropped, it would send a ROLLBACK after it.
            std::mem::forget(transaction);
            Ok(())
        }
        Err(error) if error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION) => {
            Err(Error::Hidden)
        }
        Err(error) => Err(error.into()),
    }
}
// ANCHOR_END: commit

impl Inbox for PgInbox {
    fn open(url: &str, consumer: &str, options: Options) -> Result<PgInbox, Error> {
        let pool = database::pool(url, options.timeout, options.connections)?;
        Ok(PgInbox::on(pool, consumer, options))
    }

    async fn once<E>(&self, message: &Message, effect: E) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        if message.id.is_empty() {
            return Err(Error::NoId);
        }
        let mut lent = Lent::by(&self.pool).await?;
        let done = self.carry_out(lent.client(), &message.id, effect).await;
        if !matches!(done, Err(Error::Slow(_))) {
            lent.give_back();
        }
        done
    }

    async fn sweep(&self) -> Result<u64, Error> {
        // ANCHOR: sweep
        // The oldest first, by the index. Rows that another sweep has are left to it.
        let sweep = "DELETE FROM inbox WHERE (consumer, message) IN (
                         SELECT consumer, message FROM inbox
                         WHERE consumer = $1 AND seen_at < now() - make_interval(secs => $2)
                         ORDER BY seen_at LIMIT $3 FOR UPDATE SKIP LOCKED)";
        // ANCHOR_END: sweep
        // PostgreSQL has no dates before its calendar begins.
        const LONGEST: f64 = 1000.0 * 365.0 * 24.0 * 60.0 * 60.0;
        let keep = self.options.keep.as_secs_f64().min(LONGEST);
        let mut lent = Lent::by(&self.pool).await?;
        let client = lent.client();
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
            [(&self.consumer, Type::TEXT), (&keep, Type::FLOAT8), (&i64::from(BATCH), Type::INT8)];
        let swept = self.in_time(client.execute_typed(sweep, &parameters)).await?;
        lent.give_back();
        Ok(swept?)
    }
}
