//! The journal of sagas in the service's own database: [`Journal`] as the library has it, on either
//! side of the storage port.
//!
//! It does one thing more than the library's on PostgreSQL. Whatever follows from an entry is written
//! in the entry's own transaction, by whoever [`Follow`]s: the order's state, and the fact that the
//! others are told. So there is no moment at which the journal says "paid" and the order does not.
//!
//! # When the database stalls or dies
//!
//! A call fails with [`Error::Failed`], and may be made again: what was written under its token is
//! found, and not written twice.

use sagas::journal::{Error, Journal, Line, Record};
use sagas::{Entry, Outcome};
use shop_storage::sqlx::{self, Any, Row, Transaction};
use shop_storage::{Database, now};

/// The journal in the tables of `0002_sagas.sql`. Clones are handles to the same.
#[derive(Clone, Debug)]
pub(crate) struct StorageJournal<F> {
    database: Database,
    follow: F,
}

/// What follows from an entry.
pub(crate) trait Follow: Clone + Send + Sync + 'static {
    /// What is left to be done when the transaction is committed.
    type After: Send;

    /// Writes it down, in the entry's transaction. Where this fails, the entry is not written.
    fn follow(
        &self,
        change: &mut Transaction<'static, Any>,
        written: Written<'_>,
    ) -> impl Future<Output = Result<Self::After, shop_storage::Error>> + Send;

    /// The transaction is committed. If the process dies now, nobody makes this up.
    fn committed(
        &self,
        written: Written<'_>,
        after: Self::After,
    ) -> impl Future<Output = ()> + Send;
}

/// An entry, and its moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written<'a> {
    pub(crate) id: &'a str,
    pub(crate) entry: &'a Entry,
    pub(crate) stands: Option<Outcome>,
    /// When the entry before it was written, or the saga begun: microseconds since 1970.
    pub(crate) since: i64,
    /// When it is written.
    pub(crate) at: i64,
}

type Change = Transaction<'static, Any>;

impl<F: Follow> StorageJournal<F> {
    /// In this database; `follow` sees each entry.
    pub(crate) fn on(database: Database, follow: F) -> StorageJournal<F> {
        StorageJournal { database, follow }
    }

    /// As [`Journal::begin`], in a transaction of the caller's: an order and its saga begin together,
    /// or neither does. Who drives it then claims it.
    pub(crate) async fn begin_in(
        change: &mut Change,
        saga: &str,
        id: &str,
        context: &str,
        token: u64,
    ) -> Result<bool, shop_storage::Error> {
        let begin = "INSERT INTO saga (name, id, context, token, claims, entries, begun_at, \
                     changed_at) VALUES ($1, $2, $3, $4, $5, 0, $6, $6) \
                     ON CONFLICT (name, id) DO NOTHING";
        let done = sqlx::query(begin)
            .bind(saga)
            .bind(id)
            .bind(context)
            .bind(column(token))
            .bind(i64::from(token > 0))
            .bind(now())
            .execute(&mut **change)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Those that wait for a person since before `before`, the longest first, at most so `many`.
    pub(crate) async fn parked(
        &self,
        saga: &str,
        before: i64,
        many: u32,
    ) -> Result<Vec<String>, shop_storage::Error> {
        let list = "SELECT id FROM saga WHERE name = $1 AND outcome = 'parked' AND changed_at < $2 \
                    ORDER BY changed_at LIMIT $3";
        let found = sqlx::query_scalar(list).bind(saga).bind(before).bind(i64::from(many));
        Ok(found.fetch_all(self.database.reader()).await?)
    }

    async fn change(&self) -> Result<Change, Error> {
        self.database.begin().await.map_err(failed)
    }

    /// Why a statement changed nothing.
    async fn refusal(change: &mut Change, line: Line<'_>, entry: &str) -> Result<(), Error> {
        let Line { saga, id, position, token } = line;
        let newest: Option<i64> =
            sqlx::query_scalar("SELECT token FROM saga WHERE name = $1 AND id = $2")
                .bind(saga)
                .bind(id)
                .fetch_optional(&mut **change)
                .await
                .map_err(lost)?;
        let newest = u64::try_from(newest.ok_or(Error::NoSuchSaga)?).unwrap_or_default();
        if newest > token {
            return Err(Error::Fenced { token, newest });
        }
        let written = "SELECT token, entry FROM saga_entry \
                       WHERE name = $1 AND id = $2 AND position = $3";
        let written: Option<(i64, String)> = sqlx::query_as(written)
            .bind(saga)
            .bind(id)
            .bind(place(position))
            .fetch_optional(&mut **change)
            .await
            .map_err(lost)?;
        // Written at the attempt whose answer was lost.
        if written.is_some_and(|(by, text)| by == column(token) && text == entry) {
            return Ok(());
        }
        Err(Error::Taken { position })
    }
}

impl<F: Follow> Journal for StorageJournal<F> {
    async fn begin(&self, saga: &str, id: &str, context: &str, token: u64) -> Result<bool, Error> {
        let mut change = self.change().await?;
        let begun = Self::begin_in(&mut change, saga, id, context, token).await.map_err(failed)?;
        change.commit().await.map_err(lost)?;
        Ok(begun)
    }

    async fn unfinished(&self, saga: &str, after: &str, many: u32) -> Result<Vec<String>, Error> {
        let list = "SELECT id FROM saga WHERE name = $1 AND outcome IS NULL AND id > $2 \
                    ORDER BY id LIMIT $3";
        let found = sqlx::query_scalar(list).bind(saga).bind(after).bind(i64::from(many));
        found.fetch_all(self.database.reader()).await.map_err(lost)
    }

    async fn claim(&self, saga: &str, id: &str, token: u64) -> Result<Record, Error> {
        let mut change = self.change().await?;
        // Raised first and read then, in two statements: the second sees what was committed while
        // the first waited for it.
        let raise = "UPDATE saga SET token = $3, claims = claims + 1 \
                     WHERE name = $1 AND id = $2 AND token <= $3";
        let raised = sqlx::query(raise)
            .bind(saga)
            .bind(id)
            .bind(column(token))
            .execute(&mut *change)
            .await
            .map_err(lost)?;
        if raised.rows_affected() == 0 {
            let line = Line { saga, id, position: 0, token };
            return Err(match Self::refusal(&mut change, line, "").await {
                Err(Error::Taken { .. }) | Ok(()) => {
                    Error::Failed("the saga could not be claimed".into())
                }
                Err(refused) => refused,
            });
        }
        let head = "SELECT context, claims, outcome FROM saga WHERE name = $1 AND id = $2";
        let head =
            sqlx::query(head).bind(saga).bind(id).fetch_one(&mut *change).await.map_err(lost)?;
        let all = "SELECT entry FROM saga_entry WHERE name = $1 AND id = $2 ORDER BY position";
        let all: Vec<String> = sqlx::query_scalar(all)
            .bind(saga)
            .bind(id)
            .fetch_all(&mut *change)
            .await
            .map_err(lost)?;
        change.commit().await.map_err(lost)?;
        let stands: Option<String> = head.try_get("outcome").map_err(lost)?;
        Ok(Record {
            context: head.try_get("context").map_err(lost)?,
            entries: all.iter().map(|text| read(text)).collect::<Result<_, _>>()?,
            stands: stands.map(|word| read(&format!("\"{word}\""))).transpose()?,
            begun: head.try_get::<i64, _>("claims").map_err(lost)? > 1,
        })
    }

    async fn append(
        &self,
        line: Line<'_>,
        entry: &Entry,
        stands: Option<Outcome>,
    ) -> Result<(), Error> {
        let Line { saga, id, position, token } = line;
        let text = serde_json::to_string(entry).map_err(|error| Error::Failed(error.into()))?;
        let mut change = self.change().await?;
        // Looked at before it is changed. Who writes the same line at the same time waits in the
        // next statement, and is refused there.
        let since: Option<i64> =
            sqlx::query_scalar("SELECT changed_at FROM saga WHERE name = $1 AND id = $2")
                .bind(saga)
                .bind(id)
                .fetch_optional(&mut *change)
                .await
                .map_err(lost)?;
        let at = now();
        let fence = "UPDATE saga SET token = $3, entries = entries + 1, outcome = $4, \
                     changed_at = $5 WHERE name = $1 AND id = $2 AND token <= $3 AND entries = $6";
        let fenced = sqlx::query(fence)
            .bind(saga)
            .bind(id)
            .bind(column(token))
            .bind(stands.map(Outcome::word))
            .bind(at)
            .bind(place(position))
            .execute(&mut *change)
            .await
            .map_err(lost)?;
        if fenced.rows_affected() == 0 {
            return Self::refusal(&mut change, line, &text).await;
        }
        let write = "INSERT INTO saga_entry (name, id, position, token, entry, at) \
                     VALUES ($1, $2, $3, $4, $5, $6)";
        sqlx::query(write)
            .bind(saga)
            .bind(id)
            .bind(place(position))
            .bind(column(token))
            .bind(&text)
            .bind(at)
            .execute(&mut *change)
            .await
            .map_err(lost)?;
        let written = Written { id, entry, stands, since: since.unwrap_or(at), at };
        let after = self.follow.follow(&mut change, written).await.map_err(failed)?;
        change.commit().await.map_err(lost)?;
        self.follow.committed(written, after).await;
        Ok(())
    }

    async fn settle(&self, saga: &str, id: &str, token: u64, stands: Outcome) -> Result<(), Error> {
        let mut change = self.change().await?;
        let settle = "UPDATE saga SET token = $3, outcome = $4 \
                      WHERE name = $1 AND id = $2 AND token <= $3";
        let settled = sqlx::query(settle)
            .bind(saga)
            .bind(id)
            .bind(column(token))
            .bind(stands.word())
            .execute(&mut *change)
            .await
            .map_err(lost)?;
        if settled.rows_affected() == 0 {
            return Self::refusal(&mut change, Line { saga, id, position: 0, token }, "").await;
        }
        change.commit().await.map_err(lost)
    }
}

fn failed(error: shop_storage::Error) -> Error {
    Error::Failed(error.into())
}

fn lost(error: sqlx::Error) -> Error {
    failed(error.into())
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Unreadable(format!("{error}: {text}")))
}

/// Tokens that a column cannot hold are all taken for the highest that it can.
fn column(token: u64) -> i64 {
    i64::try_from(token).unwrap_or(i64::MAX)
}

fn place(position: usize) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
