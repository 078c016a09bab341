//! Steps that are taken in another order, or in more than one transaction.

use super::mostly::{Detail, KEPT, keep_answer, kept, once, sweep};
use deadpool_postgres::{Object, Pool, Transaction};
use sagas::idempotency_keys::{Answer, Error, Keys, Options, Request, Response, Scope, Work, pool};
use tokio::time::timeout;

/// Looks for the key, does the work and commits it, and then stores the answer: what every middleware
/// does that wraps a handler. Between the two commits there is room for another, and for a crash.
/// Rejected by `anywhere`.
pub(super) struct StoredApart(Plain);

/// One transaction, but the key comes last, in an upsert. Two who looked before either had written
/// both find nothing, and the second one overwrites the first one's answer. Rejected by `anywhere`.
pub(super) struct UpsertsAtTheEnd(Plain);

/// The unique index refuses the second attempt, and that is the client's answer: a conflict. It wanted
/// to know whether it has paid. Rejected by `once_and_again`.
pub(super) struct AnswersDuplicatesWith409(Plain);

/// Commits the key first, so that all others see it, and then does the work. Who dies in between has
/// made sure that nobody does it. Rejected by `killed_process`.
pub(super) struct ClaimsFirst(Plain);

/// The second one's INSERT waits at the index for the first, which is right, and takes one line. It
/// waits with a connection, and a client that is nervous takes them all. Rejected by `neighbours`.
pub(super) struct WaitsWithAConnection(Plain);

/// Locks what it is about to answer: this key with this body. Another body goes in beside it. Rejected
/// by `other_request_meanwhile`.
pub(super) struct LocksTheRequest(Plain);

/// A row that has expired does not count, so the work is done. By each who finds it. Rejected by
/// `expired`.
pub(super) struct ExpiredForAll(Plain);

/// One connection, made at the beginning. Rejected by `postgres_away`.
pub(super) struct ConnectsOnce(Plain, tokio::sync::Mutex<Option<Object>>);

/// What they have in common.
pub(super) struct Plain {
    pub(super) pool: Pool,
    pub(super) options: Options,
}

impl Plain {
    pub(super) fn open(url: &str, options: Options) -> Result<Plain, Error> {
        Ok(Plain { pool: pool(url, options.timeout, options.connections)?, options })
    }

    pub(super) async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let limit = self.options.timeout;
        timeout(limit, answer).await.unwrap_or(Err(Error::Slow(limit)))
    }

    /// The answer, with the key taken by an INSERT that waits for others; all in one transaction.
    pub(super) async fn simply<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
    where
        W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
    {
        let answer = async {
            let mut connection = self.pool.get().await?;
            on(&mut connection, self.options, request, work).await
        };
        self.in_time(answer).await
    }

    /// The answer, and nothing wrong with it.
    pub(super) async fn rightly<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
    where
        W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
    {
        once::<(), W>(&self.pool, self.options, request, work).await
    }

    pub(super) async fn sweep(&self, at_most: u32) -> Result<u64, Error> {
        sweep(&self.pool, self.options, <() as Detail>::SWEEP, at_most).await
    }

    pub(super) fn keep(&self) -> f64 {
        self.options.keep.as_secs_f64()
    }
}

async fn on<W>(
    connection: &mut Object,
    options: Options,
    request: &Request<'_>,
    work: W,
) -> Result<Answer, Error>
where
    W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
{
    let transaction = connection.transaction().await?;
    let keep = options.keep.as_secs_f64();
    if !insert(&transaction, request, keep).await? {
        return found(&transaction, request)
            .await?
            .ok_or(Error::InProgress { retry_after: options.timeout });
    }
    finish(transaction, request, work).await
}

/// Whether the row is new, or was over.
pub(super) async fn insert(
    transaction: &Transaction<'_>,
    request: &Request<'_>,
    keep: f64,
) -> Result<bool, Error> {
    let insert = "INSERT INTO idempotency_keys AS kept (caller, key, fingerprint, expires_at)
        VALUES ($1, $2, $3, now() + $4 * interval '1 second')
        ON CONFLICT (caller, key) DO UPDATE
        SET fingerprint = excluded.fingerprint, expires_at = excluded.expires_at, status = NULL
        WHERE kept.expires_at <= now() RETURNING true";
    let insert = transaction.prepare_cached(insert).await?;
    let values = (&request.caller, &request.key, &request.fingerprint());
    Ok(transaction.query_opt(&insert, &[values.0, values.1, values.2, &keep]).await?.is_some())
}

pub(super) async fn found(
    transaction: &Transaction<'_>,
    request: &Request<'_>,
) -> Result<Option<Answer>, Error> {
    let fingerprint = request.fingerprint();
    let response = kept(transaction, KEPT, request.caller, request.key, &fingerprint).await?;
    Ok(response.map(|response| Answer { response, replayed: true }))
}

/// Does the work, and writes its answer into the row that is there.
pub(super) async fn finish<W>(
    transaction: Transaction<'_>,
    request: &Request<'_>,
    work: W,
) -> Result<Answer, Error>
where
    W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
{
    let response = run(&transaction, request, work).await?;
    if response.is_final() {
        keep_answer(&transaction, request.caller, request.key, &response).await?;
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(Answer { response, replayed: false })
}

pub(super) async fn run<W>(
    transaction: &Transaction<'_>,
    request: &Request<'_>,
    work: W,
) -> Result<Response, Error>
where
    W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
{
    let key = format!("{:02x?}", request.name());
    work(Scope { transaction, key }).await.map_err(Error::Work)
}

/// Does the work, and writes a row with its answer, whether or not there is one.
pub(super) async fn finish_with_upsert<W>(
    transaction: Transaction<'_>,
    request: &Request<'_>,
    keep: f64,
    work: W,
) -> Result<Answer, Error>
where
    W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
{
    let response = run(&transaction, request, work).await?;
    if !response.is_final() {
        transaction.rollback().await?;
        return Ok(Answer { response, replayed: false });
    }
    let upsert = "INSERT INTO idempotency_keys (caller, key, fingerprint, expires_at)
        VALUES ($1, $2, $3, now() + $4 * interval '1 second')
        ON CONFLICT (caller, key) DO UPDATE
        SET fingerprint = excluded.fingerprint, expires_at = excluded.expires_at";
    let upsert = transaction.prepare_cached(upsert).await?;
    let fingerprint = request.fingerprint();
    transaction.execute(&upsert, &[&request.caller, &request.key, &fingerprint, &keep]).await?;
    keep_answer(&transaction, request.caller, request.key, &response).await?;
    transaction.commit().await?;
    Ok(Answer { response, replayed: false })
}

/// A decoy that is opened with what all have, and what it has beside that.
macro_rules! stores {
    ($($store:ident ($($beside:expr),*) { $($method:item)* })+) => {$(
        impl Keys for $store {
            fn open(url: &str, options: Options) -> Result<Self, Error> {
                Ok($store(Plain::open(url, options)?, $($beside),*))
            }

            $($method)*

            async fn sweep(&self, at_most: u32) -> Result<u64, Error> {
                self.0.sweep(at_most).await
            }
        }
    )+};
}
pub(super) use stores;

stores! {
    StoredApart() {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            let answer = async {
                let mut connection = self.0.pool.get().await?;
                let transaction = connection.transaction().await?;
                if let Some(answer) = found(&transaction, request).await? {
                    return Ok(answer);
                }
                let response = run(&transaction, request, work).await?;
                if !response.is_final() {
                    return Ok(Answer { response, replayed: false });
                }
                transaction.commit().await?;
                let transaction = connection.transaction().await?;
                insert(&transaction, request, self.0.keep()).await?;
                keep_answer(&transaction, request.caller, request.key, &response).await?;
                transaction.commit().await?;
                Ok(Answer { response, replayed: false })
            };
            self.0.in_time(answer).await
        }
    }

    UpsertsAtTheEnd() {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            let answer = async {
                let mut connection = self.0.pool.get().await?;
                let transaction = connection.transaction().await?;
                match found(&transaction, request).await? {
                    Some(answer) => Ok(answer),
                    None => finish_with_upsert(transaction, request, self.0.keep(), work).await,
                }
            };
            self.0.in_time(answer).await
        }
    }

    AnswersDuplicatesWith409() {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            let answer = async {
                let mut connection = self.0.pool.get().await?;
                let transaction = connection.transaction().await?;
                if !insert(&transaction, request, self.0.keep()).await? {
                    let response = Response::new(409, "this payment exists");
                    return Ok(Answer { response, replayed: true });
                }
                finish(transaction, request, work).await
            };
            self.0.in_time(answer).await
        }
    }

    ClaimsFirst() {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            let answer = async {
                let mut connection = self.0.pool.get().await?;
                let transaction = connection.transaction().await?;
                let mine = insert(&transaction, request, self.0.keep()).await?;
                transaction.commit().await?;
                let transaction = connection.transaction().await?;
                if mine {
                    let answer = finish(transaction, request, work).await;
                    if !matches!(&answer, Ok(answer) if answer.response.is_final()) {
                        let free = "DELETE FROM idempotency_keys WHERE caller = $1 AND key = $2";
                        connection.execute(free, &[&request.caller, &request.key]).await?;
                    }
                    return answer;
                }
                let retry_after = self.0.options.timeout;
                found(&transaction, request).await?.ok_or(Error::InProgress { retry_after })
            };
            self.0.in_time(answer).await
        }
    }

    WaitsWithAConnection() {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            self.0.simply(request, work).await
        }
    }

    LocksTheRequest() {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            let answer = async {
                let mut connection = self.0.pool.get().await?;
                let transaction = connection.transaction().await?;
                let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
                let lock = transaction.prepare_cached(lock).await?;
                let name = format!("{:?}{:?}", request.name(), request.fingerprint());
                transaction.query_one(&lock, &[&name]).await?;
                match found(&transaction, request).await? {
                    Some(answer) => Ok(answer),
                    None => finish_with_upsert(transaction, request, self.0.keep(), work).await,
                }
            };
            self.0.in_time(answer).await
        }
    }

    ExpiredForAll() {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            let answer = async {
                let mut connection = self.0.pool.get().await?;
                let transaction = connection.transaction().await?;
                let over = "SELECT 1 FROM idempotency_keys
                    WHERE caller = $1 AND key = $2 AND expires_at <= now()";
                let over = transaction.prepare_cached(over).await?;
                let over = transaction.query_opt(&over, &[&request.caller, &request.key]).await?;
                if over.is_some() {
                    return finish_with_upsert(transaction, request, self.0.keep(), work).await;
                }
                if !insert(&transaction, request, self.0.keep()).await? {
                    let retry_after = self.0.options.timeout;
                    let found = found(&transaction, request).await?;
                    return found.ok_or(Error::InProgress { retry_after });
                }
                finish(transaction, request, work).await
            };
            self.0.in_time(answer).await
        }
    }

    ConnectsOnce(tokio::sync::Mutex::default()) {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            let answer = async {
                let mut kept = self.1.lock().await;
                let connection = match &mut *kept {
                    Some(connection) => connection,
                    none => none.insert(self.0.pool.get().await?),
                };
                on(connection, self.0.options, request, work).await
            };
            self.0.in_time(answer).await
        }
    }
}
