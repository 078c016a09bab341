//! What stands around a call, with a service behind it that answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use circuit_breakers::retry::ATTEMPT;
use circuit_breakers::timeouts::{Deadline, TIME_LEFT};
use circuit_breakers::{bulkhead, circuit_breaker, retry};
use http::{Method, Request, Response, StatusCode};
use shop_calls::{Calls, Context, Line, Options, asked_again, beyond};
use shop_contracts::{Kind, Peer, Problem};
use shop_flags::{Flags, PatternBreaker, PatternBulkhead, PatternRetry, PatternTimeout};
use tokio::sync::Semaphore;
use tower::ServiceExt;

const SECOND: Duration = Duration::from_secs(1);

/// A service in this process: what it was asked, and what it answers.
#[derive(Clone)]
struct Played {
    asked: Arc<Mutex<Vec<Request<()>>>>,
    answers: Arc<Mutex<VecDeque<Response<Bytes>>>>,
    /// A call holds one of these while it lasts.
    gate: Arc<Semaphore>,
}

impl Played {
    fn new() -> Played {
        Played {
            asked: Arc::default(),
            answers: Arc::default(),
            gate: Arc::new(Semaphore::new(1000)),
        }
    }

    fn peer(&self) -> Peer {
        let peer = Peer::new("played", "http://127.0.0.1:1").patience(4 * SECOND);
        let played = self.clone();
        peer.is_here(Arc::new(move |request| {
            let played = played.clone();
            Box::pin(async move {
                let (head, _) = request.into_parts();
                played.asked.lock().expect("whole").push(Request::from_parts(head, ()));
                let _held = played.gate.acquire().await.expect("open");
                let answer = played.answers.lock().expect("whole").pop_front();
                Ok(answer.unwrap_or_else(|| Response::new(Bytes::from_static(b"{}"))))
            })
        }));
        peer
    }

    /// The next answers; those after them are well.
    fn next(&self, answers: impl IntoIterator<Item = Response<Bytes>>) {
        self.answers.lock().expect("whole").extend(answers);
    }

    fn asked(&self) -> usize {
        self.asked.lock().expect("whole").len()
    }

    fn header(&self, nth: usize, name: &http::HeaderName) -> Option<u64> {
        let asked = self.asked.lock().expect("whole");
        asked[nth].headers().get(name)?.to_str().ok()?.parse().ok()
    }
}

fn refusal(problem: &Problem) -> Response<Bytes> {
    let mut answer = Response::new(serde_json::to_vec(problem).expect("JSON").into());
    *answer.status_mut() = StatusCode::from_u16(problem.status).expect("a status");
    answer
}

fn refused(kind: Kind) -> Response<Bytes> {
    refusal(&Problem::new(kind, "as it was told"))
}

/// Open for an hour: what is open stays open. A budget that is never used up.
fn options() -> Options {
    let breaker = circuit_breaker::Config {
        failures: 3,
        open_for: 3600 * SECOND,
        probes: 1,
        slow_after: SECOND,
    };
    let budget = retry::Budget { percent: 1_000, reserve: 100 };
    let bulkhead = bulkhead::Config { places: 2, queue: 0, longest_wait: Duration::ZERO };
    let usual = Options::default();
    Options { breaker, retry: retry::Config { budget, ..usual.retry }, bulkhead, ..usual }
}

/// Nothing but what a test switches on.
fn off() -> Flags {
    let flags = Flags::default();
    flags.set(PatternBreaker::Off);
    flags.set(PatternRetry::Off);
    flags.set(PatternTimeout::Off);
    flags.set(PatternBulkhead::Off);
    flags
}

fn around(played: &Played, flags: &Flags) -> (Peer, Calls) {
    let calls = Calls::new("caller", flags.clone(), options());
    (calls.to(played.peer()), calls)
}

async fn ask(peer: &Peer, method: Method) -> Result<Response<Bytes>, Problem> {
    peer.forward(method, "/thing", Bytes::new(), &[]).await
}

fn line(calls: &Calls) -> Line {
    calls.book().to("played").expect("it was asked").clone()
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_and_says_when_to_come_again() {
    let (played, flags) = (Played::new(), off());
    flags.set(PatternBreaker::On);
    let (peer, calls) = around(&played, &flags);
    played.next((0..3).map(|_| refused(Kind::Unavailable)));
    for _ in 0..3 {
        let answer = ask(&peer, Method::PUT).await.expect("its own refusal");
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    let problem = ask(&peer, Method::PUT).await.expect_err("open");
    assert!(problem.is(Kind::Unavailable) && problem.unsent, "{problem:?}");
    assert_eq!(problem.retry_after, Some(3600));
    assert!(problem.detail.expect("words").contains("try again in 3600 s"));
    let told = line(&calls).breakers["PUT"].clone();
    assert_eq!((told.state.as_str(), told.opened, told.refused, told.calls), ("open", 1, 1, 3));
    assert_eq!(played.asked(), 3);
    // Each method has a breaker of its own.
    assert!(ask(&peer, Method::GET).await.expect("an answer").status().is_success());
    flags.set(PatternBreaker::Off);
    assert!(ask(&peer, Method::PUT).await.expect("an answer").status().is_success());
}

#[tokio::test(start_paused = true)]
async fn answers_of_a_service_that_is_well_open_nothing() {
    let (played, flags) = (Played::new(), off());
    flags.set(PatternBreaker::On);
    let (peer, calls) = around(&played, &flags);
    let decided = Problem::new(Kind::Unavailable, "the payment came to nothing").about("/orders/1");
    for _ in 0..5 {
        let business = [Kind::OutOfStock, Kind::PaymentDeclined, Kind::NotFound].map(refused);
        played.next(business.into_iter().chain([refusal(&decided)]));
        for _ in 0..4 {
            ask(&peer, Method::PUT).await.expect("an answer");
        }
    }
    assert_eq!(line(&calls).breakers["PUT"].opened, 0);
}

#[tokio::test(start_paused = true)]
async fn answers_to_one_method_do_not_heal_another() {
    let (played, flags) = (Played::new(), off());
    flags.set(PatternBreaker::On);
    let (peer, calls) = around(&played, &flags);
    for _ in 0..3 {
        played.next([refused(Kind::TimedOut)]);
        ask(&peer, Method::PUT).await.expect("its own refusal");
        for method in [Method::GET, Method::POST] {
            ask(&peer, method).await.expect("well");
        }
    }
    assert_eq!(line(&calls).breakers["PUT"].opened, 1);
}

#[tokio::test(start_paused = true)]
async fn only_what_may_be_done_twice_is_asked_again() {
    for (retry, attempts) in
        [(PatternRetry::Off, 1), (PatternRetry::Budget, 3), (PatternRetry::Naive, 3)]
    {
        for (method, attempts) in
            [(Method::GET, attempts), (Method::PUT, attempts), (Method::POST, 1)]
        {
            let (played, flags) = (Played::new(), off());
            flags.set(retry);
            let (peer, _) = around(&played, &flags);
            // Some calls that are well, so that there is a budget.
            ask(&peer, Method::GET).await.expect("well");
            played.next((0..9).map(|_| refused(Kind::Unavailable)));
            let answer = ask(&peer, method.clone()).await.expect("its own refusal");
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(played.asked(), 1 + attempts, "{retry:?} {method}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_above_repeats_is_not_repeated_below() {
    let (played, flags) = (Played::new(), off());
    flags.set(PatternRetry::Budget);
    let (peer, calls) = around(&played, &flags);
    played.next((0..9).map(|_| refused(Kind::Unavailable)));
    asked_again(ask(&peer, Method::PUT)).await.expect("its own refusal");
    assert_eq!((played.asked(), calls.book().0.len()), (1, 0), "and it earns nothing");
    assert_eq!(played.header(0, &ATTEMPT), Some(1), "and those further down hear of it");
}

#[tokio::test(start_paused = true)]
async fn a_repeat_that_the_breaker_refuses_was_sent_all_the_same() {
    let (played, flags) = (Played::new(), off());
    flags.set(PatternBreaker::On);
    flags.set(PatternRetry::Budget);
    let (peer, _) = around(&played, &flags);
    ask(&peer, Method::PUT).await.expect("well");
    played.next((0..9).map(|_| refused(Kind::Unavailable)));
    // Three attempts, and the breaker is open.
    ask(&peer, Method::PUT).await.expect("its own refusal");
    assert!(ask(&peer, Method::PUT).await.expect_err("open").unsent, "nothing of this went out");

    let (played, flags) = (Played::new(), off());
    flags.set(PatternBreaker::On);
    flags.set(PatternRetry::Budget);
    let (peer, _) = around(&played, &flags);
    played.next((0..2).map(|_| refused(Kind::Unavailable)));
    for _ in 0..2 {
        asked_again(ask(&peer, Method::PUT)).await.expect("its own refusal");
    }
    played.next([refused(Kind::Unavailable)]);
    // The third failure in a row, and the repeat of it meets the breaker that it has opened.
    let problem = ask(&peer, Method::PUT).await.expect_err("open");
    assert!(problem.retry_after.is_some() && !problem.unsent, "{problem:?}");
}

#[tokio::test(start_paused = true)]
async fn one_service_takes_its_own_places_and_no_others() {
    let (played, well, flags) = (Played::new(), Played::new(), off());
    flags.set(PatternBulkhead::On);
    let (peer, calls) = around(&played, &flags);
    let other = calls.to(well.peer());
    let gate = Arc::clone(&played.gate);
    let held = gate.acquire_many(1000).await.expect("open");
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let peer = peer.clone();
            tokio::spawn(async move { ask(&peer, Method::GET).await })
        })
        .collect();
    while played.asked() < 2 {
        tokio::task::yield_now().await;
    }
    let problem = ask(&peer, Method::GET).await.expect_err("full");
    assert!(problem.is(Kind::Unavailable) && problem.unsent, "{problem:?}");
    ask(&other, Method::GET).await.expect("the other has places");
    drop(held);
    for one in waiting {
        one.await.expect("no panic").expect("an answer");
    }
    ask(&peer, Method::GET).await.expect("a place is free");
    assert_eq!((line(&calls).bulkhead.refused, played.asked()), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_answer_is_given_up() {
    for timeout in [PatternTimeout::Off, PatternTimeout::Deadline] {
        let (played, flags) = (Played::new(), off());
        flags.set(timeout);
        flags.set(PatternBreaker::On);
        let (peer, calls) = around(&played, &flags);
        let gate = Arc::clone(&played.gate);
        let _held = gate.acquire_many(1000).await.expect("open");
        let problem = ask(&peer, Method::PUT).await.expect_err("silence");
        assert!(problem.is(Kind::TimedOut) && !problem.unsent, "{problem:?}");
        assert_eq!(line(&calls).breakers["PUT"].failed, 1, "and that is a failure");
        let told = played.header(0, &TIME_LEFT);
        assert_eq!(told.is_some(), timeout == PatternTimeout::Deadline, "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_all_attempts_and_is_told_to_each() {
    let (played, flags) = (Played::new(), off());
    flags.set(PatternTimeout::Deadline);
    let (peer, calls) = around(&played, &flags);
    let in_time = |left| Context::until(Deadline::in_time(left));
    in_time(SECOND).scope(ask(&peer, Method::GET)).await.expect("in time");
    assert_eq!(played.header(0, &TIME_LEFT), Some(1_000));
    let gate = Arc::clone(&played.gate);
    let held = gate.acquire_many(1000).await.expect("open");
    let begun = tokio::time::Instant::now();
    let problem = in_time(SECOND).scope(ask(&peer, Method::GET)).await.expect_err("late");
    assert!(problem.is(Kind::TimedOut) && !problem.unsent, "{problem:?}");
    assert_eq!(begun.elapsed(), SECOND, "and not the four of its own patience");
    drop(held);
    let problem = in_time(Duration::ZERO).scope(ask(&peer, Method::GET)).await.expect_err("over");
    assert!(problem.is(Kind::TimedOut) && problem.unsent, "{problem:?}");
    assert_eq!(played.asked(), 2);
    in_time(Duration::ZERO).scope(beyond(ask(&peer, Method::GET))).await.expect("beyond it");
    drop(calls);
}

/// A service whose handler asks `peer`, and waits for a second before.
fn hop(flags: &Flags, peer: Peer) -> Router {
    let handler = move || {
        let peer = peer.clone();
        async move {
            tokio::time::sleep(SECOND).await;
            ask(&peer, Method::GET).await.map(Response::into_body)
        }
    };
    let calls = Calls::new("hop", flags.clone(), options());
    Router::new().route("/", get(handler)).layer(calls.arrivals())
}

async fn through(router: Router, left: &str) -> StatusCode {
    let request = Request::get("/").header(TIME_LEFT, left).body(axum::body::Body::empty());
    router.oneshot(request.expect("a request")).await.expect("an answer").status()
}

#[tokio::test(start_paused = true)]
async fn a_deadline_travels_through_a_service_and_gets_shorter() {
    let (played, flags) = (Played::new(), off());
    flags.set(PatternTimeout::Deadline);
    let (peer, _) = around(&played, &flags);
    assert_eq!(through(hop(&flags, peer.clone()), "3000").await, StatusCode::OK);
    assert_eq!(played.header(0, &TIME_LEFT), Some(2_000));
    // Over in the middle of its work, and over before any.
    for left in ["500", "0"] {
        assert_eq!(through(hop(&flags, peer.clone()), left).await, StatusCode::GATEWAY_TIMEOUT);
    }
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(played.asked(), 1, "nobody works past it");
    flags.set(PatternTimeout::Off);
    assert_eq!(through(hop(&flags, peer), "0").await, StatusCode::OK);
}
