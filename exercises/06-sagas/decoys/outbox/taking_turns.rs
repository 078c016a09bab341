//! Mistakes in whose turn it is, in when it is marked, and in the connection.

use super::*;
use deadpool_postgres::tokio_postgres::{self, Client, NoTls};
use tokio::sync::OnceCell;

/// Marks first, so that no other relay takes them, then publishes, and takes the mark back where that
/// fails. Who dies in between takes nothing back. Rejected by `cut_anywhere`.
#[derive(Default)]
pub struct ClaimsThenPublishes;

impl Way for ClaimsThenPublishes {
    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let mut done = Forwarded::default();
        let Some(turn) = parts.turn().await? else { return Ok(done) };
        let rows = turn.query(Self::READ, &[&parts.batch()]).await?;
        let ids: Vec<i64> = rows.iter().map(|row| row.get("id")).collect();
        turn.execute("UPDATE outbox SET sent_at = now() WHERE id = ANY($1)", &[&ids]).await?;
        turn.commit().await?;
        let mut back = Vec::new();
        for row in &rows {
            if !back.is_empty() || publisher.publish(exchange, &read(row)).await.is_err() {
                back.push(row.get::<_, i64>("id"));
                continue;
            }
            done.sent += 1;
        }
        if !back.is_empty() {
            let turn = parts.connections.begin().await?;
            turn.execute("UPDATE outbox SET sent_at = NULL WHERE id = ANY($1)", &[&back]).await?;
            turn.commit().await?;
        }
        Ok(done)
    }
}

/// A queue in a table: takes the rows out, and publishes them. A relay that dies takes them along.
/// Rejected by `killed_relay`.
#[derive(Default)]
pub struct DeletesThenPublishes;

impl Way for DeletesThenPublishes {
    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let mut done = Forwarded::default();
        let Some(turn) = parts.turn().await? else { return Ok(done) };
        let take = "
            WITH taken AS (
                DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT $1)
                RETURNING *)
            SELECT id, message, key, correlation, content_type, headers::text, body
            FROM taken ORDER BY id";
        let rows = turn.query(take, &[&parts.batch()]).await?;
        turn.commit().await?;
        for row in &rows {
            let message = read(row);
            while publisher.publish(exchange, &message).await.is_err() {
                tokio::time::sleep(parts.options.pause).await;
            }
            done.sent += 1;
        }
        Ok(done)
    }
}

/// One connection, made once, for as long as the process lives. It lives longer. Rejected by
/// `killed_sessions`.
#[derive(Default)]
pub struct ConnectsOnce(OnceCell<Client>);

/// What [`ConnectsOnce`] and [`PatientWithPostgres`] have in common.
async fn over<P: Publisher>(
    client: &Client,
    batch: i64,
    exchange: &str,
    publisher: &P,
) -> Result<Forwarded, Error> {
    let mut done = Forwarded::default();
    let rows = client.query(<TriesForEver as Way>::READ, &[&batch]).await?;
    for row in &rows {
        if publisher.publish(exchange, &read(row)).await.is_err() {
            done.unknown += 1;
            break;
        }
        let id: i64 = row.get("id");
        client.execute("UPDATE outbox SET sent_at = now() WHERE id = $1", &[&id]).await?;
        done.sent += 1;
    }
    Ok(done)
}

async fn connect(url: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(client)
}

impl Way for ConnectsOnce {
    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let client = parts.way.0.get_or_try_init(async || connect(&parts.url).await);
        over(client.await?, parts.batch(), exchange, publisher).await
    }
}

/// No limit to any answer of PostgreSQL's. Rejected by `postgres_stalls`.
#[derive(Default)]
pub struct PatientWithPostgres;

impl Way for PatientWithPostgres {
    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        over(&connect(&parts.url).await?, parts.batch(), exchange, publisher).await
    }
}

/// Who else should be running? At the next deployment, the old one and the new one for a minute.
/// Rejected by `two_relays`.
#[derive(Default)]
pub struct NoTurns;

impl Way for NoTurns {
    const TURN: &'static str = "";
}

/// Each relay takes what no other has taken, as workers do with jobs. But jobs have no order.
/// Rejected by `two_relays`.
#[derive(Default)]
pub struct SkipsTheLocked;

impl Way for SkipsTheLocked {
    const TURN: &'static str = "";
    const READ: &'static str = "
        SELECT id, message, key, correlation, content_type, headers::text, body, attempts
        FROM outbox WHERE sent_at IS NULL AND parked IS NULL
        ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED";
}

/// Takes the lock in the statement that reads: one round trip less. It waits there for the other
/// relay, and then reads what was there before it waited. Rejected by `two_relays`.
#[derive(Default)]
pub struct LocksWhileItReads;

impl Way for LocksWhileItReads {
    const TURN: &'static str = "";
    const READ: &'static str = "
        WITH mine AS MATERIALIZED (SELECT pg_advisory_xact_lock(7) IS NOT NULL AS mine)
        SELECT id, message, key, correlation, content_type, headers::text, body, attempts
        FROM mine, outbox WHERE mine.mine AND sent_at IS NULL AND parked IS NULL
        ORDER BY id LIMIT $1";
}

/// A lock of the session's, on a connection of its own, so that no transaction is open while the
/// broker is waited for. Whoever is stopped keeps it: a session that does nothing is no reason for
/// PostgreSQL to end it. Rejected by `stopped_relay`.
#[derive(Default)]
pub struct TurnOfTheSession;

impl Way for TurnOfTheSession {
    const TURN: &'static str = "";

    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let session = connect(&parts.url).await?;
        let mine = session.query_one("SELECT pg_try_advisory_lock(7)", &[]).await?;
        if !mine.get::<_, bool>(0) {
            return Ok(Forwarded::default());
        }
        let publishing = over(&session, parts.batch(), exchange, publisher);
        match tokio::time::timeout(parts.options.turn, publishing).await {
            Ok(done) => done,
            Err(_) => Ok(Forwarded { unknown: 1, ..Forwarded::default() }),
        }
    }
}

/// Locks the table: then no other relay can come in between. Nor can an order, for as long as the
/// broker takes. Rejected by `adding_goes_on`.
#[derive(Default)]
pub struct LocksTheTable;

impl Way for LocksTheTable {
    const TURN: &'static str = "";

    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let mut done = Forwarded::default();
        let Some(turn) = parts.turn().await? else { return Ok(done) };
        turn.execute("LOCK TABLE outbox IN EXCLUSIVE MODE", &[]).await?;
        for row in &turn.query(Self::READ, &[&parts.batch()]).await? {
            let message = read(row);
            let publishing = publisher.publish(exchange, &message);
            match tokio::time::timeout(parts.options.turn, publishing).await {
                Ok(Ok(())) => done.sent += 1,
                _ => break,
            }
            let id: i64 = row.get("id");
            turn.execute("UPDATE outbox SET sent_at = now() WHERE id = $1", &[&id]).await?;
        }
        turn.commit().await?;
        Ok(done)
    }
}

/// Remembers that it is at it, so that two timers of one process do not publish at once, and forgets
/// it in the last line. A call that is dropped never comes to that line. Rejected by `dropped_relay`.
#[derive(Default)]
pub struct BusyFlag(std::sync::atomic::AtomicBool);

impl Way for BusyFlag {
    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        if parts.way.0.swap(true, std::sync::atomic::Ordering::SeqCst) {
            return Ok(Forwarded::default());
        }
        let done = parts.one_by_one(exchange, publisher).await;
        parts.way.0.store(false, std::sync::atomic::Ordering::SeqCst);
        done
    }
}

/// Reads first, and asks for the turn only if there is something to do: an empty outbox costs one
/// statement. When the turn is its own, another may have sent what it has read. Rejected by
/// `held_anywhere`.
#[derive(Default)]
pub struct ReadsBeforeItsTurn;

impl Way for ReadsBeforeItsTurn {
    const READS_FIRST: bool = true;
}

/// Gives the turn away before it marks, so that no lock is held while it writes. In between another
/// reads what is confirmed and not marked. Rejected by `held_anywhere`.
#[derive(Default)]
pub struct MarksAfterItsTurn;

impl Way for MarksAfterItsTurn {
    const MARKS_LATER: bool = true;
}
