//! The parts of an answer as they should be.

use super::*;
use deadpool_postgres::tokio_postgres::types::Type;
use tokio::time::timeout_at;

/// What the decoys have in common: the parts as they should be, of which each gets one wrong. One
/// message after the other, which is slow, and right.
pub trait Way: Default + Send + Sync + Sized + 'static {
    /// Reads the next ones; `$1` is how many.
    const READ: &'static str = "
        SELECT id, message, key, correlation, content_type, headers::text, body, attempts
        FROM outbox WHERE sent_at IS NULL AND parked IS NULL
        AND NOT EXISTS (
            SELECT FROM outbox AS held WHERE held.retry_at IS NOT NULL
            AND held.sent_at IS NULL AND held.parked IS NULL
            AND coalesce(held.correlation, '') = coalesce(outbox.correlation, '')
            AND (held.retry_at > now() OR held.id < outbox.id))
        ORDER BY id LIMIT $1";
    /// Answers whether the turn is ours; none is asked where this is empty.
    const TURN: &'static str = "SELECT pg_try_advisory_xact_lock(7)";
    /// Whether it reads before it knows that the turn is its own.
    const READS_FIRST: bool = false;
    /// Whether those behind one that was not confirmed wait.
    const WAITS: bool = true;
    /// Whether it leaves the others for later when of one nobody knows.
    const ENDS_WHEN_UNKNOWN: bool = false;
    /// Whether one of which nobody knows keeps those behind it out of the next batch.
    const KNOWS_WHAT_IS_UNKNOWN: bool = true;
    /// Whether it marks in a transaction of its own, when the turn is over.
    const MARKS_LATER: bool = false;
    /// Whether each message may take as long as the whole turn.
    const AS_LONG_FOR_EACH: bool = false;
    /// What a refusal counts for on the way to being parked.
    const REFUSAL_COUNTS: i32 = 0;

    /// Adds.
    fn add(
        parts: &Whole<Self>,
        transaction: &Transaction<'_>,
        message: &Message,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        let _ = parts;
        async move {
            sendable(message)?;
            insert(transaction, message).await
        }
    }

    /// Forwards.
    fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> impl Future<Output = Result<Forwarded, Error>> + Send {
        parts.one_by_one(exchange, publisher)
    }

    /// What follows from what the broker said.
    fn judge(answer: &Result<(), NotConfirmed>) -> Verdict {
        match answer {
            Ok(()) => Verdict::Sent,
            Err(NotConfirmed::Unroutable { .. }) => Verdict::Counts,
            Err(NotConfirmed::Refused) => Verdict::Rests,
            Err(NotConfirmed::Unknown(_)) => Verdict::Again,
        }
    }

    /// The message as it is published.
    fn publishes(message: Message) -> Message {
        message
    }

    /// One has been given back for the last time.
    const PARK: &'static str = "UPDATE outbox SET parked = 'no queue wants it' WHERE id = $1";

    /// What is next.
    fn rows(
        parts: &Whole<Self>,
        turn: &Turn,
    ) -> impl Future<Output = Result<Vec<Row>, Error>> + Send {
        async move { turn.query(Self::READ, &[&parts.batch()]).await }
    }

    /// One was confirmed.
    fn sent(
        parts: &Whole<Self>,
        turn: &Turn,
        id: i64,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        let _ = parts;
        async move {
            let mark = "UPDATE outbox SET sent_at = clock_timestamp() WHERE id = $1";
            turn.execute(mark, &[&id]).await.map(drop)
        }
    }

    /// One was not, and rests. What that counts for.
    fn rest(
        parts: &Whole<Self>,
        turn: &Turn,
        row: &Row,
        counts: i32,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        parts.rest(turn, row.get("id"), counts)
    }

    /// How often this one was given back before.
    fn given_back(parts: &Whole<Self>, row: &Row) -> i32 {
        let _ = parts;
        row.get("attempts")
    }

    /// How often one may be given back.
    fn attempts(options: &Options) -> i32 {
        i32::try_from(options.attempts).unwrap_or(i32::MAX)
    }

    /// The pause, in milliseconds.
    fn pause(options: &Options) -> i64 {
        i64::try_from(options.pause.as_millis()).unwrap_or(i64::MAX)
    }

    /// How long it may be busy with the broker.
    fn busy(options: &Options) -> Duration {
        options.turn
    }

    /// It is over.
    fn end(turn: Turn) -> impl Future<Output = Result<(), Error>> + Send {
        turn.commit()
    }
}

pub enum Verdict {
    Sent,
    /// Later, and it counts.
    Counts,
    /// Later.
    Rests,
    /// At once.
    Again,
}

/// A whole answer, with one part of it as `W` thinks.
pub struct Whole<W> {
    pub way: W,
    pub url: String,
    pub connections: Connections,
    pub options: Options,
}

impl<W: Way> Outbox for Whole<W> {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        let connections = Connections::open(url, options.timeout)?;
        Ok(Whole { way: W::default(), url: url.to_owned(), connections, options })
    }

    async fn add(&self, transaction: &Transaction<'_>, message: &Message) -> Result<(), Error> {
        W::add(self, transaction, message).await
    }

    async fn forward<P: Publisher>(
        &self,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        W::forward(self, exchange, publisher).await
    }
}

impl<W: Way> Whole<W> {
    pub fn batch(&self) -> i64 {
        i64::try_from(self.options.batch).unwrap_or(i64::MAX)
    }

    /// A transaction that has the turn.
    pub async fn turn(&self) -> Result<Option<Turn>, Error> {
        let turn = self.begin().await?;
        if Self::is_ours(&turn).await? {
            return Ok(Some(turn));
        }
        turn.commit().await?;
        Ok(None)
    }

    /// A transaction that the server ends when its owner stands still.
    async fn begin(&self) -> Result<Turn, Error> {
        let turn = self.connections.begin().await?;
        let limit = (self.options.turn * 2).as_millis().to_string();
        let idle = "SELECT set_config('idle_in_transaction_session_timeout', $1, true)";
        turn.query(idle, &[&limit]).await?;
        Ok(turn)
    }

    async fn is_ours(turn: &Turn) -> Result<bool, Error> {
        Ok(W::TURN.is_empty() || turn.query(W::TURN, &[]).await?[0].get(0))
    }

    pub async fn one_by_one<P: Publisher>(
        &self,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let mut done = Forwarded::default();
        let mut turn = self.begin().await?;
        let mut rows = Vec::new();
        if W::READS_FIRST {
            rows = W::rows(self, &turn).await?;
        }
        if !Self::is_ours(&turn).await? {
            turn.commit().await?;
            return Ok(done);
        }
        if !W::READS_FIRST {
            rows = W::rows(self, &turn).await?;
        }
        let told = self.publish(&rows, exchange, publisher).await;
        if W::MARKS_LATER {
            turn.commit().await?;
            turn = self.connections.begin().await?;
        }
        for (row, verdict) in told {
            self.mark(&turn, row, &verdict, &mut done).await?;
        }
        W::end(turn).await?;
        Ok(done)
    }

    async fn publish<'rows, P: Publisher>(
        &self,
        rows: &'rows [Row],
        exchange: &str,
        publisher: &P,
    ) -> Vec<(&'rows Row, Verdict)> {
        let mut told = Vec::new();
        let mut until = Instant::now() + W::busy(&self.options);
        let mut stuck = BTreeSet::new();
        for row in rows {
            let message = W::publishes(read(row));
            let correlation = message.correlation.clone().unwrap_or_default();
            if W::WAITS && stuck.contains(&correlation) {
                continue;
            }
            if W::AS_LONG_FOR_EACH {
                until = Instant::now() + W::busy(&self.options);
            }
            let publishing = publisher.publish(exchange, &message);
            let Ok(answer) = timeout_at(until, publishing).await else {
                told.push((row, Verdict::Again));
                break;
            };
            let verdict = W::judge(&answer);
            let unknown = matches!(verdict, Verdict::Again);
            if !matches!(verdict, Verdict::Sent) {
                stuck.insert(correlation);
            }
            told.push((row, verdict));
            if unknown && W::ENDS_WHEN_UNKNOWN {
                break;
            }
        }
        told
    }

    async fn mark(
        &self,
        turn: &Turn,
        row: &Row,
        verdict: &Verdict,
        done: &mut Forwarded,
    ) -> Result<(), Error> {
        let id: i64 = row.get("id");
        match verdict {
            Verdict::Sent => {
                W::sent(self, turn, id).await?;
                done.sent += 1;
            }
            Verdict::Counts
                if W::given_back(self, row).saturating_add(1) >= W::attempts(&self.options) =>
            {
                turn.execute(W::PARK, &[&id]).await?;
                done.parked += 1;
            }
            Verdict::Counts => {
                W::rest(self, turn, row, 1).await?;
                done.refused += 1;
            }
            Verdict::Rests => {
                W::rest(self, turn, row, W::REFUSAL_COUNTS).await?;
                done.refused += 1;
            }
            Verdict::Again => {
                if W::KNOWS_WHAT_IS_UNKNOWN {
                    let held = "UPDATE outbox SET retry_at = clock_timestamp()
                                WHERE id = $1 AND retry_at IS NULL";
                    turn.execute(held, &[&id]).await?;
                }
                done.unknown += 1;
            }
        }
        Ok(())
    }

    pub async fn rest(&self, turn: &Turn, id: i64, counts: i32) -> Result<(), Error> {
        let rest = "UPDATE outbox SET attempts = attempts + $2,
                    retry_at = clock_timestamp() + $3::bigint * interval '1 millisecond'
                    WHERE id = $1";
        turn.execute(rest, &[&id, &counts, &W::pause(&self.options)]).await.map(drop)
    }
}

pub fn read(row: &Row) -> Message {
    let headers: Vec<(String, String)> = headers(row.get("headers"));
    Message {
        id: row.get("message"),
        key: row.get("key"),
        correlation: row.get("correlation"),
        content_type: row.get("content_type"),
        headers: headers.into_iter().collect(),
        body: row.get("body"),
    }
}

fn headers(json: &str) -> Vec<(String, String)> {
    let read: std::collections::BTreeMap<String, String> =
        serde_json::from_str(json).unwrap_or_default();
    read.into_iter().collect()
}

pub async fn insert(transaction: &Transaction<'_>, message: &Message) -> Result<(), Error> {
    let add = "INSERT INTO outbox (message, key, correlation, content_type, headers, body)
               VALUES ($1, $2, $3, $4, $5::text::jsonb, $6)";
    let headers = serde_json::to_string(&message.headers).expect("a map of texts");
    transaction
        .execute_typed(
            add,
            &[
                (&message.id, Type::TEXT),
                (&message.key, Type::TEXT),
                (&message.correlation, Type::TEXT),
                (&message.content_type, Type::TEXT),
                (&headers, Type::TEXT),
                (&message.body, Type::BYTEA),
            ],
        )
        .await?;
    Ok(())
}
