//! 06.5 · Transactional outbox: a message goes out if and only if its transaction was committed.
//!
//! A database and a broker have no transaction in common. Who commits and then publishes loses the
//! message when it dies in between; who publishes first has told of an order that is rolled back. So
//! the message is written into a table in the order's own transaction, and a relay carries it to the
//! broker afterwards, for as long as it takes.
//!
//! | promise | how |
//! | --- | --- |
//! | No message without a commit, no commit without its message | one transaction holds both |
//! | Nothing is lost between the relay and the broker | marked only when confirmed |
//! | Nothing is lost between two polls, whoever commits first | each row knows whether it was sent |
//! | Messages of one [correlation](Message::correlation) come in their order | the next is published when the one before is confirmed |
//! | What nobody wants holds nobody up for ever | it is parked with its reason |
//! | Several relays may run, and any may be stopped or killed | a turn is a transaction with an end |
//!
//! What it does not promise:
//!
//! - **Once.** A relay that dies between the confirm and the mark has published what the next one
//!   publishes again, with the same id: at least once. Who receives it needs an inbox (05.6).
//! - **An order between correlations.** Who needs that gives them the same one, or none: those
//!   without a correlation are one row as well, and go one by one.
//! - **The order in which two transactions that knew nothing of each other were committed.** What
//!   counts is when [`Outbox::add`] was called. So change the row first, and add the message while
//!   you hold it: whoever changes it after you adds after you.
//!
//! Sources: C. Richardson, [Transactional
//! outbox](https://microservices.io/patterns/data/transactional-outbox.html); P. Helland, "Life
//! beyond Distributed Transactions", CIDR 2007; PostgreSQL's manual,
//! [9.17](https://www.postgresql.org/docs/15/functions-sequence.html): numbers of a sequence are
//! drawn at once, and never rolled back.

mod connections;
mod limits;
mod relay;
mod turn;
mod upkeep;

pub use connections::{Connections, Turn};
pub use limits::sendable;
pub use relay::{Pace, Relay};
pub use upkeep::{Backlog, Parked};

use database::because;
use deadpool_postgres::PoolError;
use deadpool_postgres::tokio_postgres::{self, Transaction, types::Type};
use messaging::Message;
use messaging::confirms::Publisher;
use std::future::Future;
use std::time::Duration;

// ANCHOR: schema
/// The table of the messages. The numbers are drawn one by one (no `CACHE`): who draws after
/// another's commit gets a higher one.
pub const SCHEMA: &str = "
    CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        message text NOT NULL,
        key text NOT NULL,
        correlation text,
        content_type text,
        headers jsonb NOT NULL,
        body bytea NOT NULL,
        added_at timestamptz NOT NULL DEFAULT now(),
        attempts integer NOT NULL DEFAULT 0,
        retry_at timestamptz,
        sent_at timestamptz,
        parked text
    );
    CREATE INDEX outbox_waiting ON outbox (id) WHERE sent_at IS NULL AND parked IS NULL;
    CREATE INDEX outbox_held ON outbox (retry_at)
        WHERE sent_at IS NULL AND parked IS NULL AND retry_at IS NOT NULL";
// ANCHOR_END: schema

// ANCHOR: contract
/// The contract: an outbox in PostgreSQL, in the table of [`SCHEMA`].
///
/// [`Outbox::forward`] ends within a few times [`Options::timeout`] and [`Options::turn`], also when
/// PostgreSQL or the broker hangs, and after they have come back the next call works. It may be
/// dropped, and its process stopped or killed, at any moment: nothing is lost by that, and others
/// take over within a few times [`Options::turn`].
pub trait Outbox: Send + Sync + Sized + 'static {
    /// The outbox in the database at `url`. Connects at the first call.
    ///
    /// # Errors
    /// Only for a `url` that cannot be read.
    fn open(url: &str, options: Options) -> Result<Self, Error>;

    /// Adds a message to what `transaction` does. It is published if and only if that is committed.
    /// Add it after the change that it tells of. It waits for no other transaction.
    ///
    /// # Errors
    /// [`Error::Unsendable`] for what is not [`sendable`], and the transaction can go on; or PostgreSQL
    /// failed, and it cannot.
    fn add(
        &self,
        transaction: &Transaction<'_>,
        message: &Message,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Publishes what was committed and is not yet sent, at most [`Options::batch`] messages:
    /// publishes, waits for the confirms, and marks what was confirmed, also when the broker was too
    /// slow for all of them. A transaction that is still open holds up nothing but what it has added
    /// itself.
    ///
    /// Messages of the same correlation are published in the order in which they were added, each
    /// after the one before is confirmed. One that is not confirmed is published again by a later
    /// call, with the same id, and holds up those behind it in its correlation and no others. If no
    /// queue wants it and it has been given back [`Options::attempts`] times, it is parked: the column
    /// `parked` holds the reason, it is not tried again, and those behind it go on. A broker that is
    /// away or full parks nothing, and that does not count.
    ///
    /// One call at a time publishes, of all processes. Who finds another at it publishes nothing,
    /// and may wait or answer at once. What a call has found out, the next one knows, in whichever
    /// process: what was sent, what rests until when, and how often it was given back.
    ///
    /// # Errors
    /// PostgreSQL failed. Some messages may have been published, and will be again.
    fn forward<P: Publisher>(
        &self,
        exchange: &str,
        publisher: &P,
    ) -> impl Future<Output = Result<Forwarded, Error>> + Send;
}

/// What a call of [`Outbox::forward`] has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// Published, confirmed and marked.
    pub sent: usize,
    /// Given back or refused by the broker, and tried again later.
    pub refused: usize,
    /// Given back for the last time.
    pub parked: usize,
    /// Maybe published: no confirm came, or not before the turn was over. Others behind them were not
    /// tried.
    pub unknown: usize,
}

/// How the outbox behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long to wait for a connection, and then for each of PostgreSQL's answers.
    pub timeout: Duration,
    /// How long one call may be busy with the broker. Longer than the publisher waits for a confirm.
    pub turn: Duration,
    /// How many messages are read at a time, at least 1. As many may be published twice after a
    /// crash.
    pub batch: usize,
    /// How often a message that no queue wants is published before it is parked. At least 1; with
    /// `u32::MAX` it never is.
    pub attempts: u32,
    /// The pause before a message that was given back or refused is tried again.
    pub pause: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            timeout: Duration::from_secs(1),
            turn: Duration::from_secs(10),
            batch: 100,
            attempts: 10,
            pause: Duration::from_secs(3),
        }
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No broker takes such a message, so it would wait for ever.
    #[error("this cannot be sent: {0}")]
    Unsendable(String),
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

/// The reference: each row knows whether it was sent, and one relay at a time has the turn.
#[derive(Clone, Debug)]
pub struct PgOutbox {
    connections: Connections,
    options: Options,
}

impl Outbox for PgOutbox {
    fn open(url: &str, options: Options) -> Result<PgOutbox, Error> {
        Ok(PgOutbox { connections: Connections::open(url, options.timeout)?, options })
    }

    // ANCHOR: add
    async fn add(&self, transaction: &Transaction<'_>, message: &Message) -> Result<(), Error> {
        sendable(message)?;
        let add = "INSERT INTO outbox (message, key, correlation, content_type, headers, body)
                   VALUES ($1, $2, $3, $4, $5::text::jsonb, $6)";
        let headers = headers(message);
        // With its types, so that it needs no round trip to be prepared: the caller's transaction is
        // open meanwhile, and holds its rows.
        transaction
            .execute_typed(
                add,
                &[
                    (&message.id, Type::TEXT),
                    (&message.key, Type::TEXT),
                    (&message.correlation, Type::TEXT),
                    (&message.content_type, Type::TEXT),
                    (&headers, Type::TEXT),
                    (&message.body, Type::BYTEA),
                ],
            )
            .await?;
        Ok(())
    }
    // ANCHOR_END: add

    async fn forward<P: Publisher>(
        &self,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        turn::take(&self.connections, &self.options, exchange, publisher).await
    }
}

fn headers(message: &Message) -> String {
    serde_json::to_string(&message.headers).expect("a map from text to text is JSON")
}
