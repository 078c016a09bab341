//! Transactions that end, also when PostgreSQL hangs or their owner is dropped.

use super::Error;
use deadpool_postgres::tokio_postgres::{self, Row, types::ToSql};
use deadpool_postgres::{Object, Pool};
use std::future::Future;
use std::time::Duration;

/// More transactions at once wait for each other. A relay needs one.
const CONNECTIONS: usize = 4;

/// Connections of which each answer comes in time or not at all. One that was lost is made again by
/// the next who asks.
#[derive(Clone, Debug)]
pub struct Connections {
    pool: Pool,
    timeout: Duration,
}

/// A transaction of one's own. Dropped without [`Turn::commit`] it is rolled back, and its
/// connection closed: whatever was under way on it, nobody waits behind that.
#[derive(Debug)]
pub struct Turn {
    connection: Option<Object>,
    timeout: Duration,
}

impl Connections {
    /// Connections to the database at `url`. The first is made by the first transaction.
    ///
    /// # Errors
    /// Only for a `url` that cannot be read.
    pub fn open(url: &str, timeout: Duration) -> Result<Connections, Error> {
        let pool = database::pool(url, timeout, CONNECTIONS)?;
        Ok(Connections { pool, timeout })
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// Any but [`Error::Unsendable`].
    pub async fn begin(&self) -> Result<Turn, Error> {
        let connection = self.pool.get().await?;
        let turn = Turn { connection: Some(connection), timeout: self.timeout };
        turn.answer(turn.connection().batch_execute("BEGIN")).await?;
        Ok(turn)
    }
}

impl Turn {
    /// Runs a statement, and gives its rows.
    ///
    /// # Errors
    /// [`Error::Postgres`], [`Error::Slow`].
    pub async fn query(
        &self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        self.answer(async {
            let statement = self.connection().prepare_cached(statement).await?;
            self.connection().query(&statement, parameters).await
        })
        .await
    }

    /// Runs a statement, and tells how many rows it has changed.
    ///
    /// # Errors
    /// [`Error::Postgres`], [`Error::Slow`].
    pub async fn execute(
        &self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Error> {
        self.answer(async {
            let statement = self.connection().prepare_cached(statement).await?;
            self.connection().execute(&statement, parameters).await
        })
        .await
    }

    /// Ends the transaction. The connection may be used by others again.
    ///
    /// # Errors
    /// [`Error::Postgres`], [`Error::Slow`]: then nobody knows whether it was committed.
    pub async fn commit(mut self) -> Result<(), Error> {
        self.answer(self.connection().batch_execute("COMMIT")).await?;
        drop(self.connection.take());
        Ok(())
    }

    fn connection(&self) -> &Object {
        self.connection.as_ref().expect("only commit and drop take it, and both are the end")
    }

    async fn answer<T>(
        &self,
        asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        let answer = tokio::time::timeout(self.timeout, asked).await;
        Ok(answer.map_err(|_| Error::Slow(self.timeout))??)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Out of the pool, and closed with that.
        drop(self.connection.take().map(Object::take));
    }
}
