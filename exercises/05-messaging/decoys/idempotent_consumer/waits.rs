//! Mistakes of those who keep others away.

use super::apart::knows;
use super::usual::{Usual, commit, is_new};
use deadpool_postgres::Pool;
use deadpool_postgres::tokio_postgres::types::Type;
use deadpool_postgres::tokio_postgres::{Client, Transaction};
use messaging::idempotent_consumer::{Error, Once, Options, Work};

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
