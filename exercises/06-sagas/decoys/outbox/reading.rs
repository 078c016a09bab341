//! Mistakes in what is read, and in which order.

use super::*;
use std::sync::Mutex;

/// Remembers how far it has come, and reads what comes after: the poller of most articles. A number
/// is drawn before the commit, so a lower one may appear behind it, for ever unseen. Rejected by
/// `commit_gap`.
#[derive(Default)]
pub struct IdAfterTheLast(Mutex<i64>);

impl Way for IdAfterTheLast {
    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let Some(turn) = parts.turn().await? else { return Ok(Forwarded::default()) };
        let read_after = "
            SELECT id, message, key, correlation, content_type, headers::text, body
            FROM outbox WHERE id > $2 ORDER BY id LIMIT $1";
        let last = *parts.way.0.lock().expect("nothing panics");
        let rows = turn.query(read_after, &[&parts.batch(), &last]).await?;
        let mut done = Forwarded::default();
        for row in &rows {
            if publisher.publish(exchange, &read(row)).await.is_err() {
                break;
            }
            *parts.way.0.lock().expect("nothing panics") = row.get("id");
            done.sent += 1;
        }
        turn.commit().await?;
        Ok(done)
    }
}

/// The same by the clock. `now()` is when the transaction began, which says even less about when it
/// was committed. Rejected by `commit_gap`.
#[derive(Default)]
pub struct TimeAfterTheLast(Mutex<String>);

impl Way for TimeAfterTheLast {
    async fn forward<P: Publisher>(
        parts: &Whole<Self>,
        exchange: &str,
        publisher: &P,
    ) -> Result<Forwarded, Error> {
        let Some(turn) = parts.turn().await? else { return Ok(Forwarded::default()) };
        let read_after = "
            SELECT id, message, key, correlation, content_type, headers::text, body, added_at::text
            FROM outbox WHERE added_at > coalesce(nullif($2, ''), '-infinity')::timestamptz
            ORDER BY added_at, id LIMIT $1";
        let last = parts.way.0.lock().expect("nothing panics").clone();
        let rows = turn.query(read_after, &[&parts.batch(), &last]).await?;
        let mut done = Forwarded::default();
        for row in &rows {
            if publisher.publish(exchange, &read(row)).await.is_err() {
                break;
            }
            *parts.way.0.lock().expect("nothing panics") = row.get("added_at");
            done.sent += 1;
        }
        turn.commit().await?;
        Ok(done)
    }
}

/// The known cure for the gap: only what is older than the oldest transaction that is still open. It
/// loses nothing, and stands still with everything else while an import runs, in this database or in
/// any other of the server. Rejected by `open_elsewhere`.
#[derive(Default)]
pub struct BelowTheOldestOpen;

impl Way for BelowTheOldestOpen {
    const READ: &'static str = "
        SELECT id, message, key, correlation, content_type, headers::text, body, attempts
        FROM outbox WHERE sent_at IS NULL AND parked IS NULL
        AND xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
        AND NOT EXISTS (
            SELECT FROM outbox AS held WHERE held.retry_at IS NOT NULL
            AND held.sent_at IS NULL AND held.parked IS NULL
            AND coalesce(held.correlation, '') = coalesce(outbox.correlation, '')
            AND (held.retry_at > now() OR held.id < outbox.id))
        ORDER BY id LIMIT $1";
}

/// By the transaction's number, and then by the row's: the second half of that cure. The number tells
/// who began to write first, and not who found what the other had left. Rejected by `who_waited`.
#[derive(Default)]
pub struct ByTransactionNumber;

impl Way for ByTransactionNumber {
    const READ: &'static str = "
        SELECT id, message, key, correlation, content_type, headers::text, body, attempts
        FROM outbox WHERE sent_at IS NULL AND parked IS NULL
        ORDER BY xmin::text::bigint, id LIMIT $1";
}

/// By the clock: `now()` is when the transaction began. Rejected by `who_waited`.
#[derive(Default)]
pub struct ByTime;

impl Way for ByTime {
    const READ: &'static str = "
        SELECT id, message, key, correlation, content_type, headers::text, body, attempts
        FROM outbox WHERE sent_at IS NULL AND parked IS NULL
        ORDER BY added_at, id LIMIT $1";
}

/// By the message's id, which is the key that everybody knows. With random ids that is no order at
/// all. Rejected by `in_order`.
#[derive(Default)]
pub struct ByMessageId;

impl Way for ByMessageId {
    const READ: &'static str = "
        SELECT id, message, key, correlation, content_type, headers::text, body, attempts
        FROM outbox WHERE sent_at IS NULL AND parked IS NULL
        ORDER BY message LIMIT $1";
}

/// The oldest ones, and those that rest are left out afterwards. When a batch of them waits for one
/// that is refused, nothing else is ever read. Rejected by `others_go_on`.
#[derive(Default)]
pub struct BatchOfTheStuck;

impl Way for BatchOfTheStuck {
    const READ: &'static str = "
        SELECT id, message, key, correlation, content_type, headers::text, body, attempts
        FROM outbox WHERE sent_at IS NULL AND parked IS NULL
        ORDER BY id LIMIT $1";
}

/// Reads all there is: a relay that has caught up finds a few. After a night without a broker it finds
/// a million, in one transaction. Rejected by `in_order`.
#[derive(Default)]
pub struct AllThereIs;

impl Way for AllThereIs {
    const READ: &'static str = "
        SELECT id, message, key, correlation, content_type, headers::text, body, attempts
        FROM outbox WHERE sent_at IS NULL AND parked IS NULL
        AND NOT EXISTS (
            SELECT FROM outbox AS held WHERE held.retry_at IS NOT NULL
            AND held.sent_at IS NULL AND held.parked IS NULL
            AND coalesce(held.correlation, '') = coalesce(outbox.correlation, '')
            AND (held.retry_at > now() OR held.id < outbox.id))
        ORDER BY id LIMIT greatest($1::bigint, 1000000)";
}

/// What has no correlation has no order either, has it? `NULL = NULL` is not true, and so says SQL.
/// Rejected by `one_after_the_other`.
#[derive(Default)]
pub struct NoneIsFree;

impl Way for NoneIsFree {
    const WAITS: bool = false;
    const READ: &'static str = "
        SELECT id, message, key, correlation, content_type, headers::text, body, attempts
        FROM outbox WHERE sent_at IS NULL AND parked IS NULL
        AND (correlation IS NULL AND coalesce(retry_at <= now(), true) OR id IN (
            SELECT min(id) FROM outbox WHERE sent_at IS NULL AND parked IS NULL
            AND correlation IS NOT NULL GROUP BY correlation
            HAVING coalesce(max(retry_at) <= now(), true)))
        ORDER BY id LIMIT $1";
}

/// One message a call: it is called again at once, isn't it? Each costs a transaction of its own, and
/// all relays of the fleet ask for a turn in between. Rejected by `whole_batch`.
#[derive(Default)]
pub struct OneAtATime;

impl Way for OneAtATime {
    const READ: &'static str = "
        SELECT id, message, key, correlation, content_type, headers::text, body, attempts
        FROM outbox WHERE sent_at IS NULL AND parked IS NULL
        AND NOT EXISTS (
            SELECT FROM outbox AS held WHERE held.retry_at IS NOT NULL
            AND held.sent_at IS NULL AND held.parked IS NULL
            AND coalesce(held.correlation, '') = coalesce(outbox.correlation, '')
            AND (held.retry_at > now() OR held.id < outbox.id))
        ORDER BY id LIMIT least($1::bigint, 1)";
}

/// Compares correlations with `=`, and `NULL = NULL` is not true: what has none and was refused never
/// rests, and is thrown at the broker with each look. Rejected by `pauses`.
#[derive(Default)]
pub struct NoneNeverRests;

impl Way for NoneNeverRests {
    const READ: &'static str = "
        SELECT id, message, key, correlation, content_type, headers::text, body, attempts
        FROM outbox WHERE sent_at IS NULL AND parked IS NULL
        AND NOT EXISTS (
            SELECT FROM outbox AS held WHERE held.retry_at IS NOT NULL
            AND held.sent_at IS NULL AND held.parked IS NULL
            AND held.correlation = outbox.correlation
            AND (held.retry_at > now() OR held.id < outbox.id))
        ORDER BY id LIMIT $1";
}
