//! 06.6 · Idempotency keys: the same request twice has one effect, and the same answer.
//!
//! A client sends a payment, and the answer is lost. Was the card charged? It cannot know, and can
//! only send the request again. So each request carries a key that the client has chosen, the same
//! in every attempt. Who serves it writes three things in one transaction: the effect, the key, and
//! the answer. Either all of them are there, and the next attempt gets the answer; or none is, and
//! the next attempt is the first.
//!
//! | promise | how |
//! | --- | --- |
//! | One effect for a key, whoever dies and whatever is lost | effect, key and answer are one commit |
//! | Every attempt gets the same answer | status, headers and body stand beside the key |
//! | Of many at once, one works | a lock on the key that ends with its transaction |
//! | A key is for one request | a hash of the request stands beside it |
//! | Work that failed leaves the key free | it is rolled back, and the key with it |
//! | Who hangs keeps others from the key for no longer than a timeout | the server ends its transaction |
//!
//! What it does not promise:
//!
//! - **Anything about what lies outside of the database.** A card that was charged stays charged when
//!   the transaction is rolled back. [`Scope::key`] is for that: hand it on as the key of the call.
//! - **Anything after [`Options::keep`].** Then the key is forgotten, and the request is new.
//! - **That two callers cannot meet.** A key belongs to who is logged in, never to all.
//!
//! A middleware that looks at the request and keeps the response cannot do this: it stands outside of
//! the transaction in which the effect is written, and between the two there is room to die.
//!
//! Sources: J. Jena and S. Dalal, [The Idempotency-Key HTTP Header
//! Field](https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header-07),
//! Internet-Draft, version 07 of October 2025; Stripe, [Idempotent
//! requests](https://docs.stripe.com/api/idempotent_requests); B. Leach, [Implementing Stripe-like
//! Idempotency Keys in Postgres](https://brandur.org/idempotency-keys), 2017.

mod header;
mod request;
mod store;

pub use database::pool;
pub use header::{InvalidKey, key};
pub use request::{Answer, Request, Response};
pub use store::PgKeys;

use database::because;
use deadpool_postgres::{PoolError, Transaction, tokio_postgres};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

// ANCHOR: schema
/// The table of the keys. A row is there if and only if its request was served.
pub const SCHEMA: &str = "
    CREATE TABLE idempotency_keys (
        caller text NOT NULL,
        key text NOT NULL,
        fingerprint bytea NOT NULL,
        status smallint,
        headers text,
        body bytea,
        expires_at timestamptz NOT NULL,
        PRIMARY KEY (caller, key)
    );
    CREATE INDEX idempotency_keys_by_end ON idempotency_keys (expires_at)";
// ANCHOR_END: schema

// ANCHOR: contract
/// The contract: each request is served once, whatever its method, in the database with the table of
/// [`SCHEMA`].
///
/// Every call ends: after [`Options::wait`] and a few times [`Options::timeout`] at the latest, also
/// when PostgreSQL hangs or is gone. A caller may be dropped, and its process stopped or killed, at
/// any moment. What it had not committed is then undone, and the key is free for the next: at once,
/// and after a process was stopped within a timeout.
pub trait Keys: Send + Sync + Sized + 'static {
    /// The keys in the database at `url`. Connects at the first call.
    ///
    /// # Errors
    /// Only for a `url` that cannot be read.
    fn open(url: &str, options: Options) -> Result<Self, Error>;

    /// Serves `request`, unless it was served before: then it gives the answer of that time, and
    /// `work` is dropped.
    ///
    /// `work` runs within a transaction. What it writes, the key and the answer are committed
    /// together, if the answer [is final](Response::is_final). If it is not, as a 503, or if `work`
    /// fails or panics, all of it is rolled back, and the key is free. What `work` needs it owns; it is
    /// best written where it is handed over, as `|scope| Box::pin(async move { … })`.
    ///
    /// Who comes while another has the key waits up to [`Options::wait`] for the answer of that one,
    /// and keeps no connection meanwhile. It is the same whether the other is in this process or in
    /// another, and whether the key is new or had expired. If that one fails, one of those who wait
    /// works in its place.
    ///
    /// # Errors
    /// [`Error::OtherRequest`], [`Error::InProgress`] and [`Error::Work`]: then `request` had no
    /// effect by this call. After any other it is not known whether it had, and it may be sent again.
    fn once<W>(
        &self,
        request: &Request<'_>,
        work: W,
    ) -> impl Future<Output = Result<Answer, Error>> + Send
    where
        W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send;

    /// Forgets up to `at_most` keys that have expired, and says how many. Fewer than `at_most`: those
    /// were all. Waits for nobody who is at such a key.
    ///
    /// # Errors
    /// That PostgreSQL failed.
    fn sweep(&self, at_most: u32) -> impl Future<Output = Result<u64, Error>> + Send;
}

/// What the work is given.
#[derive(Clone)]
pub struct Scope<'t> {
    /// Where it writes its effect. It neither commits nor rolls back.
    pub transaction: &'t Transaction<'t>,
    /// The key for those whom the work calls in its turn: of this caller's request and no other, and
    /// the same in every attempt. Whoever uses a key anew, when it has expired, calls them under the
    /// old one again.
    pub key: String,
}

/// Work under way.
pub type Work<'t> = Pin<Box<dyn Future<Output = Result<Response, Cause>> + Send + 't>>;

/// Why work failed.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// How the keys behave.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long a call waits for another that has the same key.
    pub wait: Duration,
    /// How long it waits for a connection, and how long what it then does may take, the work
    /// included. The server, too, gives up a statement, and a pause between two, after this time. A
    /// connection that has not answered by then is not used again.
    pub timeout: Duration,
    /// How long an answer is kept. To ask for it makes it no younger.
    pub keep: Duration,
    /// How many connections there are: one is enough for everything. More calls at once wait for each
    /// other.
    pub connections: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            wait: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            keep: Duration::from_secs(24 * 60 * 60),
            connections: 8,
        }
    }
}

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key was used for another request. Sent again, it is refused again.
    #[error("this key was used for another request")]
    OtherRequest,
    /// Somebody is at it.
    #[error("a request with this key is being served; try again in {retry_after:.0?}")]
    InProgress {
        /// By then whoever has the key is done, or has lost it.
        retry_after: Duration,
    },
    /// The work failed, and was rolled back.
    #[error("it was not done: {0}")]
    Work(#[source] Cause),
    /// PostgreSQL failed.
    #[error("PostgreSQL failed: {reason}", reason = because(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// No connection was to be had.
    #[error("no connection to PostgreSQL: {0}")]
    Pool(#[from] PoolError),
    /// It was not done in time, or nobody was told.
    #[error("it took longer than {0:.0?}")]
    Slow(Duration),
}
// ANCHOR_END: contract

impl Error {
    /// As which status it goes to the client: what the draft says of a key that is used for another
    /// request (422) and of one that is being served (409), and 503 where it may simply be tried
    /// again. A key that cannot be read is a 400: [`InvalidKey`].
    pub fn status(&self) -> u16 {
        match self {
            Error::OtherRequest => 422,
            Error::InProgress { .. } => 409,
            Error::Work(_) => 500,
            Error::Postgres(_) | Error::Pool(_) | Error::Slow(_) => 503,
        }
    }
}
