//! Mistakes about what was committed, and what was not.

use super::usual::{Usual, commit, is_new};
use deadpool_postgres::tokio_postgres::error::SqlState;
use deadpool_postgres::tokio_postgres::types::Type;
use deadpool_postgres::tokio_postgres::{self, Client, Transaction};
use messaging::idempotent_consumer::{Error, Once, Work};

/// The effect gets a savepoint of its own, so that the row of the inbox is not lost with it. So the
/// row is there, and the effect is not. Rejected by `failed_effect`.
pub(super) struct SavepointForTheEffect;

impl Usual for SavepointForTheEffect {
    async fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let mut transaction = client.transaction().await?;
        if !is_new(&transaction, consumer, id).await? {
            return Ok(Once::Seen);
        }
        let savepoint = transaction.transaction().await?;
        let done = effect(&savepoint).await.map_err(Error::Effect);
        match &done {
            Ok(()) => savepoint.commit().await?,
            Err(_) => savepoint.rollback().await?,
        }
        commit(transaction).await?;
        done.map(|()| Once::First)
    }
}

/// A message that cannot be done would come again for ever, so it is written to the log and taken for
/// done. A database that is busy for a second loses messages in this way. Rejected by
/// `failed_effect`.
pub(super) struct PoisonIsDone;

impl Usual for PoisonIsDone {
    async fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let transaction = client.transaction().await?;
        if !is_new(&transaction, consumer, id).await? {
            return Ok(Once::Seen);
        }
        if effect(&transaction).await.is_err() {
            return Ok(Once::First);
        }
        commit(transaction).await?;
        Ok(Once::First)
    }
}

/// `transaction.commit().await?`, and nobody would look twice. After a statement that failed, COMMIT
/// rolls back, and the driver says `Ok`. Rejected by `hidden_error`.
pub(super) struct CommitIsProof;

impl Usual for CommitIsProof {
    async fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let transaction = client.transaction().await?;
        if !is_new(&transaction, consumer, id).await? {
            return Ok(Once::Seen);
        }
        effect(&transaction).await.map_err(Error::Effect)?;
        transaction.commit().await?;
        Ok(Once::First)
    }
}

/// A plain INSERT, whose error means that the row was there: that is what the primary key is for.
/// There are other errors. Rejected by `lost_words`.
pub(super) struct ErrorIsSeen;

impl Usual for ErrorIsSeen {
    async fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let transaction = client.transaction().await?;
        let insert = "INSERT INTO inbox (consumer, message) VALUES ($1, $2)";
        let values = [(&consumer as _, Type::TEXT), (&id as _, Type::TEXT)];
        if transaction.execute_typed(insert, &values).await.is_err() {
            return Ok(Once::Seen);
        }
        effect(&transaction).await.map_err(Error::Effect)?;
        commit(transaction).await?;
        Ok(Once::First)
    }
}

/// The work is done, so an error of the commit is only written to the log. Rejected by `lost_words`.
pub(super) struct CommitOnlyLogged;

impl Usual for CommitOnlyLogged {
    async fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let transaction = client.transaction().await?;
        if !is_new(&transaction, consumer, id).await? {
            return Ok(Once::Seen);
        }
        effect(&transaction).await.map_err(Error::Effect)?;
        let _to_the_log = commit(transaction).await;
        Ok(Once::First)
    }
}

/// If the COMMIT fails, nothing was committed: so it says that the effect hid an error. It was only
/// the answer that was lost. Rejected by `lost_words`.
pub(super) struct CommitErrorIsHidden;

impl Usual for CommitErrorIsHidden {
    async fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let transaction = client.transaction().await?;
        if !is_new(&transaction, consumer, id).await? {
            return Ok(Once::Seen);
        }
        effect(&transaction).await.map_err(Error::Effect)?;
        commit(transaction).await.map_err(|_| Error::Hidden)?;
        Ok(Once::First)
    }
}

/// The effect has found its row there, so it must have been this message. It was another one, whose
/// name was the same. Rejected by `refused_effect`.
pub(super) struct ConflictIsSeen;

impl Usual for ConflictIsSeen {
    async fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let transaction = client.transaction().await?;
        if !is_new(&transaction, consumer, id).await? {
            return Ok(Once::Seen);
        }
        if let Err(why) = effect(&transaction).await {
            let of_postgres = why.downcast_ref::<tokio_postgres::Error>();
            let code = of_postgres.and_then(tokio_postgres::Error::code);
            return match code == Some(&SqlState::UNIQUE_VIOLATION) {
                true => Ok(Once::Seen),
                false => Err(Error::Effect(why)),
            };
        }
        commit(transaction).await?;
        Ok(Once::First)
    }
}
