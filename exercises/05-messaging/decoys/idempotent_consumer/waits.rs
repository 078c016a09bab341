//! Mistakes of those who keep others away.

use super::apart::knows;
use super::usual::{Usual, Usually, commit, is_new};
use deadpool_postgres::Pool;
use deadpool_postgres::tokio_postgres::error::SqlState;
use deadpool_postgres::tokio_postgres::types::Type;
use deadpool_postgres::tokio_postgres::{Client, Transaction};
use messaging::Message;
use messaging::idempotent_consumer::{Error, Inbox, Once, Options, PgInbox, Work};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Somebody else is just at this message, so there is nothing to do. Until the other one fails.
/// Rejected by `waits_for_the_outcome`.
pub(super) struct BusyIsSeen;

impl Usual for BusyIsSeen {
    async fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let transaction = client.transaction().await?;
        let lock = "SELECT pg_try_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0))";
        let values = [(&consumer as _, Type::TEXT), (&id as _, Type::TEXT)];
        let locked = transaction.query_typed_one(lock, &values).await?;
        if !locked.get::<_, bool>(0) || !is_new(&transaction, consumer, id).await? {
            return Ok(Once::Seen);
        }
        effect(&transaction).await.map_err(Error::Effect)?;
        commit(transaction).await?;
        Ok(Once::First)
    }
}

/// A lock on the table, to be sure. Nobody meets anybody any more, and one message that takes long
/// holds up all. Rejected by `others_go_on`.
pub(super) struct LocksTheTable;

impl Usual for LocksTheTable {
    async fn work<E>(client: &mut Client, key: (&str, &str), effect: E) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let transaction = client.transaction().await?;
        transaction.batch_execute("LOCK TABLE inbox IN EXCLUSIVE MODE").await?;
        if knows(&transaction, key.0, key.1).await? {
            return Ok(Once::Seen);
        }
        effect(&transaction).await.map_err(Error::Effect)?;
        is_new(&transaction, key.0, key.1).await?;
        commit(transaction).await?;
        Ok(Once::First)
    }
}

/// One connection, whatever was configured: a transaction needs just one. Rejected by
/// `others_go_on`.
pub(super) struct OneConnection;

impl Usual for OneConnection {
    fn pool(url: &str, options: Options) -> Result<Pool, Error> {
        Ok(database::pool(url, options.timeout, 1)?)
    }
}

/// An advisory lock of the session, taken before and given back afterwards. Who is dropped in between
/// leaves it to a connection that goes back to the pool with it, and nobody gets the message any
/// more. Rejected by `dropped_caller`.
pub(super) struct LockLeftBehind;

impl Usual for LockLeftBehind {
    async fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let values = [(&consumer as _, Type::TEXT), (&id as _, Type::TEXT)];
        let lock = "SELECT pg_advisory_lock(hashtextextended($1 || ' ' || $2, 0))";
        client.query_typed(lock, &values).await?;
        let done = async {
            let transaction = client.transaction().await?;
            if knows(&transaction, consumer, id).await? {
                return Ok(Once::Seen);
            }
            effect(&transaction).await.map_err(Error::Effect)?;
            is_new(&transaction, consumer, id).await?;
            commit(transaction).await?;
            Ok(Once::First)
        };
        let done = done.await;
        let unlock = "SELECT pg_advisory_unlock(hashtextextended($1 || ' ' || $2, 0))";
        client.query_typed(unlock, &values).await?;
        done
    }
}

/// The ids that are being worked on, in the process: one that is among them is somebody else's. A
/// second copy is acknowledged, and the first one fails. Rejected by `waits_for_the_outcome`.
pub(super) struct BusyHereIsSeen {
    inbox: PgInbox,
    busy: Mutex<HashSet<String>>,
}

impl Inbox for BusyHereIsSeen {
    fn open(url: &str, consumer: &str, options: Options) -> Result<Self, Error> {
        let inbox = PgInbox::open(url, consumer, options)?;
        Ok(BusyHereIsSeen { inbox, busy: Mutex::default() })
    }

    async fn once<E>(&self, message: &Message, effect: E) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        if !self.ids().insert(message.id.clone()) {
            return Ok(Once::Seen);
        }
        let _until_then = Busy(self, &message.id);
        self.inbox.once(message, effect).await
    }

    async fn sweep(&self) -> Result<u64, Error> {
        self.inbox.sweep().await
    }
}

impl BusyHereIsSeen {
    fn ids(&self) -> MutexGuard<'_, HashSet<String>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An id is no longer busy when this is dropped.
struct Busy<'a>(&'a BusyHereIsSeen, &'a str);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.ids().remove(self.1);
    }
}

/// It waited behind another transaction for as long as it may, so another one has the message, and
/// will do it. That one fails a moment later. Rejected by `waits_in_vain`.
pub(super) struct WaitedLongEnough;

impl Usual for WaitedLongEnough {
    async fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let transaction = client.transaction().await?;
        match is_new(&transaction, consumer, id).await {
            Ok(true) => {}
            Ok(false) => return Ok(Once::Seen),
            Err(Error::Postgres(why)) if why.code() == Some(&SqlState::QUERY_CANCELED) => {
                return Ok(Once::Seen);
            }
            Err(error) => return Err(error),
        }
        effect(&transaction).await.map_err(Error::Effect)?;
        commit(transaction).await?;
        Ok(Once::First)
    }
}

/// A lock on the message's id, and not on whose it is. Billing is slow, and the stock waits for it.
/// Rejected by `others_go_on`.
pub(super) struct LocksTheIdForAll;

impl Usual for LocksTheIdForAll {
    async fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let transaction = client.transaction().await?;
        let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
        transaction.query_typed(lock, &[(&id, Type::TEXT)]).await?;
        if !is_new(&transaction, consumer, id).await? {
            return Ok(Once::Seen);
        }
        effect(&transaction).await.map_err(Error::Effect)?;
        commit(transaction).await?;
        Ok(Once::First)
    }
}

/// One at a time through the INSERT, so that two do not meet there. The one that waits in it for
/// another transaction's end stands in the door. Rejected by `others_go_on`.
pub(super) struct OneAtTheDoor {
    inbox: Usually<ThroughTheDoor>,
    door: Arc<tokio::sync::Mutex<()>>,
}

impl Inbox for OneAtTheDoor {
    fn open(url: &str, consumer: &str, options: Options) -> Result<Self, Error> {
        let inbox = Usually::open(url, consumer, options)?;
        Ok(OneAtTheDoor { inbox, door: Arc::default() })
    }

    async fn once<E>(&self, message: &Message, effect: E) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        DOOR.scope(Arc::clone(&self.door), self.inbox.once(message, effect)).await
    }

    async fn sweep(&self) -> Result<u64, Error> {
        self.inbox.sweep().await
    }
}

tokio::task_local! {
    static DOOR: Arc<tokio::sync::Mutex<()>>;
}

struct ThroughTheDoor;

impl Usual for ThroughTheDoor {
    async fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let transaction = client.transaction().await?;
        let door = DOOR.get();
        let inside = door.lock().await;
        let new = is_new(&transaction, consumer, id).await?;
        drop(inside);
        if !new {
            return Ok(Once::Seen);
        }
        effect(&transaction).await.map_err(Error::Effect)?;
        commit(transaction).await?;
        Ok(Once::First)
    }
}
