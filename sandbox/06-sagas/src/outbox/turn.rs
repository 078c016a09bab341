//! One turn of a relay: read, publish, wait for the confirms, mark.

use super::{Connections, Error, Forwarded, Options, Turn};
use deadpool_postgres::tokio_postgres::Row;
use messaging::Message;
use messaging::confirms::{NotConfirmed, Publisher};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// With this, the number of the lock; the other half is the table's own, so that two outboxes in one
/// database do not wait for each other.
const LOCK: i32 = 0x6F_75_74; // "out"

pub(super) async fn take<P: Publisher>(
    connections: &Connections,
    options: &Options,
    exchange: &str,
    publisher: &P,
) -> Result<Forwarded, Error> {
    let turn = connections.begin().await?;
    if !is_ours(&turn, options).await? {
        turn.commit().await?;
        return Ok(Forwarded::default());
    }
    let mut outcome = Outcome::default();
    let waiting = waiting(&turn, options).await?;
    if !waiting.is_empty() {
        // What was confirmed until then is marked, so that the next turn is further on.
        let publishing = publish(exchange, publisher, waiting, &mut outcome);
        let _ = tokio::time::timeout(options.turn, publishing).await;
    }
    let parked = mark(&turn, options, &outcome).await?;
    turn.commit().await?;
    let Outcome { sent, refused, unknown } = outcome;
    let (sent, refused, unknown) = (sent.len(), refused.len() - parked, unknown.len());
    Ok(Forwarded { sent, refused, parked, unknown })
}

// ANCHOR: turn
/// Whether this relay has the turn now. It ends with the transaction, so at once when the relay is
/// killed. One that is stopped would keep it; therefore the server ends a transaction in which
/// nothing was asked for twice as long as a turn may take.
///
/// In a statement of its own: a statement sees what was committed before it began. Were the lock
/// taken in the one that reads, this could see messages as waiting which the relay before has marked
/// until the lock was free.
///
/// Until something is marked, the transaction has changed nothing and has no number, so nobody who asks
/// for the oldest open transaction waits for it. VACUUM may, for as long as a turn takes.
async fn is_ours(turn: &Turn, options: &Options) -> Result<bool, Error> {
    let take = "SELECT set_config('idle_in_transaction_session_timeout', $1, true),
                       pg_try_advisory_xact_lock($2, 'outbox'::regclass::oid::int)";
    let limit = (options.turn * 2).as_millis().to_string();
    let answer = turn.query(take, &[&limit, &LOCK]).await?;
    Ok(answer.first().is_some_and(|row| row.get(1)))
}
// ANCHOR_END: turn

/// A message that was committed and not sent.
struct Waiting {
    id: i64,
    message: Message,
}

// ANCHOR: waiting
/// The oldest that are not sent. There is no "after the last one": numbers are drawn before the
/// commit, so a lower one may appear after a higher one was sent.
///
/// A correlation whose first message was given back rests for a while, and is then represented by that
/// message alone; one of whose first message nobody knows does not rest. So neither fills the batch
/// with what cannot go on, and keeps others out.
async fn waiting(turn: &Turn, options: &Options) -> Result<Vec<Waiting>, Error> {
    let waiting = "SELECT id, message, key, correlation, content_type, headers::text, body
                   FROM outbox WHERE sent_at IS NULL AND parked IS NULL
                   AND NOT EXISTS (
                       SELECT FROM outbox AS held WHERE held.retry_at IS NOT NULL
                       AND held.sent_at IS NULL AND held.parked IS NULL
                       AND coalesce(held.correlation, '') = coalesce(outbox.correlation, '')
                       AND (held.retry_at > now() OR held.id < outbox.id))
                   ORDER BY id LIMIT $1";
    // ANCHOR_END: waiting
    let batch = i64::try_from(options.batch.max(1)).unwrap_or(i64::MAX);
    Ok(turn.query(waiting, &[&batch]).await?.iter().map(Waiting::read).collect())
}

impl Waiting {
    fn read(row: &Row) -> Waiting {
        let headers: BTreeMap<String, String> =
            serde_json::from_str(row.get("headers")).unwrap_or_default();
        let message = Message {
            id: row.get("message"),
            key: row.get("key"),
            correlation: row.get("correlation"),
            content_type: row.get("content_type"),
            headers,
            body: row.get("body"),
        };
        Waiting { id: row.get("id"), message }
    }

    fn correlation(&self) -> String {
        self.message.correlation.clone().unwrap_or_default()
    }
}

/// What has become of a batch so far.
#[derive(Default)]
struct Outcome {
    sent: Vec<i64>,
    refused: Vec<Refused>,
    /// On their way, or nobody knows.
    unknown: Vec<i64>,
}

struct Refused {
    id: i64,
    reason: String,
    /// No queue wants it. A broker that is full, in contrast, will be less so.
    unwanted: bool,
}

// ANCHOR: publish
/// Publishes in rounds: the first message of each correlation together, then the second of each. So
/// the confirms of many are awaited at once, and still no message is under way before the one in
/// front of it is safe: were both sent, the broker could refuse the first and take the second.
///
/// It is this, and not the lock, that keeps the order when two relays work at once, because one was
/// stopped and has woken too late: each publishes a message after it has seen the one before
/// confirmed, or marked by another. What it repeats then is known to all inboxes.
async fn publish<P: Publisher>(
    exchange: &str,
    publisher: &P,
    mut left: Vec<Waiting>,
    outcome: &mut Outcome,
) {
    while !left.is_empty() && outcome.unknown.is_empty() {
        let mut begun = BTreeSet::new();
        let (round, behind): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|waiting| begun.insert(waiting.correlation()));
        let (ids, messages): (Vec<i64>, Vec<Message>) =
            round.into_iter().map(|waiting| (waiting.id, waiting.message)).unzip();
        // Whether they are there is for the next turn to make sure: by publishing them again.
        outcome.unknown.clone_from(&ids);
        let answers = publisher.publish_all(exchange, &messages).await;
        outcome.unknown.clear();
        let mut stuck = BTreeSet::new();
        for ((id, message), answer) in ids.into_iter().zip(messages).zip(answers) {
            let unwanted = matches!(answer, Err(NotConfirmed::Unroutable { .. }));
            match answer {
                Ok(()) => outcome.sent.push(id),
                Err(NotConfirmed::Unknown(_)) => outcome.unknown.push(id),
                Err(no) => {
                    outcome.refused.push(Refused { id, reason: no.to_string(), unwanted });
                    stuck.insert(message.correlation.unwrap_or_default());
                }
            }
        }
        left = behind;
        left.retain(|waiting| !stuck.contains(&waiting.correlation()));
    }
}
// ANCHOR_END: publish

/// Writes down what was confirmed, and what was not. How many were parked.
async fn mark(turn: &Turn, options: &Options, outcome: &Outcome) -> Result<usize, Error> {
    if !outcome.sent.is_empty() {
        let sent = "UPDATE outbox SET sent_at = clock_timestamp() WHERE id = ANY($1)";
        turn.execute(sent, &[&outcome.sent]).await?;
    }
    if !outcome.unknown.is_empty() {
        let unknown = "UPDATE outbox SET retry_at = clock_timestamp()
                       WHERE id = ANY($1) AND retry_at IS NULL";
        turn.execute(unknown, &[&outcome.unknown]).await?;
    }
    if outcome.refused.is_empty() {
        return Ok(0);
    }
    let refused = "
        UPDATE outbox
        SET attempts = attempts + unwanted::int,
            retry_at = clock_timestamp() + $4::bigint * interval '1 millisecond',
            parked = CASE WHEN unwanted AND attempts + 1 >= $5 THEN reason END
        FROM unnest($1::bigint[], $2::text[], $3::boolean[]) AS told (of, reason, unwanted)
        WHERE id = told.of
        RETURNING parked IS NOT NULL";
    let ids: Vec<i64> = outcome.refused.iter().map(|refused| refused.id).collect();
    let reasons: Vec<&str> = outcome.refused.iter().map(|refused| &*refused.reason).collect();
    let unwanted: Vec<bool> = outcome.refused.iter().map(|refused| refused.unwanted).collect();
    let attempts = i32::try_from(options.attempts).unwrap_or(i32::MAX);
    let pause = millis(options.pause);
    let rows = turn.query(refused, &[&ids, &reasons, &unwanted, &pause, &attempts]).await?;
    Ok(rows.iter().filter(|row| row.get(0)).count())
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
