//! The stock in PostgreSQL: the condition stands in the statement that takes.

use super::{Answer, Error, Options, Stock};
use deadpool_postgres::tokio_postgres::IsolationLevel;
use deadpool_postgres::{Object, Pool};
use std::time::Duration;

// ANCHOR: schema
/// What [`UpdateStock`] keeps its stock in. Whoever owns the database puts it up, as migrations do.
///
/// The `CHECK` is a net, and no more: it turns a mistake into an error, but an `UPDATE` that writes
/// back what was read a moment ago passes it, and sells twice.
pub const SCHEMA: &str = "
CREATE TABLE stock (
    product text PRIMARY KEY,
    units bigint NOT NULL CHECK (units >= 0)
);
CREATE TABLE sale (
    product text NOT NULL,
    order_id text NOT NULL,
    units bigint NOT NULL,
    PRIMARY KEY (product, order_id)
);
";
// ANCHOR_END: schema

/// The reference by a conditional `UPDATE`, and the order's row in the same transaction.
#[derive(Clone, Debug)]
pub struct UpdateStock {
    pool: Pool,
    timeout: Duration,
}

impl UpdateStock {
    /// Work on a connection of the pool, for a limited time.
    ///
    /// Whoever is dropped in the middle drops his transaction, and the driver rolls it back before
    /// anything else is said on that connection. But one on which an answer is overdue is taken out
    /// of the pool: the next caller would wait behind it.
    async fn with_connection<T>(
        &self,
        work: impl AsyncFnOnce(&mut Object) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut connection = self.pool.get().await?;
        // The server gives up each statement after one timeout; this is for a server that stalls.
        let patience = 2 * self.timeout;
        match tokio::time::timeout(patience, work(&mut connection)).await {
            Ok(result) => result,
            Err(_) => {
                drop(Object::take(connection));
                Err(Error::Slow(patience))
            }
        }
    }

    // ANCHOR: sell
    async fn sell(
        connection: &mut Object,
        (product, order, units): (&str, &str, u32),
    ) -> Result<Answer, Error> {
        let wanted = i64::from(units);
        // Under READ COMMITTED an UPDATE that waited for the row looks at its new state. A database
        // may be set to something stricter, and would answer with an error instead.
        let change =
            connection.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start();
        let change = change.await?;

        // The order first. Its own repetition waits here, and then finds the row.
        let write = "INSERT INTO sale (product, order_id, units) VALUES ($1, $2, $3)
                     ON CONFLICT DO NOTHING";
        let write = change.prepare_cached(write).await?;
        if change.execute(&write, &[&product, &order, &wanted]).await? == 0 {
            let read = "SELECT units FROM sale WHERE product = $1 AND order_id = $2";
            let had: i64 = change.query_one(read, &[&product, &order]).await?.get(0);
            return Ok(Answer::Taken(small(had)));
        }

        // To look first and take then would be two steps. This is one: it waits for the row, and
        // compares with what is there when it has it.
        let take = "UPDATE stock SET units = units - $2 WHERE product = $1 AND units >= $2";
        let take = change.prepare_cached(take).await?;
        if change.execute(&take, &[&product, &wanted]).await? == 0 {
            let read = "SELECT 1 FROM stock WHERE product = $1";
            let known = change.query_opt(read, &[&product]).await?.is_some();
            // The transaction is dropped, and the order's row with it.
            return Ok(if known { Answer::SoldOut } else { Answer::Unknown });
        }
        change.commit().await?;
        Ok(Answer::Taken(units))
    }
    // ANCHOR_END: sell
}

impl Stock for UpdateStock {
    fn open(url: &str, options: Options) -> Result<UpdateStock, Error> {
        let timeout = options.timeout;
        let pool = database::pool(url, timeout, options.connections)?;
        Ok(UpdateStock { pool, timeout })
    }

    async fn put(&self, product: &str, units: u32) -> Result<(), Error> {
        let put = "INSERT INTO stock (product, units) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        self.with_connection(async |connection| {
            connection.execute(put, &[&product, &i64::from(units)]).await?;
            Ok(())
        })
        .await
    }

    async fn take(&self, product: &str, order: &str, units: u32) -> Result<Answer, Error> {
        self.with_connection(async |connection| {
            Self::sell(connection, (product, order, units)).await
        })
        .await
    }

    async fn left(&self, product: &str) -> Result<Option<u32>, Error> {
        let read = "SELECT units FROM stock WHERE product = $1";
        self.with_connection(async |connection| {
            let row = connection.query_opt(read, &[&product]).await?;
            Ok(row.map(|row| small(row.get(0))))
        })
        .await
    }
}

/// Only what fits was ever written.
fn small(units: i64) -> u32 {
    u32::try_from(units).unwrap_or(u32::MAX)
}
