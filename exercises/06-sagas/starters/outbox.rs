//! 06.5 · Transactional outbox
//!
//! The database and the broker have no transaction in common. Build the table between the two: `add`
//! writes a message into the caller's own transaction, `forward` carries what was committed to the
//! broker. What you build has to keep five promises, and the checks will try to break each of them:
//!
//! 1. A message is published if and only if its transaction was committed, also when that was open
//!    for long, and others with higher numbers were committed meanwhile.
//! 2. It is marked when the broker has confirmed it, and not before; until then it is published again
//!    and again, under the same id.
//! 3. Messages of one correlation come in their order. One that is not confirmed holds up those
//!    behind it in its correlation, and no others; what no queue wants is parked after some attempts.
//! 4. One relay at a time publishes, of all processes, and one that is killed or stopped does not keep
//!    the others out. What one has found out, the next one knows.
//! 5. `forward` ends in time, when PostgreSQL hangs and when the broker does, or is slow; and what was
//!    confirmed by then is marked.
//!
//! The contract with all its details is the trait `Outbox`: sandbox/06-sagas/src/outbox.rs. The table
//! is there, with columns that are yours to use: `attempts`, `retry_at`, `sent_at`, `parked`.
//! `self.connections.begin()` gives a transaction whose every answer comes in time; end it with
//! `commit`, for dropped it is rolled back. `sendable(message)` knows what AMQP can carry.
//!
//! A first step: INSERT in `add`; in `forward` read what has no `sent_at` by its `id`, publish one
//! after the other, and set `sent_at` of each that was confirmed. Then run the checks and read the
//! first timeline.

use deadpool_postgres::tokio_postgres::Transaction;
use messaging::Message;
use messaging::confirms::Publisher;
use sagas::outbox::{Connections, Error, Forwarded, Options, Outbox};

/// Your outbox.
#[allow(dead_code)] // until forward uses them
pub struct MyOutbox {
    connections: Connections,
    options: Options,
}

impl Outbox for MyOutbox {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        Ok(MyOutbox { connections: Connections::open(url, options.timeout)?, options })
    }

    async fn add(&self, _transaction: &Transaction<'_>, _message: &Message) -> Result<(), Error> {
        todo!("a row in `outbox`, written by the caller's transaction")
    }

    async fn forward<P: Publisher>(
        &self,
        _exchange: &str,
        _publisher: &P,
    ) -> Result<Forwarded, Error> {
        todo!("publish what was committed and is not sent; mark what was confirmed")
    }
}
