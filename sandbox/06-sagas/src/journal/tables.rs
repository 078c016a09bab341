//! Statements whose every wait ends.

use super::Error;
use deadpool_postgres::tokio_postgres::{Row, types::ToSql};
use deadpool_postgres::{Object, Pool};
use std::time::Duration;

/// More statements at once wait for each other.
const CONNECTIONS: usize = 8;

/// Tables in PostgreSQL. Each statement is a transaction of its own, and ends in time: at most one
/// timeout for a free connection, one for connecting, and one for the answer. A connection that was
/// lost is made again by the next statement; the one on which it was lost fails.
#[derive(Clone, Debug)]
pub struct Tables {
    pool: Pool,
    timeout: Duration,
}

impl Tables {
    /// In the database at `url`. The first statement connects.
    ///
    /// # Errors
    /// Only for a `url` that cannot be read.
    pub fn open(url: &str, timeout: Duration) -> Result<Tables, Error> {
        let pool = database::pool(url, timeout, CONNECTIONS).map_err(failed)?;
        Ok(Tables { pool, timeout })
    }

    /// Runs one statement, and gives its first row if it has one. One round trip, and another when a
    /// connection meets the statement for the first time.
    ///
    /// # Errors
    /// [`Error::Failed`]: it is not known whether the statement was carried out.
    pub async fn row(
        &self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Error> {
        Ok(self.rows(statement, parameters).await?.into_iter().next())
    }

    /// As [`Tables::row`], with all its rows.
    ///
    /// # Errors
    /// As [`Tables::row`].
    pub async fn rows(
        &self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let connection = self.pool.get().await.map_err(failed)?;
        let answer = async {
            let statement = connection.prepare_cached(statement).await?;
            connection.query(&statement, parameters).await
        };
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(answer) => answer.map_err(|error| Error::Failed(database::because(&error).into())),
            // Who gets this connection next would wait behind us.
            Err(_) => {
                drop(Object::take(connection));
                Err(Error::Failed(format!("no answer within {:.0?}", self.timeout).into()))
            }
        }
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Failed(Box::new(error))
}
