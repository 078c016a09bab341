//! 05.6 · Idempotent consumer
//!
//! Build the inbox of a consumer, in PostgreSQL. A broker delivers at least once: the same message
//! comes again, minutes later, or to two consumers at the same moment. Each is to have one effect.
//!
//! 1. A message whose effect is committed is `Once::Seen` from then on, in every process of this
//!    consumer. Another consumer, by its name, has its own effect of the same message.
//! 2. Whatever happens, the effect is there once and whole, or not at all: it fails, its caller is
//!    dropped, its process is stopped or killed, a reply is lost. What was not done is done by the
//!    next delivery.
//! 3. `Ok` means that the effect is committed: the message will be acknowledged, and never come
//!    again. An error means: let it come again.
//! 4. Every call ends in time, and a message that hangs holds up no other.
//! 5. `sweep` forgets what is older than `options.keep`, at most `BATCH` rows at a time.
//!
//! The contract with all its details is the trait `Inbox`, and the table stands beside it:
//! sandbox/05-messaging/src/idempotent_consumer.rs. `self.pool.get().await?` is a connection whose
//! statements end on the server after the timeout. `connection.transaction().await?` is a transaction
//! on it, which rolls back when it is dropped, and `effect(&transaction).await` works on it.
//!
//! A first step: SELECT the message; if there is none, INSERT it, carry out the effect, commit. Then
//! run the checks and read the first timeline.

use deadpool_postgres::Pool;
use deadpool_postgres::tokio_postgres::Transaction;
use messaging::Message;
use messaging::idempotent_consumer::{Error, Inbox, Once, Options, Work};

/// Your inbox.
#[allow(dead_code)] // until once and sweep use it
pub struct MyInbox {
    pool: Pool,
    consumer: String,
    options: Options,
}

impl Inbox for MyInbox {
    fn open(url: &str, consumer: &str, options: Options) -> Result<Self, Error> {
        let pool = database::pool(url, options.timeout, options.connections)?;
        Ok(MyInbox { pool, consumer: consumer.to_owned(), options })
    }

    async fn once<E>(&self, _message: &Message, _effect: E) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        todo!("the effect, if this message was not seen before")
    }

    async fn sweep(&self) -> Result<u64, Error> {
        todo!("forget up to BATCH of the messages that are too old")
    }
}
