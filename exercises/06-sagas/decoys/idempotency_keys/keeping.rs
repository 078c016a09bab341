//! What is kept of an answer, which ones, and until when.

use super::mostly::{Detail, WHENEVER};
use sagas::idempotency_keys::Response;

/// Reads the answer that is kept, and does not look whether it has expired: whoever takes the key has
/// looked. Who comes while that one works gets last year's answer. Rejected by `expired`.
pub(super) struct StaleWhileRenewed;

impl Detail for StaleWhileRenewed {
    const KEPT: &'static str = WHENEVER;
}

/// Every look at an answer makes it young again, as in a cache. A client that asks each minute whether
/// it has paid never gets to pay anew. Rejected by `expired`.
pub(super) struct SlidesOn;

impl Detail for SlidesOn {
    const KEPT: &'static str = "UPDATE idempotency_keys
        SET expires_at = greatest(expires_at, now() + interval '1 hour')
        WHERE caller = $1 AND key = $2 AND status IS NOT NULL AND expires_at > now()
        RETURNING fingerprint, status, headers, body";
}

/// A row without a body is one of which the work is not done. A 204 has none. Rejected by `any_shape`.
pub(super) struct EmptyIsNone;

impl Detail for EmptyIsNone {
    const KEPT: &'static str = "SELECT fingerprint, status, headers, body FROM idempotency_keys
        WHERE caller = $1 AND key = $2 AND length(body) > 0 AND expires_at > now()";
}

/// Sorts the headers, so that the first answer and the next are alike. They are; but two cookies are
/// set in another order than the work has said. Rejected by `once_and_again`.
pub(super) struct SortsTheHeaders;

impl Detail for SortsTheHeaders {
    fn given(mut response: Response) -> Response {
        response.headers.sort();
        response
    }
}

/// Headers are kept as they stand in a response, a line for each: name, colon, value. A value that
/// begins with a blank, or has a line break in it, comes back as another. Rejected by `any_shape`.
pub(super) struct HeadersInLines;

impl Detail for HeadersInLines {
    fn remembered(response: Response) -> Response {
        let lines = response.headers.iter().map(|(name, value)| format!("{name}:{value}\n"));
        let lines: String = lines.collect();
        let headers = lines.lines().filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Response { headers: headers.collect(), ..response }
    }
}

/// Answers are short: more than 64 kB are not kept. Who asks again for a long one gets its beginning.
/// Rejected by `any_shape`.
pub(super) struct KeepsTheBeginning;

impl Detail for KeepsTheBeginning {
    fn remembered(mut response: Response) -> Response {
        response.body.truncate(65_536);
        response
    }
}

/// A list of its own of what says "not now", from memory. 425 is not on it. Rejected by `not_now`.
pub(super) struct ListOfItsOwn;

impl Detail for ListOfItsOwn {
    fn is_final(response: &Response) -> bool {
        !matches!(response.status, 408 | 409 | 429 | 500..)
    }
}

/// What says "not now" need not say more: the body may hold what a rollback has made untrue. It held
/// when to come back. Rejected by `not_now`.
pub(super) struct NotNowWithoutWords;

impl Detail for NotNowWithoutWords {
    fn given(response: Response) -> Response {
        match response.is_final() {
            true => response,
            false => Response::new(response.status, ""),
        }
    }
}
