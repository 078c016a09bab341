//! What is done to the tables, each within somebody's transaction.

use shop_storage::sqlx::{self, Any, Row, Transaction};
use shop_storage::{Database, now};

use crate::{DeadLetter, Error, Reason, Subscription, topic};

type Change = Transaction<'static, Any>;

/// A message in a holder's hands.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) queue: String,
    pub(super) number: i64,
    pub(super) holder: String,
}

/// A message that was just taken.
pub(super) struct Taken {
    pub(super) message: Message,
    pub(super) body: String,
    pub(super) attempt: u32,
}

fn dead(queue: &str) -> String {
    format!("{queue}.dlq")
}

pub(super) async fn declare(
    change: &mut Change,
    subscription: &Subscription<'_>,
) -> Result<(), Error> {
    let Subscription { queue, bindings, deliveries, .. } = *subscription;
    let kept: i64 = sqlx::query_scalar(
        "INSERT INTO queues (name, deliveries) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET deliveries = queues.deliveries RETURNING deliveries",
    )
    .bind(queue)
    .bind(i64::from(deliveries))
    .fetch_one(&mut **change)
    .await?;
    if kept != i64::from(deliveries) {
        let differs =
            format!("`{queue}` delivers {kept} times, and is to deliver {deliveries} times");
        return Err(Error::Defect(differs.into()));
    }
    for pattern in bindings {
        sqlx::query("INSERT INTO bindings (queue, pattern) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(queue)
            .bind(*pattern)
            .execute(&mut **change)
            .await?;
    }
    Ok(())
}

/// The queues that want a type. Reads alone: what nobody wants is to disturb nobody. A queue keeps its
/// bindings, so those that are found still hold when something is put into them.
pub(super) async fn wanting(database: &Database, kind: &str) -> Result<Vec<String>, Error> {
    let bindings: Vec<(String, String)> =
        sqlx::query_as("SELECT queue, pattern FROM bindings ORDER BY queue")
            .fetch_all(database.reader())
            .await?;
    let wanting = bindings.into_iter().filter(|(_, pattern)| topic::matches(pattern, kind));
    let mut queues: Vec<_> = wanting.map(|(queue, _)| queue).collect();
    queues.dedup();
    Ok(queues)
}

/// Puts a body into each of these.
pub(super) async fn put(change: &mut Change, queues: &[String], body: &str) -> Result<(), Error> {
    let number = count_change(change).await?;
    for queue in queues {
        sqlx::query("INSERT INTO messages (queue, number, body, attempts) VALUES ($1, $2, $3, 0)")
            .bind(queue)
            .bind(number)
            .bind(body)
            .execute(&mut **change)
            .await?;
    }
    Ok(())
}

/// Whether somebody who looked would find something. Reads alone, so that looking disturbs nobody.
pub(super) async fn has_ready(database: &Database, queue: &str) -> Result<bool, Error> {
    let found =
        sqlx::query("SELECT number FROM messages WHERE queue = $1 AND holder IS NULL LIMIT 1")
            .bind(queue)
            .fetch_optional(database.reader())
            .await?;
    Ok(found.is_some())
}

/// How many messages nobody has.
pub(super) async fn depth(database: &Database, queue: &str) -> Result<u64, Error> {
    let waiting: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM messages WHERE queue = $1 AND holder IS NULL")
            .bind(queue)
            .fetch_one(database.reader())
            .await?;
    Ok(u64::try_from(waiting).unwrap_or(0))
}

/// What there is to know for those who wait and for those who clean up.
pub(super) struct Look {
    /// Grows with all that a waiting consumer may want to know of.
    pub(super) changes: i64,
    /// Who holds something of which queue: queue and holder.
    pub(super) held: Vec<(String, String)>,
}

pub(super) async fn look(database: &Database) -> Result<Look, Error> {
    // One question, so that there is one a round. Without anything held, there still is a row.
    let rows = sqlx::query(
        "SELECT last, queue, holder FROM changes LEFT JOIN
            (SELECT DISTINCT queue, holder FROM messages WHERE holder IS NOT NULL) AS held
         ON TRUE",
    )
    .fetch_all(database.reader())
    .await?;
    let mut look = Look { changes: 0, held: Vec::new() };
    for row in rows {
        look.changes = row.try_get("last")?;
        let (queue, holder) = (row.try_get("queue")?, row.try_get("holder")?);
        if let (Some(queue), Some(holder)) = (queue, holder) {
            look.held.push((queue, holder));
        }
    }
    Ok(look)
}

/// Counts a change, and gives its number.
async fn count_change(change: &mut Change) -> Result<i64, Error> {
    let counted = sqlx::query_scalar("UPDATE changes SET last = last + 1 RETURNING last");
    Ok(counted.fetch_one(&mut **change).await?)
}

/// Takes the oldest message that nobody has.
pub(super) async fn take(
    change: &mut Change,
    queue: &str,
    holder: &str,
) -> Result<Option<Taken>, Error> {
    let row = sqlx::query(
        "UPDATE messages SET holder = $2, attempts = attempts + 1
         WHERE queue = $1 AND number =
            (SELECT number FROM messages WHERE queue = $1 AND holder IS NULL
             ORDER BY number LIMIT 1)
         RETURNING number, body, attempts",
    )
    .bind(queue)
    .bind(holder)
    .fetch_optional(&mut **change)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let message = Message {
        queue: queue.to_owned(),
        number: row.try_get("number")?,
        holder: holder.to_owned(),
    };
    let attempt = count(row.try_get("attempts")?);
    Ok(Some(Taken { message, body: row.try_get("body")?, attempt }))
}

/// Forgets a message that its holder is done with.
pub(super) async fn acknowledge(change: &mut Change, message: &Message) -> Result<(), Error> {
    let gone = sqlx::query("DELETE FROM messages WHERE queue = $1 AND number = $2 AND holder = $3")
        .bind(&message.queue)
        .bind(message.number)
        .bind(&message.holder)
        .execute(&mut **change)
        .await?;
    if gone.rows_affected() == 1 { Ok(()) } else { Err(Error::Lost) }
}

/// Puts a message back into its queue, or, if it was delivered often enough, into the dead-letter
/// queue. Says whether it was still its holder's.
pub(super) async fn release(change: &mut Change, message: &Message) -> Result<bool, Error> {
    let spent: Option<i64> = sqlx::query_scalar(
        "SELECT number FROM messages WHERE queue = $1 AND number = $2 AND holder = $3
         AND attempts >= (SELECT deliveries FROM queues WHERE name = $1)",
    )
    .bind(&message.queue)
    .bind(message.number)
    .bind(&message.holder)
    .fetch_optional(&mut **change)
    .await?;
    if spent.is_some() {
        bury(change, message, Reason::DeliveryLimit).await?;
        return Ok(true);
    }
    let free = sqlx::query(
        "UPDATE messages SET holder = NULL WHERE queue = $1 AND number = $2 AND holder = $3",
    )
    .bind(&message.queue)
    .bind(message.number)
    .bind(&message.holder)
    .execute(&mut **change)
    .await?;
    count_change(change).await?;
    Ok(free.rows_affected() == 1)
}

/// Puts everything back that a holder had of a queue.
pub(super) async fn release_all(
    change: &mut Change,
    queue: &str,
    holder: &str,
) -> Result<(), Error> {
    let numbers: Vec<i64> =
        sqlx::query_scalar("SELECT number FROM messages WHERE queue = $1 AND holder = $2")
            .bind(queue)
            .bind(holder)
            .fetch_all(&mut **change)
            .await?;
    for number in numbers {
        let (queue, holder) = (queue.to_owned(), holder.to_owned());
        release(change, &Message { queue, number, holder }).await?;
    }
    Ok(())
}

/// Moves a message to the dead-letter queue.
pub(super) async fn bury(
    change: &mut Change,
    message: &Message,
    reason: Reason,
) -> Result<(), Error> {
    let moved = sqlx::query(
        "UPDATE messages SET queue = $4, holder = NULL, reason = $5, died_at = $6
         WHERE queue = $1 AND number = $2 AND holder = $3",
    )
    .bind(&message.queue)
    .bind(message.number)
    .bind(&message.holder)
    .bind(dead(&message.queue))
    .bind(reason.as_str())
    .bind(now())
    .execute(&mut **change)
    .await?;
    if moved.rows_affected() == 1 { Ok(()) } else { Err(Error::Lost) }
}

pub(super) async fn dead_letters(
    database: &Database,
    queue: &str,
) -> Result<Vec<DeadLetter>, Error> {
    let rows = sqlx::query(
        "SELECT body, attempts, reason, died_at FROM messages
         WHERE queue = $1 AND reason IS NOT NULL ORDER BY died_at, number",
    )
    .bind(dead(queue))
    .fetch_all(database.reader())
    .await?;
    rows.iter()
        .map(|row| {
            let reason: String = row.try_get("reason")?;
            let unknown = || Error::Defect(format!("`{reason}` is no reason to die").into());
            Ok(DeadLetter {
                body: row.try_get("body")?,
                attempts: Some(count(row.try_get("attempts")?)),
                reason: Reason::parse(&reason).ok_or_else(unknown)?,
                at: row.try_get("died_at")?,
            })
        })
        .collect()
}

/// Moves everything from the dead-letter queue back. The numbers stay, so what was published first
/// is delivered first.
pub(super) async fn redrive(change: &mut Change, queue: &str) -> Result<u64, Error> {
    let moved = sqlx::query(
        "UPDATE messages SET queue = $1, attempts = 0, reason = NULL, died_at = NULL
         WHERE queue = $2 AND reason IS NOT NULL AND holder IS NULL",
    )
    .bind(queue)
    .bind(dead(queue))
    .execute(&mut **change)
    .await?;
    count_change(change).await?;
    Ok(moved.rows_affected())
}

fn count(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(u32::MAX)
}
