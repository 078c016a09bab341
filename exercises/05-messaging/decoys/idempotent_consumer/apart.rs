//! Mistakes that take the effect and the memory of it apart.

use super::usual::{Usual, commit, is_new};
use deadpool_postgres::tokio_postgres::types::Type;
use deadpool_postgres::tokio_postgres::{Client, Transaction};
use messaging::idempotent_consumer::{Error, Once, REMEMBER, Work};
use std::collections::HashSet;
use std::sync::{LazyLock, Mutex};

/// The broker promises to deliver, so why should it deliver twice? Rejected by `once_and_again`.
pub(super) struct NoInbox;

impl Usual for NoInbox {
    async fn work<E>(client: &mut Client, _: (&str, &str), effect: E) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let transaction = client.transaction().await?;
        effect(&transaction).await.map_err(Error::Effect)?;
        commit(transaction).await?;
        Ok(Once::First)
    }
}

/// Looks, and if the message is not there, does it and writes it down, all in one transaction. Two
/// who look before either has written both find nothing. Rejected by `at_the_same_time`.
pub(super) struct SelectThenInsert;

impl Usual for SelectThenInsert {
    async fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let transaction = client.transaction().await?;
        if knows(&transaction, consumer, id).await? {
            return Ok(Once::Seen);
        }
        effect(&transaction).await.map_err(Error::Effect)?;
        is_new(&transaction, consumer, id).await?;
        commit(transaction).await?;
        Ok(Once::First)
    }
}

/// Writes the message down at once, so that no other takes it, and then carries out the effect. When
/// that fails, the message comes again and was seen. Rejected by `failed_effect`.
pub(super) struct InboxFirst;

impl Usual for InboxFirst {
    async fn work<E>(client: &mut Client, key: (&str, &str), effect: E) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        if !remembers(client, key).await? {
            return Ok(Once::Seen);
        }
        let transaction = client.transaction().await?;
        effect(&transaction).await.map_err(Error::Effect)?;
        commit(transaction).await?;
        Ok(Once::First)
    }
}

/// The same, and when the effect fails the row is taken back. Who is dropped or killed comes to no
/// such line. Rejected by `dropped_caller`.
pub(super) struct CleansUpByHand;

impl Usual for CleansUpByHand {
    async fn work<E>(client: &mut Client, key: (&str, &str), effect: E) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        if !remembers(client, key).await? {
            return Ok(Once::Seen);
        }
        let done = async {
            let transaction = client.transaction().await?;
            effect(&transaction).await.map_err(Error::Effect)?;
            commit(transaction).await
        };
        match done.await {
            Ok(()) => Ok(Once::First),
            Err(error) => {
                let forget = "DELETE FROM inbox WHERE consumer = $1 AND message = $2";
                let (consumer, id) = key;
                client.execute_typed(forget, &[(&consumer, Type::TEXT), (&id, Type::TEXT)]).await?;
                Err(error)
            }
        }
    }
}

/// The effect first, and when it is committed, the row. A process that dies in between has done
/// something of which nobody knows. Rejected by `killed_anywhere`.
pub(super) struct EffectFirst;

impl Usual for EffectFirst {
    async fn work<E>(client: &mut Client, key: (&str, &str), effect: E) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let transaction = client.transaction().await?;
        if knows(&transaction, key.0, key.1).await? {
            return Ok(Once::Seen);
        }
        effect(&transaction).await.map_err(Error::Effect)?;
        commit(transaction).await?;
        remembers(client, key).await?;
        Ok(Once::First)
    }
}

/// A row with a state: claimed, then done. A claim that is old is taken over, as its owner must have
/// died. It may have died between the effect and the word "done". Rejected by `killed_anywhere`.
pub(super) struct TakesOver;

impl Usual for TakesOver {
    async fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let claims = format!("{consumer} claims");
        let claim = "INSERT INTO inbox AS claim (consumer, message)
                     SELECT $1, $2 WHERE NOT EXISTS (
                         SELECT 1 FROM inbox WHERE consumer = $3 AND message = $2)
                     ON CONFLICT (consumer, message) DO UPDATE SET seen_at = now()
                     WHERE claim.seen_at < now() - interval '1 second'";
        let values =
            [(&claims as _, Type::TEXT), (&id as _, Type::TEXT), (&consumer as _, Type::TEXT)];
        if client.execute_typed(claim, &values).await? == 0 {
            let transaction = client.transaction().await?;
            return match knows(&transaction, consumer, id).await? {
                true => Ok(Once::Seen),
                false => Err(Error::Effect("somebody else is at it".into())),
            };
        }
        let transaction = client.transaction().await?;
        effect(&transaction).await.map_err(Error::Effect)?;
        commit(transaction).await?;
        remembers(client, (consumer, id)).await?;
        Ok(Once::First)
    }
}

/// A set of ids in the process. It is fast, and it is empty after a restart, which is when messages
/// come again. Rejected by `killed_anywhere`.
pub(super) struct RemembersInMemory;

impl Usual for RemembersInMemory {
    async fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        static SEEN: LazyLock<Mutex<HashSet<(String, String)>>> = LazyLock::new(Mutex::default);
        let key = (consumer.to_owned(), id.to_owned());
        if SEEN.lock().is_ok_and(|seen| seen.contains(&key)) {
            return Ok(Once::Seen);
        }
        let transaction = client.transaction().await?;
        effect(&transaction).await.map_err(Error::Effect)?;
        commit(transaction).await?;
        if let Ok(mut seen) = SEEN.lock() {
            seen.insert(key);
        }
        Ok(Once::First)
    }
}

/// The effect, then the row, in one transaction; if the row was there, all is rolled back. Nothing is
/// done twice, but it is *tried* twice: what was possible then, such as a payment of an account that
/// was closed since, is an error now, and the message comes for ever. Rejected by `once_and_again`.
pub(super) struct RunsItAgain;

impl Usual for RunsItAgain {
    async fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let transaction = client.transaction().await?;
        effect(&transaction).await.map_err(Error::Effect)?;
        if !is_new(&transaction, consumer, id).await? {
            return Ok(Once::Seen);
        }
        commit(transaction).await?;
        Ok(Once::First)
    }
}

/// A set in front of the table, of what is committed: it spares the database a question. Nothing ever
/// leaves it. It grows until the process is out of memory, and knows what was forgotten long ago.
/// Rejected by `forgotten_is_new`.
pub(super) struct RemembersForEver;

impl Usual for RemembersForEver {
    async fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        static DONE: LazyLock<Mutex<HashSet<(String, String)>>> = LazyLock::new(Mutex::default);
        let key = (consumer.to_owned(), id.to_owned());
        if DONE.lock().is_ok_and(|done| done.contains(&key)) {
            return Ok(Once::Seen);
        }
        let transaction = client.transaction().await?;
        let new = is_new(&transaction, consumer, id).await?;
        if new {
            effect(&transaction).await.map_err(Error::Effect)?;
            commit(transaction).await?;
        }
        if let Ok(mut done) = DONE.lock() {
            done.insert(key);
        }
        Ok(if new { Once::First } else { Once::Seen })
    }
}

/// Whether there is a row.
pub(super) async fn knows(
    transaction: &Transaction<'_>,
    consumer: &str,
    id: &str,
) -> Result<bool, Error> {
    let look = "SELECT 1 FROM inbox WHERE consumer = $1 AND message = $2";
    let found =
        transaction.query_typed(look, &[(&consumer, Type::TEXT), (&id, Type::TEXT)]).await?;
    Ok(!found.is_empty())
}

/// Writes the row down by itself; whether there was none.
async fn remembers(client: &Client, (consumer, id): (&str, &str)) -> Result<bool, Error> {
    let rows =
        client.execute_typed(REMEMBER, &[(&consumer, Type::TEXT), (&id, Type::TEXT)]).await?;
    Ok(rows == 1)
}
