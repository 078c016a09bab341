//! Those who count something else than what happened.

use super::right::{Begun, Labels, Part, Shared, State};
use futures_util::FutureExt;
use http::StatusCode;
use observability::metrics::{ACTIVE, Asked, HUNG_UP, METHODS, OTHER_METHOD};
use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// `<`, as ranges usually go. `le` is less or *equal*. Rejected by `on_the_bound`.
pub struct LessThan;

impl Part for LessThan {
    fn within(seconds: f64, le: f64) -> bool {
        seconds < le
    }
}

/// The bounds that many clients have by default. Nobody can add them to those of the other services.
/// Rejected by `on_the_bound`.
pub struct DefaultBounds;

impl Part for DefaultBounds {
    const BOUNDS: &'static [f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
}

/// Durations are in milliseconds, as on every other screen. Their buckets are in seconds. Rejected
/// by `cumulative`.
pub struct Milliseconds;

impl Part for Milliseconds {
    fn seconds(took: Duration, _: Option<StatusCode>) -> f64 {
        took.as_secs_f64() * 1e3
    }
}

/// `as_millis()`, and then by a thousand: a cache that answers in 900 µs costs nothing at all.
/// Rejected by `cumulative`.
pub struct WholeMillis;

impl Part for WholeMillis {
    fn seconds(took: Duration, _: Option<StatusCode>) -> f64 {
        took.as_millis() as f64 / 1e3
    }
}

/// Latency is that of what went well. A service whose every request runs into a timeout has none.
/// Rejected by `every_status`.
pub struct OnlySuccesses;

impl Part for OnlySuccesses {
    fn code(ended: Option<StatusCode>) -> Option<String> {
        let is_failure = |status: StatusCode| status.is_client_error() || status.is_server_error();
        match ended {
            Some(failed) if is_failure(failed) => None,
            ended => right_code(ended),
        }
    }
}

fn right_code(ended: Option<StatusCode>) -> Option<String> {
    struct Right;
    impl Part for Right {}
    Right::code(ended)
}

/// Failures are counted, and take no time. Rejected by `every_status`.
pub struct FailuresUntimed;

impl Part for FailuresUntimed {
    fn seconds(took: Duration, ended: Option<StatusCode>) -> f64 {
        let failed = ended.is_some_and(|status| status.is_server_error());
        if failed { 0.0 } else { took.as_secs_f64() }
    }
}

/// `2xx`, to save series. A 503 by whoever sheds load and a 500 by a bug are then the same. Rejected
/// by `every_status`.
pub struct StatusClass;

impl Part for StatusClass {
    fn code(ended: Option<StatusCode>) -> Option<String> {
        right_code(ended).map(|code| format!("{}xx", &code[..1]))
    }
}

/// `set(1)` at the beginning and `set(0)` at the end. Two at once are one, and then none. Rejected by
/// `under_way`.
pub struct OneOrNone;

impl Part for OneOrNone {
    fn begins(state: &mut State) {
        state.active = 1;
    }

    fn ends(state: &mut State) {
        state.active = 0;
    }
}

/// Everything in the lines behind the `await`. Who hangs up drops the future, and they are never
/// run: active for ever. Rejected by `hung_up_on`.
pub struct AfterTheAwait;

impl Part for AfterTheAwait {
    async fn measure<F>(shared: Arc<Shared>, asked: Asked<'_>, work: F) -> StatusCode
    where
        F: Future<Output = StatusCode> + Send,
    {
        shared.lock().active += 1;
        let (mut labels, at) = (Self::labels(&asked), shared.sources.clock.now());
        let status = work.await;
        shared.lock().active -= 1;
        labels.push(("http_response_status_code", status.as_u16().to_string()));
        let took = shared.sources.clock.now() - at;
        Self::observe(&shared, labels, took.as_secs_f64());
        status
    }
}

/// A guard for the gauge, and the histogram behind the `await`. Who waits for thirty seconds and
/// gives up is in no figure: the slower a service, the better its p99. Rejected by `hung_up_on`.
pub struct HangUpUncounted;

impl Part for HangUpUncounted {
    fn code(ended: Option<StatusCode>) -> Option<String> {
        match ended {
            None if !std::thread::panicking() => None,
            ended => right_code(ended),
        }
    }
}

/// What has no status is a 500. Somebody is woken because customers close their browsers. Rejected by
/// `hung_up_on`.
pub struct HangUpIsAnError;

impl Part for HangUpIsAnError {
    fn code(ended: Option<StatusCode>) -> Option<String> {
        right_code(Some(ended.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)))
    }
}

/// Whoever is dropped has hung up. The bug that panics at each request looks like impatient
/// customers. Rejected by `unwinding`.
pub struct PanicIsAHangUp;

impl Part for PanicIsAHangUp {
    fn code(ended: Option<StatusCode>) -> Option<String> {
        let code = ended.map_or(HUNG_UP, |status| status.as_u16());
        Some(code.to_string())
    }
}

/// Does nothing while a panic passes by, to be on the safe side. Then the worst requests are not
/// counted. Rejected by `unwinding`.
pub struct EndsUnseen;

impl Part for EndsUnseen {
    fn code(ended: Option<StatusCode>) -> Option<String> {
        right_code(ended).filter(|_| ended.is_some() || !std::thread::panicking())
    }
}

/// A future of its own, with the guard as a field. Where a layer catches the panic, the guard is
/// dropped behind that, when nothing panics any more. Rejected by `unwinding`.
pub struct GuardBeside;

struct Beside<F> {
    begun: Option<Begun<GuardBeside>>,
    work: Pin<Box<F>>,
}

impl<F: Future<Output = StatusCode>> Future for Beside<F> {
    type Output = StatusCode;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<StatusCode> {
        let status = ready!(self.work.as_mut().poll(context));
        if let Some(begun) = self.begun.take() {
            begun.ends(status);
        }
        Poll::Ready(status)
    }
}

impl Part for GuardBeside {
    fn measure<F>(
        shared: Arc<Shared>,
        asked: Asked<'_>,
        work: F,
    ) -> impl Future<Output = StatusCode> + Send
    where
        F: Future<Output = StatusCode> + Send,
    {
        Beside { begun: Some(Begun::new(shared, &asked)), work: Box::pin(work) }
    }
}

/// The path: `/users/4711`. As many series as customers. Rejected by `routes`.
pub struct RawPath;

impl Part for RawPath {
    fn route(asked: &Asked<'_>) -> String {
        asked.path.to_owned()
    }
}

/// The route, and where there is none the path. Those are the paths that strangers try. Rejected by
/// `routes`.
pub struct PathForTheLost;

impl Part for PathForTheLost {
    fn route(asked: &Asked<'_>) -> String {
        asked.route.unwrap_or(asked.path).to_owned()
    }
}

/// Whose requests are slow? A label answers that, once for each customer and bucket. Rejected by
/// `routes`.
pub struct UserAsLabel;

impl Part for UserAsLabel {
    fn labels(asked: &Asked<'_>) -> Labels {
        let user = asked.path.rsplit('/').next().unwrap_or_default().to_owned();
        vec![
            ("http_route", Self::route(asked)),
            ("http_request_method", Self::method(asked)),
            ("user", user),
        ]
    }
}

/// The histogram has the route, and the gauge beside it the path: it goes down again. What is at zero
/// is a series as well. Rejected by `routes`.
pub struct ActiveByPath;

impl Part for ActiveByPath {
    async fn measure<F>(shared: Arc<Shared>, asked: Asked<'_>, work: F) -> StatusCode
    where
        F: Future<Output = StatusCode> + Send,
    {
        shared.lock().paths.insert(asked.path.to_owned());
        let begun = Begun::<Self>::new(shared, &asked);
        let status = work.await;
        begun.ends(status);
        status
    }

    fn scrape(shared: &Shared) -> String {
        struct Right;
        impl Part for Right {}
        let (text, state) = (Right::scrape(shared), shared.lock());
        let line = format!("\n{ACTIVE} {}\n", state.active);
        // Which of them it is that is under way does not matter here.
        let paths = state.paths.iter().enumerate().map(|(nth, path)| {
            let active = if nth == 0 { state.active } else { 0 };
            format!("{ACTIVE}{{path=\"{}\"}} {active}\n", Self::escape(path))
        });
        text.replace(&line, &format!("\n{}", paths.collect::<String>()))
    }
}

/// Whatever the client calls a method. Rejected by `odd_methods`.
pub struct AnyMethod;

impl Part for AnyMethod {
    fn method(asked: &Asked<'_>) -> String {
        asked.method.as_str().to_owned()
    }
}

/// `get` is GET in capitals. For HTTP it is another method, and the router has refused it. Rejected
/// by `odd_methods`.
pub struct UpperCases;

impl Part for UpperCases {
    fn method(asked: &Asked<'_>) -> String {
        let method = asked.method.as_str().to_ascii_uppercase();
        let known = METHODS.contains(&method.as_str());
        if known { method } else { OTHER_METHOD.to_owned() }
    }
}

/// Microseconds, for who needs less? What takes a little longer than a bound is in its bucket all the
/// same, and the promise of 250 ms is kept by what broke it. Rejected by `on_the_bound`.
pub struct WholeMicros;

impl Part for WholeMicros {
    fn seconds(took: Duration, _: Option<StatusCode>) -> f64 {
        took.as_micros() as f64 / 1e6
    }
}

/// The statuses that there are, in a table; another one is what its class begins with. The 429 of
/// tomorrow's limiter is a 400. Rejected by `every_status`.
pub struct KnownStatuses;

impl Part for KnownStatuses {
    fn code(ended: Option<StatusCode>) -> Option<String> {
        right_code(ended.map(|status| match status.as_u16() {
            200 | 201 | 204 | 301 | 302 | 304 | 400 | 401 | 403 | 404 | 500 | 502 | 503 | 504 => {
                status
            }
            ..400 => StatusCode::OK,
            400..500 => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }))
    }
}

/// The clock starts in the line that makes the future. Where it has to queue for being polled, it is
/// active meanwhile, and who never polls it has hung up on nobody. Rejected by `lasting`.
pub struct BeginsWhenMade;

impl Part for BeginsWhenMade {
    fn measure<F>(
        shared: Arc<Shared>,
        asked: Asked<'_>,
        work: F,
    ) -> impl Future<Output = StatusCode> + Send
    where
        F: Future<Output = StatusCode> + Send,
    {
        let begun = Begun::<Self>::new(shared, &asked);
        async move {
            let begun = begun;
            let status = work.await;
            begun.ends(status);
            status
        }
    }
}

/// Counted when the future is dropped, which a runtime does at once. `join!` keeps it until the last
/// of them has ended, and all of them took as long as that. Rejected by `lasting`.
pub struct EndsWithItsFuture;

impl Part for EndsWithItsFuture {
    fn measure<F>(
        shared: Arc<Shared>,
        asked: Asked<'_>,
        work: F,
    ) -> impl Future<Output = StatusCode> + Send
    where
        F: Future<Output = StatusCode> + Send,
    {
        let (mut work, mut begun) = (Box::pin(work), None);
        poll_fn(move |context| {
            let begun =
                begun.get_or_insert_with(|| Begun::<Self>::new(Arc::clone(&shared), &asked));
            let status = ready!(work.as_mut().poll(context));
            begun.ended = Some(status);
            Poll::Ready(status)
        })
    }
}

/// Catches the panic, counts it, and answers 500, as the customer would be answered anyway. Who is
/// outside and reports panics, with what they say, is never told of one. Rejected by `unwinding`.
pub struct AnswersThePanic;

impl Part for AnswersThePanic {
    async fn measure<F>(shared: Arc<Shared>, asked: Asked<'_>, work: F) -> StatusCode
    where
        F: Future<Output = StatusCode> + Send,
    {
        let begun = Begun::<Self>::new(shared, &asked);
        let answer = AssertUnwindSafe(work).catch_unwind().await;
        let status = answer.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        begun.ends(status);
        status
    }
}
