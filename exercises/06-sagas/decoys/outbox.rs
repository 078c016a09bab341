//! Wrong answers to the outbox, as people write them in good faith. The head of each says what is
//! wrong and which check finds out.

mod adding;
mod publishing;
mod reading;
mod taking_turns;

use adding::*;
use deadpool_postgres::tokio_postgres::types::Type;
use deadpool_postgres::tokio_postgres::{Row, Transaction};
use grading::Decoy;
use messaging::Message;
use messaging::confirms::{NotConfirmed, Publisher};
use publishing::*;
use reading::*;
use sagas::outbox::{Connections, Error, Forwarded, Options, Outbox, Turn, sendable};
use sagas_exercises::outbox::check;
use std::collections::BTreeSet;
use std::future::Future;
use taking_turns::*;
use tokio::time::{Instant, timeout_at};

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    grading::decoys![check as Whole;
        OnItsOwnConnection: still_open,
        KeptUntilAsked: rolled_back,
        InMemoryOnceCommitted: killed_writer,
        BodyIsText: as_it_was,
        ForgetsTheEnvelope: as_it_was,
        TakesWhatComes: unsendable,
        IdAfterTheLast: commit_gap,
        TimeAfterTheLast: commit_gap,
        BelowTheOldestOpen: open_elsewhere,
        ByTransactionNumber: who_waited,
        ByTime: who_waited,
        LocksTheTable: adding_goes_on,
        ByMessageId: in_order,
        AllThereIs: in_order,
        PipelinesTheBatch: one_after_the_other,
        SkipsTheRefused: one_after_the_other,
        NoneIsFree: one_after_the_other,
        StopsAtTheFirst: others_go_on,
        BatchOfTheStuck: others_go_on,
        AtOnceAgain: pauses,
        CountsWhatItTried: what_came_of_it,
        IgnoresTheConfirm: published_again,
        ANewIdEachTime: published_again,
        TriesForEver: parked,
        LostWithoutATrace: parked,
        ParksWhileTheBrokerIsAway: broker_away,
        ClaimsThenPublishes: cut_anywhere,
        DeletesThenPublishes: killed_relay,
        ConnectsOnce: killed_sessions,
        PatientWithPostgres: postgres_stalls,
        PatientWithTheBroker: broker_hangs,
        AsLongForEach: broker_hangs,
        BusyFlag: dropped_relay,
        NoTurns: two_relays,
        SkipsTheLocked: two_relays,
        LocksWhileItReads: two_relays,
        TurnOfTheSession: stopped_relay,
    ]
}

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
    /// Whether those behind one that was not confirmed wait.
    const WAITS: bool = true;

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
    way: W,
    url: String,
    connections: Connections,
    options: Options,
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
    fn batch(&self) -> i64 {
        self.options.batch as i64
    }

    /// A transaction that has the turn.
    async fn turn(&self) -> Result<Option<Turn>, Error> {
        let turn = self.connections.begin().await?;
        let limit = (self.options.turn * 2).as_millis().to_string();
        let idle = "SELECT set_config('idle_in_transaction_session_timeout', $1, true)";
        turn.query(idle, &[&limit]).await?;
        if W::TURN.is_empty() || turn.query(W::TURN, &[]).await?[0].get(0) {
            return Ok(Some(turn));
        }
        turn.commit().await?;
        Ok(None)
    }

    async fn one_by_one<P: Publisher>(
        &self,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let mut done = Forwarded::default();
        let Some(turn) = self.turn().await? else { return Ok(done) };
        let rows = turn.query(W::READ, &[&self.batch()]).await?;
        let until = Instant::now() + self.options.turn;
        let mut stuck = BTreeSet::new();
        for row in &rows {
            let (id, message) = (row.get::<_, i64>("id"), W::publishes(read(row)));
            let correlation = message.correlation.clone().unwrap_or_default();
            if W::WAITS && stuck.contains(&correlation) {
                continue;
            }
            let publishing = publisher.publish(exchange, &message);
            let Ok(answer) = timeout_at(until, publishing).await else { break };
            match W::judge(&answer) {
                Verdict::Sent => {
                    turn.execute("UPDATE outbox SET sent_at = now() WHERE id = $1", &[&id]).await?;
                    done.sent += 1;
                    continue;
                }
                Verdict::Counts if row.get::<_, i32>("attempts") + 1 >= self.attempts() => {
                    turn.execute(W::PARK, &[&id]).await?;
                    done.parked += 1;
                }
                Verdict::Counts => {
                    self.rest(&turn, id, 1).await?;
                    done.refused += 1;
                }
                Verdict::Rests => {
                    self.rest(&turn, id, 0).await?;
                    done.refused += 1;
                }
                Verdict::Again => done.unknown += 1,
            }
            stuck.insert(correlation);
        }
        turn.commit().await?;
        Ok(done)
    }

    fn attempts(&self) -> i32 {
        self.options.attempts as i32
    }

    async fn rest(&self, turn: &Turn, id: i64, counts: i32) -> Result<(), Error> {
        let pause = self.options.pause.as_millis() as i64;
        let rest = "UPDATE outbox SET attempts = attempts + $2,
                    retry_at = clock_timestamp() + $3::bigint * interval '1 millisecond'
                    WHERE id = $1";
        turn.execute(rest, &[&id, &counts, &pause]).await.map(drop)
    }
}

fn read(row: &Row) -> Message {
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

async fn insert(transaction: &Transaction<'_>, message: &Message) -> Result<(), Error> {
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
