//! A sweep, and what it does to those who come meanwhile.

use super::mostly::{Detail, keep_answer, sweep};
use super::orders::{Plain, finish_with_upsert, found, run, stores};
use deadpool_postgres::{Pool, Transaction};
use sagas::idempotency_keys::{Answer, Error, Keys, Options, Request, Scope, Work};

/// Reads which keys have expired, and deletes those: `SKIP LOCKED` leaves out those that somebody is
/// at. But each statement is a transaction, so the locks are gone by the next one, and what it deletes
/// may be a key that was used anew. Rejected by `swept_meanwhile`.
pub(super) struct SweepsInTwoSteps;

impl Detail for SweepsInTwoSteps {
    async fn sweep(pool: &Pool, options: Options, at_most: u32) -> Result<u64, Error> {
        let swept = async {
            let connection = pool.get().await?;
            let over = "SELECT caller, key FROM idempotency_keys WHERE expires_at <= now()
                ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED";
            let mut swept = 0;
            for row in connection.query(over, &[&i64::from(at_most)]).await? {
                let (caller, key): (&str, &str) = (row.get(0), row.get(1));
                let delete = "DELETE FROM idempotency_keys WHERE caller = $1 AND key = $2";
                swept += connection.execute(delete, &[&caller, &key]).await?;
            }
            Ok(swept)
        };
        tokio::time::timeout(options.timeout, swept)
            .await
            .unwrap_or(Err(Error::Slow(options.timeout)))
    }
}

/// A timeout is for requests. The sweep runs by night, and one night it does not come back. Rejected
/// by `postgres_hangs`.
pub(super) struct SweepHasNoEnd;

impl Detail for SweepHasNoEnd {
    async fn sweep(pool: &Pool, options: Options, at_most: u32) -> Result<u64, Error> {
        let forever = Options { timeout: std::time::Duration::MAX, ..options };
        sweep(pool, forever, Self::SWEEP, at_most).await
    }
}

/// A sweep that failed has swept nothing; the next one will. Nobody hears of it, for a year. Rejected
/// by `postgres_away`.
pub(super) struct SweepNeverFails;

impl Detail for SweepNeverFails {
    async fn sweep(pool: &Pool, options: Options, at_most: u32) -> Result<u64, Error> {
        Ok(sweep(pool, options, Self::SWEEP, at_most).await.unwrap_or(0))
    }
}

/// LIMIT takes an integer, so the number becomes one. `u32::MAX`, for all there are, becomes -1.
/// Rejected by `swept`.
pub(super) struct LimitBelowZero;

impl Detail for LimitBelowZero {
    async fn sweep(pool: &Pool, options: Options, at_most: u32) -> Result<u64, Error> {
        let limit = format!("LIMIT {}", at_most.cast_signed());
        sweep(pool, options, &Self::SWEEP.replace("LIMIT $1", &limit), at_most).await
    }
}

/// Finds a row that has expired, and writes the answer into it when the work is done. A sweep has
/// taken the row meanwhile, and an UPDATE of no rows is no error. Rejected by `swept_meanwhile`.
pub(super) struct WritesIntoWhatWasThere(Plain);

stores! {
    WritesIntoWhatWasThere() {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            let (began, mut work) = (std::time::Instant::now(), Some(work));
            loop {
                let attempt = async {
                    let mut connection = self.0.pool.get().await?;
                    let transaction = connection.transaction().await?;
                    let look = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)), EXISTS (
                        SELECT FROM idempotency_keys WHERE caller = $2 AND key = $3)";
                    let look = transaction.prepare_cached(look).await?;
                    let name = format!("{:?}", request.name());
                    let values = (&name, &request.caller, &request.key);
                    let row = transaction.query_one(&look, &[values.0, values.1, values.2]).await?;
                    if let Some(answer) = found(&transaction, request).await? {
                        return Ok(Some(answer));
                    }
                    let (mine, there): (bool, bool) = (row.get(0), row.get(1));
                    match work.take_if(|_| mine) {
                        None => Ok(None),
                        Some(work) if there => {
                            finish_in_the_row(transaction, request, self.0.keep(), work).await.map(Some)
                        }
                        Some(work) => {
                            finish_with_upsert(transaction, request, self.0.keep(), work)
                                .await
                                .map(Some)
                        }
                    }
                };
                if let Some(answer) = self.0.in_time(attempt).await? {
                    return Ok(answer);
                }
                if began.elapsed() >= self.0.options.wait {
                    return Err(Error::InProgress { retry_after: self.0.options.timeout });
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    }
}

async fn finish_in_the_row<W>(
    transaction: Transaction<'_>,
    request: &Request<'_>,
    keep: f64,
    work: W,
) -> Result<Answer, Error>
where
    W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
{
    let response = run(&transaction, request, work).await?;
    if response.is_final() {
        let renew = "UPDATE idempotency_keys SET fingerprint = $3,
            expires_at = now() + $4 * interval '1 second' WHERE caller = $1 AND key = $2";
        let renew = transaction.prepare_cached(renew).await?;
        let values = (&request.caller, &request.key, &request.fingerprint());
        transaction.execute(&renew, &[values.0, values.1, values.2, &keep]).await?;
        keep_answer(&transaction, request.caller, request.key, &response).await?;
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(Answer { response, replayed: false })
}
