//! What the decoys have in common: everything as it should be.

use deadpool_postgres::tokio_postgres::types::{ToSql, Type};
use deadpool_postgres::tokio_postgres::{Client, Transaction};
use deadpool_postgres::{Object, Pool};
use messaging::Message;
use messaging::idempotent_consumer::{BATCH, Error, Inbox, Once, Options, REMEMBER, Work};
use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

/// Where a decoy is wrong, it says so; where it does not, it is right.
pub(super) trait Usual: Send + Sync + 'static {
    fn pool(url: &str, options: Options) -> Result<Pool, Error> {
        Ok(database::pool(url, options.timeout, options.connections)?)
    }

    /// Under which names the message is remembered.
    fn key(consumer: &str, message: &Message) -> Result<(String, String), Error> {
        match message.id.as_str() {
            "" => Err(Error::NoId),
            id => Ok((consumer.to_owned(), id.to_owned())),
        }
    }

    /// How long the whole may take.
    fn patience(options: Options) -> Duration {
        2 * options.timeout
    }

    /// Waits until there is a connection.
    fn connect(pool: &Pool) -> impl Future<Output = Result<Object, Error>> + Send {
        async { Ok(pool.get().await?) }
    }

    /// What becomes of a connection on which no answer came in time.
    fn give_up(connection: Object) {
        drop(Object::take(connection));
    }

    /// How long a sweep may take.
    fn patience_of_a_sweep(options: Options) -> Duration {
        2 * options.timeout
    }

    fn work<E>(
        client: &mut Client,
        (consumer, id): (&str, &str),
        effect: E,
    ) -> impl Future<Output = Result<Once, Error>> + Send
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        async move {
            let transaction = client.transaction().await?;
            if !is_new(&transaction, consumer, id).await? {
                return Ok(Once::Seen);
            }
            effect(&transaction).await.map_err(Error::Effect)?;
            commit(transaction).await?;
            Ok(Once::First)
        }
    }

    fn sweep(
        client: &Client,
        consumer: &str,
        keep: Duration,
    ) -> impl Future<Output = Result<u64, Error>> + Send {
        async move {
            let sweep = "DELETE FROM inbox WHERE (consumer, message) IN (
                             SELECT consumer, message FROM inbox
                             WHERE consumer = $1 AND seen_at < now() - make_interval(secs => $2)
                             ORDER BY seen_at LIMIT $3)";
            let (keep, batch) = (keep.as_secs_f64(), i64::from(BATCH));
            let values: [(&(dyn ToSql + Sync), Type); 3] =
                [(&consumer, Type::TEXT), (&keep, Type::FLOAT8), (&batch, Type::INT8)];
            Ok(client.execute_typed(sweep, &values).await?)
        }
    }
}

/// Writes the row down; whether there was none.
pub(super) async fn is_new(
    transaction: &Transaction<'_>,
    consumer: &str,
    id: &str,
) -> Result<bool, Error> {
    let key = [(&consumer as _, Type::TEXT), (&id as _, Type::TEXT)];
    Ok(transaction.execute_typed(REMEMBER, &key).await? == 1)
}

/// After a statement that failed, the first of the two is refused.
pub(super) async fn commit(transaction: Transaction<'_>) -> Result<(), Error> {
    transaction.batch_execute("SELECT 1; COMMIT").await?;
    std::mem::forget(transaction);
    Ok(())
}

/// An inbox that is wrong in one thing.
pub(super) struct Usually<P> {
    pool: Pool,
    consumer: String,
    options: Options,
    wrong: PhantomData<P>,
}

impl<P: Usual> Inbox for Usually<P> {
    fn open(url: &str, consumer: &str, options: Options) -> Result<Self, Error> {
        let pool = P::pool(url, options)?;
        Ok(Usually { pool, consumer: consumer.to_owned(), options, wrong: PhantomData })
    }

    async fn once<E>(&self, message: &Message, effect: E) -> Result<Once, Error>
    where
        E: for<'t> FnOnce(&'t Transaction<'_>) -> Work<'t> + Send,
    {
        let (consumer, id) = P::key(&self.consumer, message)?;
        let mut connection = P::connect(&self.pool).await?;
        let patience = P::patience(self.options);
        let work = P::work(&mut connection, (&consumer, &id), effect);
        match tokio::time::timeout(patience, work).await {
            Ok(done) => done,
            Err(_) => {
                P::give_up(connection);
                Err(Error::Slow(patience))
            }
        }
    }

    async fn sweep(&self) -> Result<u64, Error> {
        let connection = self.pool.get().await?;
        let patience = P::patience_of_a_sweep(self.options);
        let sweep = P::sweep(&connection, &self.consumer, self.options.keep);
        match tokio::time::timeout(patience, sweep).await {
            Ok(swept) => swept,
            Err(_) => {
                drop(Object::take(connection));
                Err(Error::Slow(patience))
            }
        }
    }
}
