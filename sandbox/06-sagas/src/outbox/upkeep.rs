//! What an outbox needs beside its relay: somebody who clears away, and somebody who looks.

use super::turn::millis;
use super::{Error, PgOutbox};
use std::time::Duration;

/// How the outbox stands: what to watch, and when to call somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Committed, and neither sent nor parked.
    pub waiting: u64,
    /// For how long the oldest of them has waited: the figure for the alarm.
    pub oldest: Duration,
    /// For a person to look at.
    pub parked: u64,
}

/// A message that no queue wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The message's own id.
    pub message: String,
    /// Its routing key.
    pub key: String,
    /// What the broker said.
    pub reason: String,
}

impl PgOutbox {
    /// How the outbox stands. It counts every waiting row: ask once in some seconds.
    ///
    /// # Errors
    /// Any but [`Error::Unsendable`].
    pub async fn backlog(&self) -> Result<Backlog, Error> {
        let count = "SELECT count(*) FILTER (WHERE parked IS NULL),
                            (extract(epoch FROM max(clock_timestamp() - added_at)
                                FILTER (WHERE parked IS NULL)) * 1000)::bigint,
                            count(parked)
                     FROM outbox WHERE sent_at IS NULL";
        let turn = self.connections.begin().await?;
        let rows = turn.query(count, &[]).await?;
        turn.commit().await?;
        let row = rows.first();
        let number = |column| row.and_then(|row| row.get::<_, Option<i64>>(column)).unwrap_or(0);
        let positive = |column| u64::try_from(number(column)).unwrap_or(0);
        let oldest = Duration::from_millis(positive(1));
        Ok(Backlog { waiting: positive(0), oldest, parked: positive(2) })
    }

    /// What is parked, the oldest first, at most `many`.
    ///
    /// # Errors
    /// Any but [`Error::Unsendable`].
    pub async fn parked(&self, many: u32) -> Result<Vec<Parked>, Error> {
        let look = "SELECT message, key, parked FROM outbox
                    WHERE sent_at IS NULL AND parked IS NOT NULL ORDER BY id LIMIT $1";
        let turn = self.connections.begin().await?;
        let rows = turn.query(look, &[&i64::from(many)]).await?;
        turn.commit().await?;
        let read = rows.iter();
        let read =
            read.map(|row| Parked { message: row.get(0), key: row.get(1), reason: row.get(2) });
        Ok(read.collect())
    }

    /// Has a parked message tried again, now that somebody wants it. It comes late: those behind it
    /// have gone on. Whether there was such a one.
    ///
    /// # Errors
    /// Any but [`Error::Unsendable`].
    pub async fn resume(&self, message: &str) -> Result<bool, Error> {
        let resume = "UPDATE outbox SET parked = NULL, retry_at = NULL, attempts = 0
                      WHERE message = $1 AND sent_at IS NULL AND parked IS NOT NULL";
        let turn = self.connections.begin().await?;
        let resumed = turn.execute(resume, &[&message]).await?;
        turn.commit().await?;
        Ok(resumed > 0)
    }

    /// Deletes what was sent longer ago than `keep`, at most a thousand rows; how many. Have it
    /// called once in a while, again at once as long as it finds a thousand.
    ///
    /// It looks at the first thousand rows that are not parked, and no further, so it costs little
    /// where there is nothing to do.
    ///
    /// # Errors
    /// Any but [`Error::Unsendable`].
    pub async fn sweep(&self, keep: Duration) -> Result<u64, Error> {
        let sweep = "DELETE FROM outbox WHERE id IN (
                         SELECT id FROM (SELECT id, sent_at FROM outbox WHERE parked IS NULL
                                         ORDER BY id LIMIT 1000) AS oldest
                         WHERE sent_at < clock_timestamp() - $1::bigint * interval '1 millisecond')";
        let turn = self.connections.begin().await?;
        let swept = turn.execute(sweep, &[&millis(keep)]).await?;
        turn.commit().await?;
        Ok(swept)
    }
}
