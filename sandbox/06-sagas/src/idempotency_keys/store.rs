//! The reference.

use super::{Answer, Error, Keys, Options, Request, Response, Scope, Work};
use deadpool_postgres::tokio_postgres::Row;
use deadpool_postgres::{Object, Pool, Transaction};
use std::time::{Duration, Instant};

/// The pauses of who waits for another. Each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

// ANCHOR: claim
/// Takes the key, if nobody is at it and no answer is kept.
///
/// The lock is one that nobody waits for, and that ends with the transaction, however this ends. An
/// INSERT alone would do as well: the second waits at the index for the first. But it waits with a
/// connection in its hand, and eight who wait for one key would be all connections there are.
const CLAIM: &str = "
    INSERT INTO idempotency_keys AS kept (caller, key, fingerprint, expires_at)
    SELECT $1, $2, $3, now() + $4 * interval '1 second'
    WHERE pg_try_advisory_xact_lock($5)
    ON CONFLICT (caller, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, expires_at = excluded.expires_at,
        status = NULL, headers = NULL, body = NULL
    WHERE kept.expires_at <= now()
    RETURNING true";
// ANCHOR_END: claim

/// The answer that is kept. A row without one is nobody's but ours, and gone if we fail.
const KEPT: &str = "
    SELECT fingerprint, status, headers, body FROM idempotency_keys
    WHERE caller = $1 AND key = $2 AND expires_at > now()";

/// The answer beside its key.
const KEEP: &str = "
    UPDATE idempotency_keys SET status = $3, headers = $4, body = $5
    WHERE caller = $1 AND key = $2";

/// Rows that somebody is at are left to the next sweep.
const SWEEP: &str = "
    DELETE FROM idempotency_keys WHERE (caller, key) IN (
        SELECT caller, key FROM idempotency_keys WHERE expires_at <= now()
        ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)";

/// The reference: one transaction, in which the key is taken first and the answer written last.
#[derive(Clone)]
pub struct PgKeys {
    pool: Pool,
    options: Options,
}

/// How an attempt ended.
enum Attempt<W> {
    Answered(Answer),
    /// Somebody else is at it; the work is still to be done.
    Taken(W),
}

impl PgKeys {
    /// Keys on connections that others use, too. Its timeouts should be those of `options`.
    pub fn on(pool: Pool, options: Options) -> PgKeys {
        PgKeys { pool, options }
    }
}

impl Keys for PgKeys {
    fn open(url: &str, options: Options) -> Result<PgKeys, Error> {
        Ok(PgKeys::on(database::pool(url, options.timeout, options.connections)?, options))
    }

    async fn once<W>(&self, request: &Request<'_>, mut work: W) -> Result<Answer, Error>
    where
        W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
    {
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let mut connection = self.pool.get().await?;
            let attempt = self.attempt(&mut connection, request, work);
            match tokio::time::timeout(self.options.timeout, attempt).await {
                Ok(Ok(Attempt::Answered(answer))) => return Ok(answer),
                Ok(Ok(Attempt::Taken(again))) => work = again,
                Ok(Err(error)) => return Err(error),
                // Who gets this connection next would wait behind us. Closed, it ends the
                // transaction as soon as the server hears of it.
                Err(_) => {
                    drop(Object::take(connection));
                    return Err(Error::Slow(self.options.timeout));
                }
            }
            // Others may have it while this one waits.
            drop(connection);
            let left = self.options.wait.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(Error::InProgress { retry_after: self.options.timeout });
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn sweep(&self, at_most: u32) -> Result<u64, Error> {
        let connection = self.pool.get().await?;
        let swept = async {
            let sweep = connection.prepare_cached(SWEEP).await?;
            connection.execute(&sweep, &[&i64::from(at_most)]).await
        };
        match tokio::time::timeout(self.options.timeout, swept).await {
            Ok(swept) => Ok(swept?),
            Err(_) => {
                drop(Object::take(connection));
                Err(Error::Slow(self.options.timeout))
            }
        }
    }
}

impl PgKeys {
    // ANCHOR: attempt
    /// Dropped at any point, it is rolled back: nothing of it was done.
    async fn attempt<W>(
        &self,
        connection: &mut Object,
        request: &Request<'_>,
        work: W,
    ) -> Result<Attempt<W>, Error>
    where
        W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
    {
        let transaction = connection.transaction().await?;
        if !self.claim(&transaction, request).await? {
            return Ok(match kept(&transaction, request).await? {
                Some(answer) => Attempt::Answered(answer),
                // No answer, and no key for us: who has it has not committed.
                None => Attempt::Taken(work),
            });
        }
        let scope = Scope { transaction: &transaction, key: hex(&request.name()) };
        let response = work(scope).await.map_err(Error::Work)?;
        if response.is_final() {
            keep(&transaction, request, &response).await?;
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
        Ok(Attempt::Answered(Answer { response, replayed: false }))
    }
    // ANCHOR_END: attempt

    /// Whether the key is ours, until the end of the transaction.
    async fn claim(
        &self,
        transaction: &Transaction<'_>,
        request: &Request<'_>,
    ) -> Result<bool, Error> {
        let claim = transaction.prepare_cached(CLAIM).await?;
        let (fingerprint, keep) = (request.fingerprint(), self.options.keep.as_secs_f64());
        let row = transaction
            .query_opt(
                &claim,
                &[&request.caller, &request.key, &fingerprint, &keep, &lock(request)],
            )
            .await?;
        Ok(row.is_some())
    }
}

/// The number of the lock. Two keys with the same one are served one after the other, and that is
/// all that happens to them.
fn lock(request: &Request<'_>) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = request.name();
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The answer of an earlier time. One who had the key a moment ago may have committed since, so this
/// is a statement of its own: it sees what was committed before it began.
async fn kept(
    transaction: &Transaction<'_>,
    request: &Request<'_>,
) -> Result<Option<Answer>, Error> {
    let kept = transaction.prepare_cached(KEPT).await?;
    let row = transaction.query_opt(&kept, &[&request.caller, &request.key]).await?;
    let Some(row) = row else { return Ok(None) };
    if row.get::<_, &[u8]>("fingerprint") != request.fingerprint() {
        return Err(Error::OtherRequest);
    }
    Ok(response(&row).map(|response| Answer { response, replayed: true }))
}

fn response(row: &Row) -> Option<Response> {
    let status = row.get::<_, Option<i16>>("status")?;
    let headers = row.get::<_, Option<&str>>("headers").unwrap_or("[]");
    Some(Response {
        status: u16::try_from(status).ok()?,
        headers: serde_json::from_str(headers).ok()?,
        body: row.get::<_, Option<Vec<u8>>>("body")?,
    })
}

async fn keep(
    transaction: &Transaction<'_>,
    request: &Request<'_>,
    response: &Response,
) -> Result<(), Error> {
    let keep = transaction.prepare_cached(KEEP).await?;
    // A status has three digits; strings are always JSON.
    let status = i16::try_from(response.status).unwrap_or(i16::MAX);
    let headers = serde_json::to_string(&response.headers).unwrap_or_default();
    transaction
        .execute(&keep, &[&request.caller, &request.key, &status, &headers, &response.body])
        .await?;
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
