//! What may be repeated, and what is worth it.

use super::{ATTEMPT, IDEMPOTENCY_KEY, Outcome, Repeatable};
use crate::BoxError;
use crate::bulkhead::Full;
use crate::circuit_breaker::Open;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Request, Response, StatusCode};
use std::time::Duration;

// ANCHOR: repeatable
/// Whether `request` may be sent again by this layer.
pub(super) fn repeatable<B>(request: &Request<B>) -> Repeatable {
    let headers = request.headers();
    let keyed = headers.get(IDEMPOTENCY_KEY).is_some_and(|key| !key.is_empty());
    // An error may mean that the request never arrived, or that its answer never did. From here the
    // two look the same, so it counts what a second one does: RFC 9110, section 9.2.2.
    let harmless = request.method().is_idempotent() || keyed;
    match harmless && !headers.contains_key(ATTEMPT) {
        true => Repeatable::Yes,
        false => Repeatable::No,
    }
}
// ANCHOR_END: repeatable

// ANCHOR: outcome
/// What became of an attempt.
pub(super) fn outcome<R>(
    answer: Result<Response<R>, BoxError>,
    transient: fn(&BoxError) -> bool,
) -> Outcome<Result<Response<R>, BoxError>> {
    let response = match answer {
        Err(error) if transient(&error) => return Outcome::Failed(Err(error)),
        Err(error) => return Outcome::Final(Err(error)),
        Ok(response) => response,
    };
    // Somebody between us and the server, or the server at its door, says "not now". A 500 is
    // another matter: the request was understood, and met a defect that it will meet again. A 4xx
    // is the request's own fault; but for 429, which says when it is none any more.
    let now = response.status();
    let told = told(response.headers());
    match (now, told) {
        (
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT,
            Told::Wait(wait),
        ) => Outcome::Busy(Ok(response), wait),
        (
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT,
            Told::Nothing,
        ) => Outcome::Failed(Ok(response)),
        _ => Outcome::Final(Ok(response)),
    }
}
// ANCHOR_END: outcome

/// When to come again, as the server has said it.
enum Told {
    Nothing,
    Wait(Duration),
    /// It has said something, and nobody here knows what. To come too early is what it asked not to
    /// do. A date is among these: it is of the server's clock, and is hardly ever sent.
    Unclear,
}

/// `Retry-After`: RFC 9110, section 10.2.3.
fn told(headers: &HeaderMap) -> Told {
    let Some(value) = headers.get(RETRY_AFTER) else {
        return Told::Nothing;
    };
    let seconds = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    seconds.map_or(Told::Unclear, |seconds| Told::Wait(Duration::from_secs(seconds)))
}

/// All errors but those of who refuses to ask at all: a breaker that is [`Open`], a bulkhead that is
/// [`Full`]. They protect the dependency from exactly this. The timeout of one attempt,
/// [`Late`](crate::timeouts::Late), is worth a repeat as long as the deadline of all of them lies
/// ahead.
pub fn worth_repeating(error: &BoxError) -> bool {
    !error.is::<Open>() && !error.is::<Full>()
}
