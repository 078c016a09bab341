//! What a service says to the others, and what it has heard from them: outbox and inbox on the
//! storage port, beside the bus.
//!
//! A database and a bus have no transaction in common. So an event is written into a table in the
//! transaction of the change that it tells of, and a relay carries it to the bus afterwards, for as
//! long as it takes: lesson 06.5, on either side of the storage port. And whoever receives an event
//! remembers its id in the transaction of its effect, since it may come twice: lesson 05.6.
//!
//! Both can be switched off, to see what they are for. `pattern.outbox` off publishes straight after
//! the commit, and what dies in between has told nobody. `pattern.inbox` off remembers nothing, and
//! an event that comes twice has two effects.
//!
//! # In which order
//!
//! The relay publishes one after the other, each when the one before is confirmed, and marks those of
//! one look together. It asks for what is not marked, and not for what comes "after the last one": a
//! transaction that began earlier may be committed later. Of two events about one order, that comes
//! first whose transaction came first, since both hold the order's row; their times say so as far as
//! the clocks of the machines on which the service runs agree.
//!
//! # When something stalls or dies
//!
//! A bus that is away: the rows wait, and the relay asks again, more and more seldom. A relay that
//! dies between the confirms and the mark: the next one publishes the same events again, with their
//! ids. Where the service runs in several processes, each has a relay, and an event may come once
//! from each.

mod inbox;
mod relay;
mod traces;

use std::fmt;
use std::sync::Arc;

use observability::propagation::{OneTrace, Propagation};
use shop_bus::Bus;
use shop_contracts::event::{Event, Said, Trace};
use shop_contracts::id::OrderId;
use shop_flags::{Flags, PatternOutbox};
use shop_storage::sqlx::{self, Any, Transaction};
use shop_storage::{Database, Error, now};
use tokio::sync::Notify;

pub use inbox::{INBOX, Inbox};
pub use traces::{delivery, is_known, trace};

/// The table, for a migration of the service's own.
pub const OUTBOX: &str = "
    CREATE TABLE outbox (
        id TEXT PRIMARY KEY,
        correlation TEXT NOT NULL,
        event TEXT NOT NULL,
        added_at BIGINT NOT NULL,
        sent_at BIGINT
    );
    CREATE INDEX outbox_waiting ON outbox (added_at, id) WHERE sent_at IS NULL;
    CREATE INDEX outbox_of_an_order ON outbox (correlation, added_at)";

/// A service's outbox. Clones are handles to the same.
#[derive(Clone)]
pub struct Outbox {
    database: Database,
    bus: Option<Arc<dyn Bus>>,
    flags: Flags,
    added: Arc<Notify>,
    traces: OneTrace,
}

/// What is to be done when the transaction is committed, and not before.
#[must_use = "nobody is told before this is committed"]
#[derive(Default)]
pub struct After(Option<Left>);

enum Left {
    /// The relay has something to do.
    Nudge(Arc<Notify>),
    /// It is in no table: now or never.
    Publish(Arc<dyn Bus>, Box<Event>),
}

impl Outbox {
    /// The outbox in `database`, which has the table [`OUTBOX`], to `bus`.
    pub fn new(database: Database, bus: Arc<dyn Bus>, flags: Flags) -> Outbox {
        Outbox { bus: Some(bus), flags, ..Outbox::without_bus(database) }
    }

    /// One that nobody carries anywhere: what is said waits in its table.
    pub fn without_bus(database: Database) -> Outbox {
        let (flags, added, traces) = (Flags::default(), Arc::default(), OneTrace::default());
        Outbox { database, bus: None, flags, added, traces }
    }

    /// The same, whose events say in which trace they happened.
    pub fn traced(mut self, traces: OneTrace) -> Outbox {
        self.traces = traces;
        self
    }

    /// Says `event` as a part of `change`: if and only if that is committed, the others are told. Say
    /// it after the change that it tells of.
    ///
    /// # Errors
    /// The database's, and the transaction is of no use any more.
    pub async fn add(
        &self,
        change: &mut Transaction<'static, Any>,
        mut event: Event,
    ) -> Result<After, Error> {
        // Here, where it is known whose doing this is. The relay works for everybody.
        let enqueue = || trace(&self.traces.enqueue(&event.kind));
        event.trace = match traces::is_known() {
            true => enqueue(),
            // Somebody goes on with what another had begun, who is dead. What that one said of this
            // order before says in which trace.
            false => {
                let first = first(&mut **change, event.correlation).await?;
                traces::within(&first, enqueue)
            }
        };
        if let (PatternOutbox::Off, Some(bus)) = (self.flags.get::<PatternOutbox>(), &self.bus) {
            return Ok(After(Some(Left::Publish(Arc::clone(bus), Box::new(event)))));
        }
        let text = serde_json::to_string(&event).map_err(garbled)?;
        sqlx::query(
            "INSERT INTO outbox (id, correlation, event, added_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(event.id.to_string())
        .bind(event.correlation.to_string())
        .bind(text)
        .bind(now())
        .execute(&mut **change)
        .await?;
        Ok(After(Some(Left::Nudge(Arc::clone(&self.added)))))
    }

    /// In which trace it was said first that there is this order; nowhere, if nothing was said.
    ///
    /// # Errors
    /// The database's.
    pub async fn began(&self, order: OrderId) -> Result<Trace, Error> {
        first(self.database.reader(), order).await
    }

    /// How many events wait for the relay.
    ///
    /// # Errors
    /// The database's.
    pub async fn unsaid(&self) -> Result<i64, Error> {
        let unsaid = "SELECT COUNT(*) FROM outbox WHERE sent_at IS NULL";
        Ok(sqlx::query_scalar(unsaid).fetch_one(self.database.reader()).await?)
    }

    /// All that was said about an order, in its order, for as long as it is kept: a week.
    ///
    /// # Errors
    /// The database's.
    pub async fn said(&self, correlation: &str) -> Result<Vec<Said>, Error> {
        let said = "SELECT event, sent_at FROM outbox WHERE correlation = $1 ORDER BY added_at, id";
        let rows: Vec<(String, Option<i64>)> =
            sqlx::query_as(said).bind(correlation).fetch_all(self.database.reader()).await?;
        let read = |(text, sent_at): (String, _)| {
            let event = serde_json::from_str(&text).map_err(garbled)?;
            Ok(Said { event, sent_at })
        };
        rows.into_iter().map(read).collect()
    }
}

async fn first<'e>(
    database: impl sqlx::Executor<'e, Database = Any>,
    order: OrderId,
) -> Result<Trace, Error> {
    let first = "SELECT event FROM outbox WHERE correlation = $1 ORDER BY added_at, id LIMIT 1";
    let first: Option<String> =
        sqlx::query_scalar(first).bind(order.to_string()).fetch_optional(database).await?;
    let event = first.map(|text| serde_json::from_str::<Event>(&text).map_err(garbled));
    Ok(event.transpose()?.map(|event| event.trace).unwrap_or_default())
}

impl After {
    /// The transaction is committed.
    pub async fn committed(self) {
        match self.0 {
            None => {}
            Some(Left::Nudge(added)) => added.notify_one(),
            Some(Left::Publish(bus, event)) => {
                if let Err(error) = bus.publish(&event).await {
                    tracing::error!(%error, event = %event.kind, "nobody was told, nor will be");
                }
            }
        }
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("database", &self.database).finish_non_exhaustive()
    }
}

fn garbled(error: serde_json::Error) -> Error {
    sqlx::Error::Decode(error.into()).into()
}
