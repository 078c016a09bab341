//! Retries as a tower layer: who is called, who is kept waiting, and who shares the budget.

use circuit_breakers::BoxError;
use circuit_breakers::bulkhead::Full;
use circuit_breakers::circuit_breaker::Open;
use circuit_breakers::retry::{
    Budget, Config, Counts, Outcome, Repeatable, Retries, Retry, RetryLayer,
};
use circuit_breakers::timeouts::{Deadline, Late, TIME_LEFT, TimeoutLayer};
use http::{Request, Response, StatusCode};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

/// What a shop says, by attempts.
type Says = fn() -> Result<StatusCode, BoxError>;

const WELL: Says = || Ok(StatusCode::OK);
const BUSY: Says = || Ok(StatusCode::SERVICE_UNAVAILABLE);

/// A service with one place, which is kept from `poll_ready` to the end of the answer.
struct Shop {
    place: Arc<Semaphore>,
    mine: Option<OwnedSemaphorePermit>,
    says: Arc<Mutex<VecDeque<Says>>>,
    /// What was left of the time, as each attempt was told.
    asked: Arc<Mutex<Vec<Option<u64>>>>,
    works: Duration,
}

impl Shop {
    fn that(says: impl IntoIterator<Item = Says>) -> Shop {
        Shop {
            place: Arc::new(Semaphore::new(1)),
            mine: None,
            says: Arc::new(Mutex::new(says.into_iter().collect())),
            asked: Arc::default(),
            works: Duration::ZERO,
        }
    }

    fn asked(&self) -> usize {
        self.asked.lock().expect("no panic").len()
    }
}

impl Clone for Shop {
    fn clone(&self) -> Shop {
        Shop {
            place: Arc::clone(&self.place),
            mine: None,
            says: Arc::clone(&self.says),
            asked: Arc::clone(&self.asked),
            works: self.works,
        }
    }
}

impl Service<Request<String>> for Shop {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.mine.is_none() {
            self.mine = Arc::clone(&self.place).try_acquire_owned().ok();
        }
        // Nobody is woken here: a test that has to wait for a place has found a defect.
        assert!(self.mine.is_some(), "the place was not given back");
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let place = self.mine.take().expect("called without having been asked whether it is ready");
        let left = request.headers().get(TIME_LEFT);
        let left = left.and_then(|left| left.to_str().ok()?.parse().ok());
        self.asked.lock().expect("no panic").push(left);
        let says = self.says.lock().expect("no panic").pop_front().unwrap_or(WELL);
        let works = self.works;
        Box::pin(async move {
            let _place = place;
            tokio::time::sleep(works).await;
            let mut response = Response::new(String::new());
            *response.status_mut() = says()?;
            Ok(response)
        })
    }
}

const PAUSE: Duration = Duration::from_secs(10);

fn config(percent: u32) -> Config {
    let budget = Budget { percent, reserve: 10 };
    Config { first: PAUSE, longest: 10 * PAUSE, budget, ..Config::default() }
}

fn retries(percent: u32) -> Arc<Retries> {
    Arc::new(Retries::new(config(percent), 7))
}

async fn ask<S>(service: &mut S, request: Request<String>) -> Result<StatusCode, BoxError>
where
    S: Service<Request<String>, Response = Response<String>, Error = BoxError>,
{
    poll_fn(|context| service.poll_ready(context)).await?;
    service.call(request).await.map(|answer| answer.status())
}

fn get() -> Request<String> {
    Request::new("in".to_owned())
}

#[tokio::test(start_paused = true)]
async fn the_one_that_is_ready_is_called_and_later_ones_are_asked_first() {
    let shop = Shop::that([BUSY, BUSY, WELL]);
    let mut service = RetryLayer::new(retries(1_000)).layer(shop.clone());
    for _ in 0..2 {
        assert_eq!(ask(&mut service, get()).await.unwrap(), StatusCode::OK);
    }
    assert_eq!(shop.asked(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_pause_keeps_no_place() {
    let shop = Shop::that([BUSY]);
    let service = RetryLayer::new(retries(1_000)).layer(shop.clone());
    let (mut first, mut second) = (service.clone(), service);
    let first = tokio::spawn(async move { ask(&mut first, get()).await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(shop.asked(), 1);
    // The first one waits. It would panic in poll_ready if its place were kept.
    assert_eq!(ask(&mut second, get()).await.unwrap(), StatusCode::OK);
    assert!(!first.is_finished(), "the pause was too short for this test: choose another seed");
    drop(second);
    assert_eq!(first.await.unwrap().unwrap(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn all_services_of_one_layer_share_a_budget() {
    let retries = retries(10);
    let layer = RetryLayer::new(Arc::clone(&retries));
    let shop = Shop::that([BUSY; 200]);
    for _ in 0..100 {
        let mut service = layer.clone().layer(shop.clone());
        assert_eq!(ask(&mut service, get()).await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(shop.asked(), 110);
    let Counts { offered, retried, denied } = retries.counts();
    assert_eq!((offered, retried), (100, 10));
    // Each tenth call has a retry, and is denied a second one.
    assert_eq!(denied, 100);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_late_is_repeated_until_the_deadline() {
    // Each attempt may take two seconds, all of them together five; the shop takes an hour.
    let shop = Shop { works: Duration::from_secs(3_600), ..Shop::that([]) };
    let short = Config { first: Duration::from_millis(500), attempts: 10, ..config(1_000) };
    let layer = RetryLayer::new(Arc::new(Retries::new(short, 7)));
    let attempt = TimeoutLayer::new(Duration::from_secs(2));
    let mut service = layer.layer(attempt.layer(shop.clone()));
    let mut request = get();
    request.extensions_mut().insert(Deadline::in_time(Duration::from_secs(5)));
    let began = Instant::now();
    let error = ask(&mut service, request).await.unwrap_err();
    assert!(error.is::<Late>(), "{error}");
    assert!(began.elapsed() <= Duration::from_millis(5_001), "{:?}", began.elapsed());
    let told = shop.asked.lock().unwrap().clone();
    assert!(told.len() >= 2, "{told:?}");
    assert!(told.iter().all(|left| left.is_some_and(|left| left <= 2_000)), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_asks_a_breaker_that_is_open_or_a_bulkhead_that_is_full_again() {
    let open: Says = || Err(Open { retry_after: Duration::from_secs(1) }.into());
    let full: Says = || Err(Full::Queue.into());
    let shop = Shop::that([open, full]);
    let mut service = RetryLayer::new(retries(1_000)).layer(shop.clone());
    assert!(ask(&mut service, get()).await.unwrap_err().is::<Open>());
    assert!(ask(&mut service, get()).await.unwrap_err().is::<Full>());
    assert_eq!(shop.asked(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_on_four_threads_spend_no_more_than_they_earned() {
    let first = Duration::from_micros(100);
    let budget = Budget { percent: 10, reserve: 1_000 };
    let retries = Arc::new(Retries::new(Config { first, budget, ..config(10) }, 7));
    let attempt = |_| async { Outcome::Failed(()) };
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let retries = Arc::clone(&retries);
            tokio::spawn(async move {
                for _ in 0..500 {
                    retries.call(Repeatable::Yes, None, attempt).await;
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let counts = retries.counts();
    assert_eq!(counts.offered, 2_000);
    // Whole retries: what four callers have earned at the end may be spent by nobody.
    assert!((198..=200).contains(&counts.retried), "{counts:?}");
}
