//! The right answer, with details that may be wrong.

use deadpool_postgres::{Object, Pool, Transaction, tokio_postgres};
use sagas::idempotency_keys::{
    Answer, Cause, Error, Keys, Options, Request, Response, Scope, Work, pool,
};
use std::time::{Duration, Instant};

/// What may be wrong. Each is right unless a decoy says otherwise.
pub(super) trait Detail: Send + Sync + 'static {
    const WAITS: bool = true;
    const ENDS: bool = true;
    /// Each statement has the timeout, and not the whole.
    const EACH: bool = false;
    /// Who has waited tries to take the key, and does not only look for an answer.
    const TAKES_OVER: bool = true;
    /// The answer that is kept is read within the timeout.
    const READS_IN_TIME: bool = true;
    /// What hangs is thrown away.
    const THROWS_AWAY: bool = true;
    const FRESH: &'static str = "kept.expires_at <= now()";
    const KEPT: &'static str = KEPT;
    const SWEEP: &'static str = "
        DELETE FROM idempotency_keys WHERE (caller, key) IN (
            SELECT caller, key FROM idempotency_keys WHERE expires_at <= now()
            ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)";

    fn pool(url: &str, options: Options) -> Result<Pool, Error> {
        Ok(pool(url, options.timeout, options.connections)?)
    }

    /// The options as they are heeded.
    fn heeded(options: Options) -> Options {
        options
    }

    fn retry_after(options: Options) -> Duration {
        options.timeout
    }

    fn caller(request: &Request<'_>) -> String {
        request.caller.to_owned()
    }

    fn key(request: &Request<'_>) -> String {
        request.key.to_owned()
    }

    fn fingerprint(request: &Request<'_>) -> Vec<u8> {
        request.fingerprint()
    }

    fn for_others(request: &Request<'_>) -> String {
        format!("{:02x?}", request.name())
    }

    /// What is locked.
    fn lock(caller: &str, key: &str) -> String {
        format!("{}:{caller}:{key}", caller.len())
    }

    fn is_final(response: &Response) -> bool {
        response.is_final()
    }

    /// What is answered and kept of what the work has said.
    fn given(response: Response) -> Response {
        response
    }

    /// What comes back of what was kept.
    fn remembered(response: Response) -> Response {
        response
    }

    fn failed(cause: Cause) -> Result<Response, Error> {
        Err(Error::Work(cause))
    }

    fn committed(commit: Result<(), tokio_postgres::Error>) -> Result<(), Error> {
        Ok(commit?)
    }

    /// What the caller is told of an error.
    fn told(error: Error) -> Error {
        error
    }

    fn sweep(
        pool: &Pool,
        options: Options,
        at_most: u32,
    ) -> impl Future<Output = Result<u64, Error>> + Send {
        sweep(pool, options, Self::SWEEP, at_most)
    }
}

/// Nothing is wrong.
impl Detail for () {}

/// The answer that is kept.
pub(super) const KEPT: &str = "
    SELECT fingerprint, status, headers, body FROM idempotency_keys
    WHERE caller = $1 AND key = $2 AND status IS NOT NULL AND expires_at > now()";

/// The same, and whether it has expired does not matter.
pub(super) const WHENEVER: &str = "
    SELECT fingerprint, status, headers, body FROM idempotency_keys
    WHERE caller = $1 AND key = $2 AND status IS NOT NULL";

/// The right answer but for one detail.
pub(super) struct Mostly<D> {
    pool: Pool,
    options: Options,
    detail: std::marker::PhantomData<fn() -> D>,
}

impl<D: Detail> Keys for Mostly<D> {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        let pool = D::pool(url, options)?;
        Ok(Mostly { pool, options: D::heeded(options), detail: std::marker::PhantomData })
    }

    async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
    where
        W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
    {
        once::<D, W>(&self.pool, self.options, request, work).await
    }

    async fn sweep(&self, at_most: u32) -> Result<u64, Error> {
        D::sweep(&self.pool, self.options, at_most).await
    }
}

/// The answer, by whatever it takes.
pub(super) async fn once<D: Detail, W>(
    pool: &Pool,
    options: Options,
    request: &Request<'_>,
    mut work: W,
) -> Result<Answer, Error>
where
    W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
{
    let began = Instant::now();
    let limit = if D::ENDS && !D::EACH { options.timeout } else { Duration::MAX };
    let mut takes = true;
    loop {
        let mut connection = pool.get().await?;
        let attempt = attempt::<D, W>(options, &mut connection, request, work, takes);
        match tokio::time::timeout(limit, attempt).await {
            Ok(Ok(Ok(answer))) => return Ok(answer),
            Ok(Ok(Err(again))) => work = again,
            Ok(Err(error)) => return Err(D::told(error)),
            Err(_) => {
                if D::THROWS_AWAY {
                    drop(Object::take(connection));
                }
                return Err(D::told(Error::Slow(limit)));
            }
        }
        if !D::READS_IN_TIME {
            let transaction = connection.transaction().await?;
            if let Some(answer) = replayed::<D>(&transaction, request).await? {
                return Ok(answer);
            }
        }
        drop(connection);
        if !D::WAITS || began.elapsed() >= options.wait {
            return Err(Error::InProgress { retry_after: D::retry_after(options) });
        }
        takes = D::TAKES_OVER;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The work, if it is handed back, is still to be done.
async fn attempt<D: Detail, W>(
    options: Options,
    connection: &mut Object,
    request: &Request<'_>,
    work: W,
    takes: bool,
) -> Result<Result<Answer, W>, Error>
where
    W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
{
    let transaction = connection.transaction().await?;
    let (caller, key) = (D::caller(request), D::key(request));
    let claiming = async { Ok(takes && claim::<D>(options, &transaction, request).await?) };
    if !in_time::<D, _>(options, claiming).await? {
        let answer = match D::READS_IN_TIME {
            true => replayed::<D>(&transaction, request).await?,
            false => None,
        };
        // What reading has changed, if a decoy's reading changes anything.
        transaction.commit().await?;
        return Ok(answer.ok_or(work));
    }
    let scope = Scope { transaction: &transaction, key: D::for_others(request) };
    let response = match work(scope).await {
        Ok(response) => D::given(response),
        Err(cause) => D::failed(cause)?,
    };
    if D::is_final(&response) {
        let keeping = async {
            keep_answer(&transaction, &caller, &key, &response).await?;
            D::committed(transaction.commit().await)
        };
        in_time::<D, _>(options, keeping).await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(Ok(Answer { response, replayed: false }))
}

/// Whether the key is ours.
async fn claim<D: Detail>(
    options: Options,
    transaction: &Transaction<'_>,
    request: &Request<'_>,
) -> Result<bool, Error> {
    let claim = format!(
        "INSERT INTO idempotency_keys AS kept (caller, key, fingerprint, expires_at)
         SELECT $1, $2, $3, now() + $4 * interval '1 second'
         WHERE pg_try_advisory_xact_lock(hashtextextended($5, 0))
         ON CONFLICT (caller, key) DO UPDATE
         SET fingerprint = excluded.fingerprint, expires_at = excluded.expires_at, status = NULL
         WHERE {} RETURNING true",
        D::FRESH
    );
    let (caller, key, fingerprint) = (D::caller(request), D::key(request), D::fingerprint(request));
    let (keep, lock) = (options.keep.as_secs_f64(), D::lock(&caller, &key));
    let claim = transaction.prepare_cached(&claim).await?;
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&caller, &key, &fingerprint, &keep, &lock];
    Ok(transaction.query_opt(&claim, &values).await?.is_some())
}

async fn in_time<D: Detail, T>(
    options: Options,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let limit = if D::EACH { options.timeout } else { Duration::MAX };
    tokio::time::timeout(limit, answer).await.unwrap_or(Err(Error::Slow(limit)))
}

async fn replayed<D: Detail>(
    transaction: &Transaction<'_>,
    request: &Request<'_>,
) -> Result<Option<Answer>, Error> {
    let (caller, key, fingerprint) = (D::caller(request), D::key(request), D::fingerprint(request));
    let response = kept(transaction, D::KEPT, &caller, &key, &fingerprint).await?;
    Ok(response.map(|response| Answer { response: D::remembered(response), replayed: true }))
}

pub(super) async fn kept(
    transaction: &Transaction<'_>,
    kept: &str,
    caller: &str,
    key: &str,
    fingerprint: &[u8],
) -> Result<Option<Response>, Error> {
    let kept = transaction.prepare_cached(kept).await?;
    let Some(row) = transaction.query_opt(&kept, &[&caller, &key]).await? else { return Ok(None) };
    if row.get::<_, &[u8]>(0) != fingerprint {
        return Err(Error::OtherRequest);
    }
    Ok(Some(Response {
        status: row.get::<_, i16>(1) as u16,
        headers: serde_json::from_str(row.get(2)).expect("as it was written"),
        body: row.get(3),
    }))
}

pub(super) async fn keep_answer(
    transaction: &Transaction<'_>,
    caller: &str,
    key: &str,
    response: &Response,
) -> Result<(), Error> {
    let keep = "UPDATE idempotency_keys SET status = $3, headers = $4, body = $5
                WHERE caller = $1 AND key = $2";
    let keep = transaction.prepare_cached(keep).await?;
    let headers = serde_json::to_string(&response.headers).expect("strings");
    let status = response.status as i16;
    transaction.execute(&keep, &[&caller, &key, &status, &headers, &response.body]).await?;
    Ok(())
}

/// With a statement for so many, or for all.
pub(super) async fn sweep(
    pool: &Pool,
    options: Options,
    sweep: &str,
    at_most: u32,
) -> Result<u64, Error> {
    let connection = pool.get().await?;
    let swept = async {
        match sweep.contains("$1") {
            true => connection.execute(sweep, &[&i64::from(at_most)]).await,
            false => connection.execute(sweep, &[]).await,
        }
    };
    match tokio::time::timeout(options.timeout, swept).await {
        Ok(swept) => Ok(swept?),
        Err(_) => {
            drop(Object::take(connection));
            Err(Error::Slow(options.timeout))
        }
    }
}
