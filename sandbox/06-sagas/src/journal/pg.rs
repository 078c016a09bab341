//! The journal on PostgreSQL.

use super::{Error, Journal, Line, Record, Tables};
use crate::saga::{Entry, Outcome};
use deadpool_postgres::tokio_postgres::Transaction;

// ANCHOR: schema
/// A row a saga, and a row an entry. An entry, and its saga's `outcome`, are JSON as serde writes
/// them; so is the context.
pub const SCHEMA: &str = "
    CREATE TABLE saga (
        name text NOT NULL,
        id text NOT NULL,
        context text NOT NULL,
        -- The highest fencing token that was shown, and how often somebody has claimed it.
        token bigint NOT NULL DEFAULT 0,
        claims integer NOT NULL DEFAULT 0,
        -- How many entries it has.
        entries integer NOT NULL DEFAULT 0,
        -- NULL while there is something to do; then completed, compensated or parked.
        outcome text,
        begun timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (name, id)
    );
    -- Holds none of the millions that have ended.
    CREATE INDEX saga_unfinished ON saga (name, id) WHERE outcome IS NULL;
    CREATE TABLE saga_entry (
        name text NOT NULL,
        id text NOT NULL,
        position integer NOT NULL,
        token bigint NOT NULL,
        entry text NOT NULL,
        PRIMARY KEY (name, id, position)
    )";
// ANCHOR_END: schema

/// The journal in the tables of [`SCHEMA`]. Each call is one statement, and so one commit, but for
/// [`claim`](Journal::claim), which is two. A refusal costs one more, to say why.
#[derive(Clone, Debug)]
pub struct PgJournal {
    tables: Tables,
}

impl PgJournal {
    /// In these tables.
    pub fn on(tables: Tables) -> PgJournal {
        PgJournal { tables }
    }

    /// As [`Journal::begin`], in a transaction of the caller's: an order and its saga begin together,
    /// or neither does. Who drives it then claims it.
    ///
    /// # Errors
    /// [`Error::Failed`], and the transaction is of no use any more.
    pub async fn begin_in(
        transaction: &Transaction<'_>,
        saga: &str,
        id: &str,
        context: &str,
    ) -> Result<bool, Error> {
        let failed = |error| Error::Failed(database::because(&error).into());
        let begin = transaction.prepare(BEGIN).await.map_err(failed)?;
        let row = transaction.query_opt(&begin, &[&saga, &id, &context, &0_i64]).await;
        Ok(row.map_err(failed)?.is_some())
    }

    /// Why a statement changed nothing. The highest token may have risen meanwhile; it never falls.
    async fn refusal(&self, line: Line<'_>, entry: &str) -> Result<(), Error> {
        let look = "SELECT saga.token, written.token, written.entry
                    FROM saga LEFT JOIN saga_entry AS written
                      ON written.name = saga.name AND written.id = saga.id AND position = $3
                    WHERE saga.name = $1 AND saga.id = $2";
        let Line { saga, id, position, token } = line;
        let row = self.tables.row(look, &[&saga, &id, &place(position)]).await?;
        let row = row.ok_or(Error::NoSuchSaga)?;
        let newest = u64::try_from(row.get::<_, i64>(0)).unwrap_or_default();
        if newest > token {
            return Err(Error::Fenced { token, newest });
        }
        let (by, written): (Option<i64>, Option<&str>) = (row.get(1), row.get(2));
        // Written at the attempt whose answer was lost.
        if by == Some(column(token)) && written == Some(entry) {
            return Ok(());
        }
        Err(Error::Taken { position })
    }
}

const BEGIN: &str = "INSERT INTO saga (name, id, context, token, claims)
                     VALUES ($1, $2, $3, $4, CASE WHEN $4::bigint > 0 THEN 1 ELSE 0 END)
                     ON CONFLICT DO NOTHING RETURNING id";

impl Journal for PgJournal {
    async fn begin(&self, saga: &str, id: &str, context: &str, token: u64) -> Result<bool, Error> {
        let row = self.tables.row(BEGIN, &[&saga, &id, &context, &column(token)]).await?;
        Ok(row.is_some())
    }

    async fn unfinished(&self, saga: &str, after: &str, many: u32) -> Result<Vec<String>, Error> {
        let list = "SELECT id FROM saga WHERE name = $1 AND outcome IS NULL AND id > $2
                    ORDER BY id LIMIT $3";
        let rows = self.tables.rows(list, &[&saga, &after, &i64::from(many)]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn claim(&self, saga: &str, id: &str, token: u64) -> Result<Record, Error> {
        // ANCHOR: claim
        // Raised first and read then, in two statements. One that did both would read what stood
        // there when it began, and miss the entry for whose commit it has waited.
        let claim = "UPDATE saga SET token = $3, claims = claims + 1
                     WHERE name = $1 AND id = $2 AND token <= $3
                     RETURNING context, claims, entries, outcome";
        // ANCHOR_END: claim
        let Some(row) = self.tables.row(claim, &[&saga, &id, &column(token)]).await? else {
            let line = Line { saga, id, position: 0, token };
            return Err(match self.refusal(line, "").await {
                Err(refused @ (Error::Fenced { .. } | Error::NoSuchSaga | Error::Failed(_))) => {
                    refused
                }
                _ => Error::Failed("the saga could not be claimed".into()),
            });
        };
        let stands: Option<&str> = row.get("outcome");
        let stands = stands.map(|text| read(&format!("\"{text}\""))).transpose()?;
        let mut entries = Vec::new();
        if row.get::<_, i32>("entries") > 0 {
            let all = "SELECT entry FROM saga_entry WHERE name = $1 AND id = $2 ORDER BY position";
            for row in self.tables.rows(all, &[&saga, &id]).await? {
                entries.push(read(row.get(0))?);
            }
        }
        let begun = row.get::<_, i32>("claims") > 1;
        Ok(Record { context: row.get("context"), entries, stands, begun })
    }

    async fn append(
        &self,
        line: Line<'_>,
        entry: &Entry,
        stands: Option<Outcome>,
    ) -> Result<(), Error> {
        // ANCHOR: append
        // Fence, position, entry and outcome: one statement, one round trip, one commit.
        let append = "WITH fenced AS (
                        UPDATE saga SET token = $4, entries = $3 + 1, outcome = $6
                        WHERE name = $1 AND id = $2 AND token <= $4 AND entries = $3
                        RETURNING 1)
                      INSERT INTO saga_entry (name, id, position, token, entry)
                      SELECT $1, $2, $3, $4, $5 FROM fenced RETURNING position";
        // ANCHOR_END: append
        let Line { saga, id, position, token } = line;
        let text = serde_json::to_string(entry).map_err(|error| Error::Failed(error.into()))?;
        let (position, token) = (place(position), column(token));
        let row = self
            .tables
            .row(append, &[&saga, &id, &position, &token, &text, &stands.map(Outcome::word)])
            .await?;
        match row {
            Some(_) => Ok(()),
            None => self.refusal(line, &text).await,
        }
    }

    async fn settle(&self, saga: &str, id: &str, token: u64, stands: Outcome) -> Result<(), Error> {
        let settle = "UPDATE saga SET token = $3, outcome = $4
                      WHERE name = $1 AND id = $2 AND token <= $3 RETURNING id";
        match self.tables.row(settle, &[&saga, &id, &column(token), &stands.word()]).await? {
            Some(_) => Ok(()),
            None => self.refusal(Line { saga, id, position: 0, token }, "").await,
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Unreadable(format!("{error}: {text}")))
}

/// PostgreSQL has no unsigned numbers. Tokens that it cannot hold are all taken for the highest that
/// it can.
fn column(token: u64) -> i64 {
    i64::try_from(token).unwrap_or(i64::MAX)
}

fn place(position: usize) -> i32 {
    i32::try_from(position).unwrap_or(i32::MAX)
}
