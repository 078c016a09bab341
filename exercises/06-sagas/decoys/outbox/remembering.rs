//! Mistakes in where something is kept: in a process, and another one knows nothing of it.

use super::*;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keeps what it has sent in a set of the process, and saves itself the UPDATE. After each deployment
/// everything goes out once more. Rejected by `two_processes`.
#[derive(Default)]
pub struct SentInMemory;

static SENT: Mutex<BTreeSet<(String, i64)>> = Mutex::new(BTreeSet::new());

impl SentInMemory {
    /// Which outbox it is, of all that this process has seen.
    async fn place(turn: &Turn) -> Result<String, Error> {
        let place = "SELECT concat_ws('/', pg_postmaster_start_time(), current_database(),
                                      'outbox'::regclass::oid)";
        Ok(turn.query(place, &[]).await?[0].get(0))
    }
}

impl Way for SentInMemory {
    async fn rows(parts: &Whole<Self>, turn: &Turn) -> Result<Vec<Row>, Error> {
        let place = Self::place(turn).await?;
        let of_here = |(of, _): &&(String, i64)| *of == place;
        let sent: Vec<i64> = hold(&SENT).iter().filter(of_here).map(|(_, id)| *id).collect();
        let read = "
            SELECT id, message, key, correlation, content_type, headers::text, body, attempts
            FROM outbox WHERE id <> ALL($2) AND parked IS NULL
            AND NOT EXISTS (
                SELECT FROM outbox AS held WHERE held.retry_at IS NOT NULL
                AND held.id <> ALL($2) AND held.parked IS NULL
                AND coalesce(held.correlation, '') = coalesce(outbox.correlation, '')
                AND (held.retry_at > now() OR held.id < outbox.id))
            ORDER BY id LIMIT $1";
        turn.query(read, &[&parts.batch(), &sent]).await
    }

    async fn sent(_: &Whole<Self>, turn: &Turn, id: i64) -> Result<(), Error> {
        let place = Self::place(turn).await?;
        hold(&SENT).insert((place, id));
        Ok(())
    }
}

/// Counts in a map how often each was given back. Of three relays each counts for itself, and each
/// deployment begins again. Rejected by `found_out`.
#[derive(Default)]
pub struct AttemptsInMemory(Mutex<BTreeMap<i64, i32>>);

impl Way for AttemptsInMemory {
    fn given_back(parts: &Whole<Self>, row: &Row) -> i32 {
        let mut counted = hold(&parts.way.0);
        let times = counted.entry(row.get("id")).or_default();
        *times += 1;
        *times - 1
    }
}

/// Knows until when a correlation rests, and the next relay does not: it tries at once, and each one
/// after it, so the broker that is full is asked as often as there are relays. Rejected by
/// `found_out`.
#[derive(Default)]
pub struct PausesInMemory(Mutex<BTreeMap<String, Instant>>);

impl Way for PausesInMemory {
    async fn rows(parts: &Whole<Self>, turn: &Turn) -> Result<Vec<Row>, Error> {
        let now = Instant::now();
        let resting: Vec<String> = {
            let mut until = hold(&parts.way.0);
            until.retain(|_, until| *until > now);
            until.keys().cloned().collect()
        };
        let read = "
            SELECT id, message, key, correlation, content_type, headers::text, body, attempts
            FROM outbox WHERE sent_at IS NULL AND parked IS NULL
            AND coalesce(correlation, '') <> ALL($2) ORDER BY id LIMIT $1";
        turn.query(read, &[&parts.batch(), &resting]).await
    }

    async fn rest(parts: &Whole<Self>, turn: &Turn, row: &Row, counts: i32) -> Result<(), Error> {
        let correlation: Option<String> = row.get("correlation");
        let until = Instant::now() + parts.options.pause;
        hold(&parts.way.0).insert(correlation.unwrap_or_default(), until);
        let count = "UPDATE outbox SET attempts = attempts + $2 WHERE id = $1";
        turn.execute(count, &[&row.get::<_, i64>("id"), &counts]).await.map(drop)
    }
}

/// A lock of the process, so that its relays take turns. The process is one of three. Rejected by
/// `two_processes`.
#[derive(Default)]
pub struct LockOfTheProcess;

static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

impl Way for LockOfTheProcess {
    const TURN: &'static str = "";

    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let _turn = TURN.lock().await;
        parts.one_by_one(exchange, publisher).await
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
