//! The right order of steps, and one detail of it wrong.

use super::mostly::{Detail, WHENEVER};
use deadpool_postgres::tokio_postgres::{self, Config, NoTls};
use deadpool_postgres::{Manager, Pool, Runtime};
use sagas::idempotency_keys::{Cause, Error, Options, Request, Response};
use std::sync::atomic::{AtomicU64, Ordering};

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
    const KEPT: &'static str = WHENEVER;
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
