//! The wrong things repeated.

use super::usual::{Told, Usual};
use circuit_breakers::BoxError;
use circuit_breakers::retry::{
    ATTEMPT, Config, Counts, IDEMPOTENCY_KEY, Outcome, Repeatable, Retries, Retry,
};
use circuit_breakers::timeouts::Deadline;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use std::time::Duration;

/// The safest of all: never again. Rejected by `success_is_returned`.
pub(super) struct RepeatsNothing;

impl Usual for RepeatsNothing {
    fn attempts(_: u32) -> u32 {
        1
    }
}

/// A request is a request. Two orders, two payments. Rejected by `only_idempotent`.
pub(super) struct RepeatsOrders;

impl Usual for RepeatsOrders {
    fn idempotent(_: &Method) -> bool {
        true
    }
}

/// Looks whether the header is there, and not what stands in it. Rejected by `only_idempotent`.
pub(super) struct AnyKeyWillDo;

impl Usual for AnyKeyWillDo {
    fn keyed(_: &str) -> bool {
        true
    }
}

/// Takes safe for idempotent: a PUT may change something, and twice the same is no other. Rejected
/// by `only_idempotent`.
pub(super) struct OnlyReads;

impl Usual for OnlyReads {
    fn idempotent(method: &Method) -> bool {
        method.is_safe()
    }
}

/// "Everything but POST and PATCH." A method that it does not know may do anything. Rejected by
/// `only_idempotent`.
pub(super) struct AllButPostAndPatch;

impl Usual for AllButPostAndPatch {
    fn idempotent(method: &Method) -> bool {
        method != Method::POST && method != Method::PATCH
    }
}

/// "The connection broke, so it never arrived." Or it did, and the answer was lost. Rejected by
/// `only_idempotent`.
pub(super) struct AnyMethodIfItBroke(Retries);

impl Retry for AnyMethodIfItBroke {
    fn new(config: Config, seed: u64) -> AnyMethodIfItBroke {
        AnyMethodIfItBroke(Retries::new(config, seed))
    }

    async fn call<T, A, F>(
        &self,
        repeatable: Repeatable,
        deadline: Option<Deadline>,
        attempt: A,
    ) -> T
    where
        T: Send + 'static,
        A: FnMut(u32) -> F + Send + 'static,
        F: Future<Output = Outcome<T>> + Send + 'static,
    {
        self.0.call(repeatable, deadline, attempt).await
    }

    async fn send<B, R, A, F>(
        &self,
        request: Request<B>,
        mut attempt: A,
    ) -> Result<Response<R>, BoxError>
    where
        B: Clone + Send + 'static,
        R: Send + 'static,
        A: FnMut(Request<B>) -> F + Send + 'static,
        F: Future<Output = Result<Response<R>, BoxError>> + Send + 'static,
    {
        if request.method().is_idempotent() || request.headers().contains_key(IDEMPOTENCY_KEY) {
            return self.0.send(request, attempt).await;
        }
        let attempt = move |_| {
            let answer = attempt(request.clone());
            async move {
                match answer.await {
                    Err(error) => Outcome::Failed(Err(error)),
                    Ok(response) => Outcome::Final(Ok(response)),
                }
            }
        };
        self.0.call(Repeatable::Yes, None, attempt).await
    }

    fn counts(&self) -> Counts {
        self.0.counts()
    }
}

/// A fresh key for each attempt, for they say that keys must be unique. So is each order. Rejected
/// by `same_request`.
pub(super) struct NewKeyEachTime;

impl Usual for NewKeyEachTime {
    fn copies<B: Clone>(request: &Request<B>, nth: u32) -> Request<B> {
        let mut copy = request.clone();
        if nth > 1 && copy.headers().contains_key(IDEMPOTENCY_KEY) {
            let key = format!("{:016x}", rand::random::<u64>());
            let key = HeaderValue::from_str(&key).expect("hexadecimal digits");
            copy.headers_mut().insert(IDEMPOTENCY_KEY, key);
        }
        copy
    }
}

/// Builds the second request from the parts of the first that it knows. Who is asking, and until
/// when, lay beside it. Rejected by `same_request`.
pub(super) struct ExtensionsLost;

impl Usual for ExtensionsLost {
    fn copies<B: Clone>(request: &Request<B>, nth: u32) -> Request<B> {
        let mut copy = request.clone();
        if nth > 1 {
            copy.extensions_mut().clear();
        }
        copy
    }
}

/// Copies the headers one by one, with `insert`: of those that came in two lines the last is left.
/// Rejected by `same_request`.
pub(super) struct LosesSecondLines;

impl Usual for LosesSecondLines {
    fn copies<B: Clone>(request: &Request<B>, _nth: u32) -> Request<B> {
        let mut copy = request.clone();
        copy.headers_mut().clear();
        for (name, value) in request.headers() {
            copy.headers_mut().insert(name, value.clone());
        }
        copy
    }
}

/// The first attempt is number 0. Rejected by `same_request`.
pub(super) struct CountsFromZero;

impl Usual for CountsFromZero {
    fn marks(headers: &mut HeaderMap, nth: u32, repeats: bool) {
        if repeats {
            headers.insert(ATTEMPT, (nth - 1).into());
        }
    }
}

/// `!status.is_success()`: asks three times for what is not there. Rejected by `final_answers`.
pub(super) struct RepeatsClientErrors;

impl Usual for RepeatsClientErrors {
    fn failed(status: StatusCode, told: Told) -> Option<Option<Duration>> {
        match (status.is_success(), told) {
            (true, _) | (_, Told::Unclear) => None,
            (_, Told::Wait(wait)) => Some(Some(wait)),
            (_, Told::Nothing) => Some(None),
        }
    }
}

/// `is_server_error()`: a defect is not over in 50 ms. Rejected by `final_answers`.
pub(super) struct EveryServerError;

impl Usual for EveryServerError {
    fn failed(status: StatusCode, told: Told) -> Option<Option<Duration>> {
        match (status.as_u16(), told) {
            (429 | 500..=599, Told::Wait(wait)) => Some(Some(wait)),
            (500..=599, Told::Nothing) => Some(None),
            _ => None,
        }
    }
}

/// "Too many requests", so it sends another. Rejected by `final_answers`.
pub(super) struct TooManyIsAFailure;

impl Usual for TooManyIsAFailure {
    fn failed(status: StatusCode, told: Told) -> Option<Option<Duration>> {
        match (status.as_u16(), told) {
            (429 | 502 | 503 | 504, Told::Wait(wait)) => Some(Some(wait)),
            (429 | 502 | 503 | 504, Told::Nothing) => Some(None),
            _ => None,
        }
    }
}

/// Takes every error for a bad moment, also that of a breaker that is open. Rejected by
/// `refusals_are_final`.
pub(super) struct RepeatsRefusals;

impl Usual for RepeatsRefusals {
    fn transient(_: &Config, _: &BoxError) -> bool {
        true
    }
}

/// Each layer means well: three times three times three. Rejected by `one_layer_of_three`.
pub(super) struct TwentySeven;

impl Usual for TwentySeven {
    fn repeated_above(_: &HeaderMap) -> bool {
        false
    }
}

/// Obeys the mark, and takes it off: it was for this layer. The one below starts again. Rejected by
/// `one_layer_of_three`.
pub(super) struct StripsTheMark;

impl Usual for StripsTheMark {
    fn marks(headers: &mut HeaderMap, nth: u32, repeats: bool) {
        match repeats {
            true => headers.insert(ATTEMPT, nth.into()),
            false => headers.remove(ATTEMPT),
        };
    }
}

/// Writes its own number over that of who repeats: the third attempt arrives as the first. Rejected
/// by `one_layer_of_three`.
pub(super) struct RenumbersIt;

impl Usual for RenumbersIt {
    fn marks(headers: &mut HeaderMap, nth: u32, repeats: bool) {
        if repeats || headers.contains_key(ATTEMPT) {
            headers.insert(ATTEMPT, nth.into());
        }
    }
}

/// Marks what it does not repeat. Nobody below may either, and so nobody does. Rejected by
/// `one_layer_of_three`.
pub(super) struct MarksEverything;

impl Usual for MarksEverything {
    fn marks(headers: &mut HeaderMap, nth: u32, _: bool) {
        if !headers.contains_key(ATTEMPT) {
            headers.insert(ATTEMPT, nth.into());
        }
    }
}

/// Keeps the first failure and answers with that. It was a reset; the last was a 409, which says why.
/// Rejected by `last_as_it_was`.
pub(super) struct AnswersTheFirst;

impl Usual for AnswersTheFirst {
    const ANSWERS_THE_FIRST: bool = true;
}

/// "Retries exhausted", and nobody will ever know what it was. Rejected by `last_as_it_was`.
pub(super) struct GaveUp;

impl Usual for GaveUp {
    fn gives_up(error: BoxError) -> BoxError {
        format!("retries exhausted: {error}").into()
    }
}

/// Asks of HTTP requests whether they may be repeated, and of nothing else. Rejected by
/// `increment_once`.
pub(super) struct RepeatsIncrements;

impl Usual for RepeatsIncrements {
    fn may(_: Repeatable) -> bool {
        true
    }
}

/// Reads `Retry-After` with `remove`, which gives it away. Whoever is told at last that it failed, and
/// not when to come again, comes again. Rejected by `last_as_it_was`.
pub(super) struct TakesRetryAfterOut;

impl Usual for TakesRetryAfterOut {
    fn reads(headers: &mut HeaderMap) -> Option<HeaderValue> {
        headers.remove(RETRY_AFTER)
    }
}

/// Takes the deadline out of the extensions to have it. Nobody below knows of it any more. Rejected
/// by `same_request`.
pub(super) struct TakesTheDeadline;

impl Usual for TakesTheDeadline {
    fn copies<B: Clone>(request: &Request<B>, _nth: u32) -> Request<B> {
        let mut copy = request.clone();
        copy.extensions_mut().remove::<Deadline>();
        copy
    }
}
