//! Locks that do not begin or end where the transaction does.

use super::orders::{Plain, finish, finish_with_upsert, found, insert, stores};
use sagas::idempotency_keys::{Answer, Error, Keys, Options, Request, Scope, Work};
use std::time::{Duration, Instant};

/// Commits a claim first that has an end: it may be taken over after a timeout. Until then whoever
/// tries again waits for somebody who has left. Rejected by `dropped_caller`.
pub(super) struct LeaseOnTheKey(Plain);

/// The same, and a short one, so that nobody waits for the dead. Work that takes longer than that is
/// done by two. Rejected by `one_commit`.
pub(super) struct LeaseOfASecond(Plain);

/// The lock is a transaction on a connection of its own, which the work does not disturb. Two
/// connections for a call: with as many calls as connections, each waits for another's second one.
/// Rejected by `neighbours`.
pub(super) struct LocksBeside(Plain);

stores! {
    LeaseOnTheKey() {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            let (began, lease) = (Instant::now(), self.0.options.timeout.as_secs_f64());
            loop {
                let mut connection = self.0.pool.get().await?;
                let transaction = connection.transaction().await?;
                // Until it is done, a claim expires with its lease.
                let mine = insert(&transaction, request, lease).await?;
                if let Some(answer) = found(&transaction, request).await?.filter(|_| !mine) {
                    return Ok(answer);
                }
                transaction.commit().await?;
                if mine {
                    let transaction = connection.transaction().await?;
                    let longer = "UPDATE idempotency_keys
                        SET expires_at = now() + $3 * interval '1 second'
                        WHERE caller = $1 AND key = $2";
                    let longer = transaction.prepare_cached(longer).await?;
                    let values = (&request.caller, &request.key, &self.0.keep());
                    transaction.execute(&longer, &[values.0, values.1, values.2]).await?;
                    return self.0.in_time(finish(transaction, request, work)).await;
                }
                drop(connection);
                if began.elapsed() > self.0.options.wait {
                    return Err(Error::InProgress { retry_after: self.0.options.timeout });
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    LeaseOfASecond() {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            let began = Instant::now();
            loop {
                let mut connection = self.0.pool.get().await?;
                let transaction = connection.transaction().await?;
                let mine = insert(&transaction, request, 1.0).await?;
                if let Some(answer) = found(&transaction, request).await?.filter(|_| !mine) {
                    return Ok(answer);
                }
                transaction.commit().await?;
                if mine {
                    let transaction = connection.transaction().await?;
                    let work = finish_with_upsert(transaction, request, self.0.keep(), work);
                    let answer = self.0.in_time(work).await;
                    if !matches!(&answer, Ok(answer) if answer.response.is_final()) {
                        let free = "DELETE FROM idempotency_keys
                            WHERE caller = $1 AND key = $2 AND status IS NULL";
                        connection.execute(free, &[&request.caller, &request.key]).await?;
                    }
                    return answer;
                }
                drop(connection);
                if began.elapsed() > self.0.options.wait {
                    return Err(Error::InProgress { retry_after: self.0.options.timeout });
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    LocksBeside() {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            let began = Instant::now();
            loop {
                let mut beside = self.0.pool.get().await?;
                let holds = beside.transaction().await?;
                let lock = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))";
                let lock = holds.prepare_cached(lock).await?;
                let name = format!("{:?}", request.name());
                if holds.query_one(&lock, &[&name]).await?.get(0) {
                    let answer = async {
                        let mut connection = self.0.pool.get().await?;
                        let transaction = connection.transaction().await?;
                        match found(&transaction, request).await? {
                            Some(answer) => Ok(answer),
                            None => {
                                let keep = self.0.keep();
                                finish_with_upsert(transaction, request, keep, work).await
                            }
                        }
                    };
                    return self.0.in_time(answer).await;
                }
                drop(holds);
                drop(beside);
                if began.elapsed() > self.0.options.wait {
                    return Err(Error::InProgress { retry_after: self.0.options.timeout });
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}
