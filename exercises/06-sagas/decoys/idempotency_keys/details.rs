//! The right order of steps, and one detail of it wrong.

use deadpool_postgres::tokio_postgres::{self, Config, NoTls};
use deadpool_postgres::{Manager, Object, Pool, Runtime, Transaction};
use sagas::idempotency_keys::{
    Answer, Cause, Error, Keys, Options, Request, Response, Scope, Work, pool,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What may be wrong. Each is right unless a decoy says otherwise.
pub(super) trait Detail: Send + Sync + 'static {
    const WAITS: bool = true;
    const ENDS: bool = true;
    /// Each statement has the timeout, and not the whole.
    const EACH: bool = false;
    const FRESH: &'static str = "kept.expires_at <= now()";
    const SWEEP: &'static str = "
        DELETE FROM idempotency_keys WHERE (caller, key) IN (
            SELECT caller, key FROM idempotency_keys WHERE expires_at <= now()
            ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)";

    fn pool(url: &str, options: Options) -> Result<Pool, Error> {
        Ok(pool(url, options.timeout, options.connections)?)
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
}

/// The right answer but for one detail.
pub(super) struct Mostly<D> {
    pool: Pool,
    options: Options,
    detail: std::marker::PhantomData<fn() -> D>,
}

impl<D: Detail> Keys for Mostly<D> {
    fn open(url: &str, options: Options) -> Result<Self, Error> {
        Ok(Mostly { pool: D::pool(url, options)?, options, detail: std::marker::PhantomData })
    }

    async fn once<W>(&self, request: &Request<'_>, mut work: W) -> Result<Answer, Error>
    where
        W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
    {
        let began = Instant::now();
        let limit = if D::ENDS && !D::EACH { self.options.timeout } else { Duration::MAX };
        loop {
            let mut connection = self.pool.get().await?;
            let attempt = attempt::<D, W>(self.options, &mut connection, request, work);
            match tokio::time::timeout(limit, attempt).await {
                Ok(Ok(Ok(answer))) => return Ok(answer),
                Ok(Ok(Err(again))) => work = again,
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    drop(Object::take(connection));
                    return Err(Error::Slow(limit));
                }
            }
            drop(connection);
            if !D::WAITS || began.elapsed() >= self.options.wait {
                return Err(Error::InProgress { retry_after: self.options.timeout });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn sweep(&self, at_most: u32) -> Result<u64, Error> {
        let connection = self.pool.get().await?;
        Ok(match D::SWEEP.contains("$1") {
            true => connection.execute(D::SWEEP, &[&i64::from(at_most)]).await?,
            false => connection.execute(D::SWEEP, &[]).await?,
        })
    }
}

async fn attempt<D: Detail, W>(
    options: Options,
    connection: &mut Object,
    request: &Request<'_>,
    work: W,
) -> Result<Result<Answer, W>, Error>
where
    W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
{
    let transaction = connection.transaction().await?;
    let (caller, key, fingerprint) = (D::caller(request), D::key(request), D::fingerprint(request));
    let claim = format!(
        "INSERT INTO idempotency_keys AS kept (caller, key, fingerprint, expires_at)
         SELECT $1, $2, $3, now() + $4 * interval '1 second'
         WHERE pg_try_advisory_xact_lock(hashtextextended($5, 0))
         ON CONFLICT (caller, key) DO UPDATE
         SET fingerprint = excluded.fingerprint, expires_at = excluded.expires_at, status = NULL
         WHERE {} RETURNING true",
        D::FRESH
    );
    let (keep, lock) = (options.keep.as_secs_f64(), D::lock(&caller, &key));
    let claiming = async {
        let claim = transaction.prepare_cached(&claim).await?;
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&caller, &key, &fingerprint, &keep, &lock];
        Ok(transaction.query_opt(&claim, &values).await?)
    };
    let mine = in_time::<D, _>(options, claiming).await?;
    if mine.is_none() {
        let kept = kept(&transaction, &caller, &key, &fingerprint).await?;
        transaction.rollback().await?;
        return Ok(match kept {
            Some(response) => Ok(Answer { response: D::remembered(response), replayed: true }),
            None => Err(work),
        });
    }
    let scope = Scope { transaction: &transaction, key: D::for_others(request) };
    let response = match work(scope).await {
        Ok(response) => response,
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

async fn in_time<D: Detail, T>(
    options: Options,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let limit = if D::EACH { options.timeout } else { Duration::MAX };
    tokio::time::timeout(limit, answer).await.unwrap_or(Err(Error::Slow(limit)))
}

pub(super) async fn kept(
    transaction: &Transaction<'_>,
    caller: &str,
    key: &str,
    fingerprint: &[u8],
) -> Result<Option<Response>, Error> {
    let kept = "SELECT fingerprint, status, headers, body FROM idempotency_keys
                WHERE caller = $1 AND key = $2 AND status IS NOT NULL";
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

/// The hash of the body is the key: clients need not send one, and nobody can forget it. Two coffees
/// are one coffee. Rejected by `two_keys`.
pub(super) struct KeyedByBody;

impl Detail for KeyedByBody {
    fn key(request: &Request<'_>) -> String {
        format!("{:02x?}", request.fingerprint())
    }
}

/// The key alone is the primary key: it is a UUID, after all. Somebody counts from 1, as does somebody
/// else, who gets the other's answer. Rejected by `two_callers`.
pub(super) struct KeyOfNobody;

impl Detail for KeyOfNobody {
    fn caller(_: &Request<'_>) -> String {
        String::new()
    }
}

/// `caller:key` in one column. Both may hold a colon. Rejected by `two_callers`.
pub(super) struct GluedTogether;

impl Detail for GluedTogether {
    fn caller(_: &Request<'_>) -> String {
        String::new()
    }

    fn key(request: &Request<'_>) -> String {
        format!("{}:{}", request.caller, request.key)
    }
}

/// The key says which request it is; why look at the request? A client with a bug uses it twice, and
/// is told that its second order is in. Rejected by `other_request`.
pub(super) struct AnyBody;

impl Detail for AnyBody {
    fn fingerprint(_: &Request<'_>) -> Vec<u8> {
        Vec::new()
    }
}

/// Compares the body, and not where it was sent to. A refund with the body of a payment is answered
/// with that payment. Rejected by `other_request`.
pub(super) struct BodyAlone;

impl Detail for BodyAlone {
    fn fingerprint(request: &Request<'_>) -> Vec<u8> {
        Request { method: "", path: "", ..*request }.fingerprint()
    }
}

/// Hashes the first 64 kB: the rest will be as different as they are. Rejected by
/// `only_the_fingerprint`.
pub(super) struct FirstKilobytes;

impl Detail for FirstKilobytes {
    fn fingerprint(request: &Request<'_>) -> Vec<u8> {
        let body = &request.body[..request.body.len().min(65_536)];
        Request { body, ..*request }.fingerprint()
    }
}

/// Keeps the request to compare it byte by byte. The table of keys becomes the largest one of the
/// shop. Rejected by `only_the_fingerprint`.
pub(super) struct KeepsTheBody;

impl Detail for KeepsTheBody {
    fn fingerprint(request: &Request<'_>) -> Vec<u8> {
        let mut all = request.fingerprint();
        all.extend_from_slice(request.body);
        all
    }
}

/// The body is JSON, so it is a string. Until one is compressed, or a picture. Rejected by
/// `once_and_again`.
pub(super) struct BodyAsText;

impl Detail for BodyAsText {
    fn remembered(response: Response) -> Response {
        Response { body: String::from_utf8_lossy(&response.body).into_owned().into(), ..response }
    }
}

/// Keeps the body, and answers 200 with it. The first time it was a 201 with a `Location`. Rejected by
/// `once_and_again`.
pub(super) struct AlwaysCreated;

impl Detail for AlwaysCreated {
    fn remembered(response: Response) -> Response {
        Response::new(200, response.body)
    }
}

/// Keeps whatever was answered, with what was written so far. Who was told 503 is told so until the
/// key expires, and the charge stands. Rejected by `not_now`.
pub(super) struct KeepsFailures;

impl Detail for KeepsFailures {
    fn is_final(_: &Response) -> bool {
        true
    }
}

/// Keeps what is a success, and undoes the rest. A declined card is asked again at each attempt.
/// Rejected by `not_now`.
pub(super) struct UndoesEveryRefusal;

impl Detail for UndoesEveryRefusal {
    fn is_final(response: &Response) -> bool {
        response.status < 300
    }
}

/// An error of the work becomes a 422 with its text, and that is an answer like any other: kept, and
/// committed with the half that was done. Rejected by `failed_work`.
pub(super) struct ErrorIsAnAnswer;

impl Detail for ErrorIsAnAnswer {
    fn failed(cause: Cause) -> Result<Response, Error> {
        Ok(Response::new(422, cause.to_string()))
    }
}

/// 409 at once for everybody but the first. Impatient clients take it for a no. Rejected by
/// `hundred`.
pub(super) struct DoesNotWait;

impl Detail for DoesNotWait {
    const WAITS: bool = false;
}

/// The pool has its timeouts; but an answer has none. Rejected by `postgres_hangs`.
pub(super) struct NoTimeout;

impl Detail for NoTimeout {
    const ENDS: bool = false;
}

/// Timeouts in the client only. A client that is stopped does not look at its clock, and its
/// transaction stays open with the key. Rejected by `stopped_process`.
pub(super) struct NobodyEndsIt;

impl Detail for NobodyEndsIt {
    fn pool(url: &str, options: Options) -> Result<Pool, Error> {
        let config: Config = url.parse()?;
        let timeout = Some(options.timeout);
        let pool = Pool::builder(Manager::new(config, NoTls)).runtime(Runtime::Tokio1);
        let pool = pool.wait_timeout(timeout).create_timeout(timeout).recycle_timeout(timeout);
        Ok(pool.max_size(options.connections).build().expect("a runtime is given"))
    }
}

/// The work is done, so the answer is right, whatever COMMIT says. It was never sent. Rejected by
/// `lost_replies`.
pub(super) struct CommitCannotFail;

impl Detail for CommitCannotFail {
    fn committed(_: Result<(), tokio_postgres::Error>) -> Result<(), Error> {
        Ok(())
    }
}

/// Keys never expire: disks are large. A client that numbers its requests gets last year's answers.
/// Rejected by `expired`.
pub(super) struct ForEver;

impl Detail for ForEver {
    const FRESH: &'static str = "false";
}

/// One DELETE for all that has expired: a million rows in one transaction, on the first night. Rejected
/// by `swept`.
pub(super) struct SweepsAll;

impl Detail for SweepsAll {
    const SWEEP: &'static str = "DELETE FROM idempotency_keys WHERE (caller, key) IN (
        SELECT caller, key FROM idempotency_keys WHERE expires_at <= now()
        FOR UPDATE SKIP LOCKED)";
}

/// Small batches, that wait for whoever is at a row. Rejected by `swept`.
pub(super) struct SweepWaits;

impl Detail for SweepWaits {
    const SWEEP: &'static str = "DELETE FROM idempotency_keys WHERE (caller, key) IN (
        SELECT caller, key FROM idempotency_keys WHERE expires_at <= now()
        ORDER BY expires_at LIMIT $1)";
}

/// The key as it came is the key for the payment provider. There we are one caller: two of our
/// customers with one key are one payment. Rejected by `passed_on`.
pub(super) struct HandsOnTheKey;

impl Detail for HandsOnTheKey {
    fn for_others(request: &Request<'_>) -> String {
        request.key.to_owned()
    }
}

/// A new key for each call of the provider, as its documentation says. Each attempt is a new call.
/// Rejected by `passed_on`.
pub(super) struct FreshForOthers;

impl Detail for FreshForOthers {
    fn for_others(_: &Request<'_>) -> String {
        static LAST: AtomicU64 = AtomicU64::new(0);
        format!("call-{}", LAST.fetch_add(1, Ordering::Relaxed))
    }
}

/// Headers are a map, as everybody knows. Two cookies are one name, and one of them is gone. Rejected
/// by `once_and_again`.
pub(super) struct HeadersInAMap;

impl Detail for HeadersInAMap {
    fn remembered(response: Response) -> Response {
        let headers: std::collections::BTreeMap<_, _> = response.headers.into_iter().collect();
        Response { headers: headers.into_iter().collect(), ..response }
    }
}

/// Locks the key, and not whose it is. Somebody else who counts from 1 waits for us. Rejected by
/// `neighbours`.
pub(super) struct LocksTheKeyOfAll;

impl Detail for LocksTheKeyOfAll {
    fn lock(_: &str, key: &str) -> String {
        key.to_owned()
    }
}

/// A timeout for each statement. The work that waits for a provider is none, and the key waits with
/// it. Rejected by `slow_work`.
pub(super) struct TimesItsStatements;

impl Detail for TimesItsStatements {
    const EACH: bool = true;
}
