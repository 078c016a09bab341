//! Deadlines as layers, on a clock that the tests move.

use circuit_breakers::BoxError;
use circuit_breakers::timeouts::{
    Deadline, DeadlineLayer, Deadlines, Late, OneDeadline, TIME_LEFT, TimeoutLayer,
};
use http::{HeaderMap, HeaderValue, Request, Response};
use proptest::prelude::*;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

type Answering = Pin<Box<dyn Future<Output = Result<Response<String>, BoxError>> + Send>>;

/// A service with so many places, found by `poll_ready` for this very clone and held until the
/// answer, as tower's ConcurrencyLimit has them. It takes its time, and then says what was left.
struct Slow {
    takes: Duration,
    places: Arc<Semaphore>,
    mine: Option<OwnedSemaphorePermit>,
    waiting: Option<Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send>>>,
    calls: Arc<AtomicUsize>,
    answers: Arc<AtomicUsize>,
}

impl Slow {
    fn new(takes: Duration, places: usize) -> Slow {
        let places = Arc::new(Semaphore::new(places));
        let (calls, answers) = (Arc::default(), Arc::default());
        Slow { takes, places, mine: None, waiting: None, calls, answers }
    }
}

impl Clone for Slow {
    fn clone(&self) -> Slow {
        let (places, calls) = (Arc::clone(&self.places), Arc::clone(&self.calls));
        let answers = Arc::clone(&self.answers);
        Slow { takes: self.takes, places, mine: None, waiting: None, calls, answers }
    }
}

impl Service<Request<String>> for Slow {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.mine.is_none() {
            let places = Arc::clone(&self.places);
            let waiting = self.waiting.get_or_insert_with(|| {
                Box::pin(async move { places.acquire_owned().await.expect("never closed") })
            });
            self.mine = Some(std::task::ready!(waiting.as_mut().poll(context)));
            self.waiting = None;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Answering {
        let place = self.mine.take().expect("called without a place");
        self.calls.fetch_add(1, Ordering::SeqCst);
        let (takes, answers) = (self.takes, Arc::clone(&self.answers));
        let told = request.headers().get(TIME_LEFT).cloned();
        Box::pin(async move {
            tokio::time::sleep(takes).await;
            drop(place);
            answers.fetch_add(1, Ordering::SeqCst);
            let mut response = Response::new(String::new());
            response.headers_mut().extend(told.map(|told| (TIME_LEFT, told)));
            Ok(response)
        })
    }
}

async fn ask<S>(service: &mut S, request: Request<String>) -> Result<Response<String>, BoxError>
where
    S: Service<Request<String>, Response = Response<String>, Error = BoxError>,
{
    poll_fn(|context| service.poll_ready(context)).await?;
    service.call(request).await
}

fn told(millis: u64) -> Request<String> {
    let mut request = Request::default();
    request.headers_mut().insert(TIME_LEFT, HeaderValue::from(millis));
    request
}

fn until(deadline: Deadline) -> Request<String> {
    let mut request = Request::default();
    request.extensions_mut().insert(deadline);
    request
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[tokio::test(start_paused = true)]
async fn a_server_stops_at_the_earlier_of_its_own_and_its_callers_time() {
    for (told_millis, longest, stops) in [(300, 500, 300), (500, 300, 300), (0, 500, 0)] {
        let slow = Slow::new(millis(1_000), 1);
        let mut server = DeadlineLayer::new(millis(longest)).layer(slow.clone());
        let began = Instant::now();
        let late = ask(&mut server, told(told_millis)).await.expect_err("it takes a second");
        assert!(late.is::<Late>());
        let took = began.elapsed().as_millis();
        // Tokio's timers are whole milliseconds.
        assert!((stops..=stops + 1).contains(&took), "{took} and not {stops}");
        assert_eq!(slow.calls.load(Ordering::SeqCst), usize::from(told_millis > 0));
        assert_eq!(slow.places.available_permits(), 1, "its place is free");
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_counts_and_leaves_none_taken() {
    let slow = Slow::new(millis(1_000), 1);
    let client = TimeoutLayer::new(millis(1_200)).layer(slow.clone());
    let (mut first, mut second, mut third) = (client.clone(), client.clone(), client);
    let (first, second, third) = tokio::join!(
        ask(&mut first, Request::default()),
        ask(&mut second, Request::default()),
        ask(&mut third, until(Deadline::in_time(millis(500)))),
    );
    assert!(first.is_ok());
    // It has had its place for 0.2 s.
    assert!(second.expect_err("no time").is::<Late>());
    assert!(third.expect_err("no place").is::<Late>());
    assert_eq!(slow.calls.load(Ordering::SeqCst), 2);
    assert_eq!(slow.answers.load(Ordering::SeqCst), 1);
    assert_eq!(slow.places.available_permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn tries_share_the_deadline_and_none_begins_past_it() {
    let slow = Slow::new(millis(1_000), 9);
    let mut client = TimeoutLayer::new(millis(80)).layer(slow.clone());
    let deadline = Deadline::in_time(millis(200));
    let began = Instant::now();
    for _ in 0..9 {
        let late = ask(&mut client, until(deadline)).await.expect_err("it takes a second");
        assert!(late.is::<Late>());
    }
    assert_eq!(slow.calls.load(Ordering::SeqCst), 3, "80, 80, 40 ms");
    assert!(began.elapsed() < millis(205));
}

#[tokio::test(start_paused = true)]
async fn layers_within_layers_have_the_earliest_of_all() {
    let slow = Slow::new(millis(1_000), 1);
    let patient = TimeoutLayer::new(millis(900)).layer(slow);
    let mut both = TimeoutLayer::new(millis(300)).layer(patient);
    let began = Instant::now();
    assert!(ask(&mut both, Request::default()).await.expect_err("too slow").is::<Late>());
    assert!(began.elapsed() < millis(305));

    let quick = Slow::new(millis(100), 1);
    let patient = TimeoutLayer::new(millis(900)).layer(quick);
    let mut both = TimeoutLayer::new(millis(300)).layer(patient);
    let answer = ask(&mut both, Request::default()).await.expect("in time");
    assert_eq!(answer.headers()[TIME_LEFT], "300", "the clock stands still until it is asked");
}

#[tokio::test(start_paused = true)]
async fn work_is_not_polled_after_the_deadline() {
    let polls = AtomicUsize::new(0);
    let work = poll_fn(|_| {
        polls.fetch_add(1, Ordering::SeqCst);
        Poll::<()>::Pending
    });
    let mut within = Box::pin(Deadline::in_time(millis(50)).within(work));
    assert!(poll_fn(|context| Poll::Ready(within.as_mut().poll(context))).await.is_pending());
    tokio::time::advance(millis(60)).await;
    assert_eq!(within.await, Err(Late));
    assert_eq!(polls.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_late_is_dropped_though_its_future_is_kept() {
    let held = Arc::new(());
    let theirs = Arc::clone(&held);
    let work = async move {
        let _theirs = theirs;
        std::future::pending::<()>().await;
    };
    let mut within = Box::pin(Deadline::in_time(millis(50)).within(work));
    assert_eq!(within.as_mut().await, Err(Late));
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(within.await, Err(Late), "and so it stays");
}

#[tokio::test(start_paused = true)]
async fn a_task_ends_though_nobody_polls_its_handle() {
    let held = Arc::new(());
    let theirs = Arc::clone(&held);
    let task = OneDeadline::spawn(Deadline::in_time(millis(50)), async move {
        let _theirs = theirs;
        std::future::pending::<()>().await;
    });
    tokio::time::sleep(millis(60)).await;
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(task.await, Err(Late));
}

#[test]
fn no_limit_at_all_is_no_overflow() {
    let far = Deadline::in_time(Duration::MAX);
    assert!(far.left() > Duration::from_secs(86_400 * 365));
    assert_eq!(far.at_most(Duration::ZERO).left(), Duration::ZERO);
    let mut headers = HeaderMap::new();
    assert_eq!(far.tell(&mut headers), Ok(()));
    assert!(Deadline::from_headers(&headers).is_some());
}

#[test]
fn an_odd_word_takes_no_other_along() {
    for line in ["20, ²", "²,20", "soon, 20"] {
        let mut headers = HeaderMap::new();
        headers.append(TIME_LEFT, HeaderValue::from_bytes(line.as_bytes()).expect("a value"));
        let deadline = Deadline::from_headers(&headers).expect("20 can be read");
        assert!(deadline.left() <= millis(20), "{line}");
    }
}

proptest! {
    /// Over any number of hops the time only falls, and by less than a millisecond each.
    #[test]
    fn what_is_passed_on_only_falls(micros in 1_u64..10_000_000, hops in 1_usize..20) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let first = Deadline::in_time(Duration::from_micros(micros));
            let mut deadline = first;
            for _ in 0..hops {
                let mut headers = HeaderMap::new();
                if deadline.tell(&mut headers).is_err() {
                    prop_assert!(deadline.left() < millis(1));
                    return Ok(());
                }
                let next = Deadline::from_headers(&headers).expect("just written");
                prop_assert!(next <= deadline);
                prop_assert!(deadline.left() - next.left() < millis(1));
                deadline = next;
            }
            Ok(())
        })?;
    }

    /// No header panics, and none gives more than was asked for.
    #[test]
    fn no_header_harms(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let mut headers = HeaderMap::new();
            headers.append(TIME_LEFT, value);
            headers.append(TIME_LEFT, HeaderValue::from(700));
            let deadline = Deadline::from_headers(&headers).expect("one of them can be read");
            prop_assert!(deadline.left() <= millis(700));
        }
    }
}
