//! All layers of the topic around one client, in the order of docs/concepts/order_of_layers.md:
//! nobody is called who was not ready, each error is found by its type through all of them, and
//! what the outermost future held is free when it is dropped.

use circuit_breakers::BoxError;
use circuit_breakers::bulkhead::{self, Bulkhead, BulkheadLayer, Compartment, Counts, Full};
use circuit_breakers::circuit_breaker::{
    self, Breaker, BreakerLayer, CircuitBreaker, Judgement, Open, State,
};
use circuit_breakers::retry::{self, Budget, Retries, Retry, RetryLayer};
use circuit_breakers::timeouts::{DeadlineLayer, Late, TIME_LEFT, TimeoutLayer};
use http::{Request, Response};
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

const ALL: Duration = Duration::from_millis(1_000);
const EACH: Duration = Duration::from_millis(300);
const CONNECTIONS: usize = 2;

/// What one dependency has, shared by all who call it.
struct Patterns {
    retries: Arc<Retries>,
    breaker: Arc<Breaker>,
    bulkhead: Arc<Compartment>,
}

// ANCHOR: stack
/// From the inside out: what is said last is asked first.
fn in_order(
    client: Client,
    of: &Patterns,
) -> impl Service<Request<String>, Response = Response<String>, Error = BoxError, Future: Send + 'static>
+ Clone
+ Send
+ Sync
+ 'static {
    let client = TimeoutLayer::new(EACH).layer(client);
    let client = BulkheadLayer::new(Arc::clone(&of.bulkhead)).layer(client);
    let client = BreakerLayer::new(Arc::clone(&of.breaker), judge).layer(client);
    let client = RetryLayer::new(Arc::clone(&of.retries)).layer(client);
    DeadlineLayer::new(ALL).layer(client)
}
// ANCHOR_END: stack

fn judge(answer: &Result<Response<String>, BoxError>) -> Judgement {
    match answer {
        Ok(response) if response.status().is_server_error() => Judgement::Failure,
        Ok(_) => Judgement::Success,
        // Nobody was asked, so nobody has failed.
        Err(error) if error.is::<Full>() => Judgement::Ignored,
        Err(_) => Judgement::Failure,
    }
}

/// One place, nobody waits in vain, three failures in a row, three attempts that nobody denies.
fn patterns(queue: usize) -> Patterns {
    let config = circuit_breaker::Config {
        failures: 3,
        open_for: Duration::from_secs(60),
        probes: 1,
        slow_after: Duration::from_secs(60),
    };
    let budget = Budget { percent: 1_000, reserve: 1_000 };
    let first = Duration::from_millis(50);
    let repeats = retry::Config { attempts: 3, first, budget, ..retry::Config::default() };
    let size = bulkhead::Config { places: 1, queue, longest_wait: Duration::from_secs(60) };
    Patterns {
        retries: Arc::new(Retries::new(repeats, 7)),
        breaker: Arc::new(Breaker::new(config)),
        bulkhead: Arc::new(Compartment::new(size)),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the dependency's own error")]
struct Broken;

#[derive(Clone, Copy, Debug)]
enum Does {
    Answers,
    Fails,
    Hangs,
}

/// A client that may not be called unless it was asked, and has so many connections: `poll_ready`
/// takes one for this very clone.
struct Client {
    connections: Arc<Semaphore>,
    mine: Option<OwnedSemaphorePermit>,
    does: Arc<Mutex<Does>>,
    reached: Arc<AtomicU64>,
    at_work: Arc<AtomicU64>,
}

impl Client {
    fn that(does: Does) -> Client {
        Client {
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
            mine: None,
            does: Arc::new(Mutex::new(does)),
            reached: Arc::default(),
            at_work: Arc::default(),
        }
    }

    fn now(&self, does: Does) {
        *self.does.lock().unwrap_or_else(PoisonError::into_inner) = does;
    }

    fn reached(&self) -> u64 {
        self.reached.load(Ordering::SeqCst)
    }

    fn is_at_rest(&self) -> bool {
        self.at_work.load(Ordering::SeqCst) == 0
            && self.connections.available_permits() == CONNECTIONS
    }
}

impl Clone for Client {
    fn clone(&self) -> Client {
        Client {
            connections: Arc::clone(&self.connections),
            mine: None,
            does: Arc::clone(&self.does),
            reached: Arc::clone(&self.reached),
            at_work: Arc::clone(&self.at_work),
        }
    }
}

struct AtWork(Arc<AtomicU64>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service<Request<String>> for Client {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.mine.is_none() {
            self.mine = Arc::clone(&self.connections).try_acquire_owned().ok();
        }
        // Nobody is woken here: a test that has to wait for a connection has found a defect.
        assert!(self.mine.is_some(), "somebody keeps a connection who does not use it");
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let connection = self.mine.take().expect("called without having been asked");
        assert!(request.headers().contains_key(TIME_LEFT), "the next hop is told the time");
        self.reached.fetch_add(1, Ordering::SeqCst);
        self.at_work.fetch_add(1, Ordering::SeqCst);
        let at_work = AtWork(Arc::clone(&self.at_work));
        let does = *self.does.lock().unwrap_or_else(PoisonError::into_inner);
        Box::pin(async move {
            let _held = (connection, at_work);
            tokio::task::yield_now().await;
            match does {
                Does::Answers => Ok(Response::new(request.into_body())),
                Does::Fails => Err(Broken.into()),
                Does::Hangs => pending().await,
            }
        })
    }
}

async fn ask<S>(service: &mut S) -> Result<Response<String>, BoxError>
where
    S: Service<Request<String>, Response = Response<String>, Error = BoxError>,
{
    poll_fn(|context| service.poll_ready(context)).await?;
    service.call(Request::new("a request".to_owned())).await
}

fn start<S>(service: &S) -> JoinHandle<Result<Response<String>, BoxError>>
where
    S: Service<
            Request<String>,
            Response = Response<String>,
            Error = BoxError,
            Future: Send + 'static,
        > + Clone
        + Send
        + 'static,
{
    let mut service = service.clone();
    tokio::spawn(async move { ask(&mut service).await })
}

/// Until a task has come as far as it can. Time stands still meanwhile.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came to be: {what}");
}

async fn gone(task: JoinHandle<Result<Response<String>, BoxError>>) {
    task.abort();
    assert!(task.await.is_err_and(|stopped| stopped.is_cancelled()));
}

#[tokio::test(start_paused = true)]
async fn a_request_passes_all_layers_again_and_again() {
    let (client, of) = (Client::that(Does::Answers), patterns(0));
    let mut service = in_order(client.clone(), &of);
    for number in 1..=5 {
        let answer = ask(&mut service).await.expect("an answer");
        assert_eq!((answer.body().as_str(), client.reached()), ("a request", number));
    }
    assert!(client.is_at_rest());
    assert_eq!(of.bulkhead.counts(), Counts::default());
    assert_eq!(of.breaker.metrics().succeeded, 5);
    assert_eq!(of.retries.counts().retried, 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_only_asks_whether_it_is_ready_holds_nothing() {
    let (client, of) = (Client::that(Does::Answers), patterns(0));
    let service = in_order(client.clone(), &of);
    let mut idle = Vec::new();
    for _ in 0..5 {
        let mut clone = service.clone();
        poll_fn(|context| clone.poll_ready(context)).await.expect("ready");
        idle.push(clone);
    }
    assert!(client.is_at_rest());
    assert_eq!(of.bulkhead.counts(), Counts::default());
    ask(&mut service.clone()).await.expect("an answer, beside five that are idle");
    for mut clone in idle {
        ask(&mut clone).await.expect("an answer of one that was idle");
    }
}

#[tokio::test(start_paused = true)]
async fn each_error_is_found_by_its_type_through_all_layers() {
    // The bulkhead's: refused, not repeated, and no failure of the dependency.
    let (client, of) = (Client::that(Does::Hangs), patterns(0));
    let service = in_order(client.clone(), &of);
    let first = start(&service);
    until("one is at work", || client.reached() == 1).await;
    let error = ask(&mut service.clone()).await.expect_err("a refusal");
    assert_eq!(error.downcast_ref::<Full>(), Some(&Full::Queue));
    assert_eq!((client.reached(), of.retries.counts().retried), (1, 0));
    assert_eq!((of.breaker.metrics().ignored, of.breaker.metrics().failed), (1, 0));
    gone(first).await;

    // The timeout's, three times, and then its end is the answer.
    let (client, of) = (Client::that(Does::Hangs), patterns(0));
    let mut service = in_order(client.clone(), &of);
    let began = Instant::now();
    let error = ask(&mut service).await.expect_err("no answer");
    assert!(error.is::<Late>(), "{error}");
    assert!(began.elapsed() <= ALL, "three attempts and two pauses: {:?}", began.elapsed());
    assert_eq!((client.reached(), of.breaker.metrics().failed), (3, 3));
    assert!(client.is_at_rest());

    // The breaker's: that is what these three came to. Nobody repeats it.
    let of = Patterns { breaker: open_for(Duration::from_secs(60)).await, ..of };
    let mut service = in_order(client.clone(), &of);
    let (reached, retried) = (client.reached(), of.retries.counts().retried);
    let error = ask(&mut service).await.expect_err("a refusal");
    assert!(error.is::<Open>(), "{error}");
    assert_eq!((client.reached(), of.retries.counts().retried), (reached, retried));

    // The dependency's own.
    let (client, of) = (Client::that(Does::Fails), patterns(0));
    let error = ask(&mut in_order(client.clone(), &of)).await.expect_err("an error");
    assert!(error.is::<Broken>(), "{error}");
    assert_eq!((client.reached(), of.breaker.state()), (3, State::Open));
    assert_eq!(of.bulkhead.counts(), Counts::default());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_what_waits_for_a_place() {
    let (client, of) = (Client::that(Does::Hangs), patterns(1));
    // Somebody else has the only place, and no deadline.
    let bulkhead = Arc::clone(&of.bulkhead);
    let holder = tokio::spawn(async move { bulkhead.call(pending::<()>()).await });
    until("the place is taken", || of.bulkhead.counts().inside == 1).await;
    let began = Instant::now();
    let error = ask(&mut in_order(client.clone(), &of)).await.expect_err("no answer");
    assert!(error.is::<Late>(), "{error}");
    assert_eq!(began.elapsed().as_millis(), ALL.as_millis());
    assert_eq!((client.reached(), of.bulkhead.counts().waiting), (0, 0));
    // It has waited for us and not for the dependency, of which the breaker heard nothing.
    assert_eq!(of.breaker.metrics().failed, 0);
    holder.abort();
}

#[tokio::test(start_paused = true)]
async fn callers_in_a_hurry_open_no_breaker() {
    let (client, of) = (Client::that(Does::Hangs), patterns(0));
    let mut service = in_order(client.clone(), &of);
    // Three failures in a row open it; these are callers whose time was over before EACH.
    for _ in 0..5 {
        let mut request = Request::new("a request".to_owned());
        request.headers_mut().insert(TIME_LEFT, 20.into());
        let error = service.call(request).await.expect_err("no answer in 20 ms");
        assert!(error.is::<Late>(), "{error}");
    }
    assert!(client.is_at_rest());
    assert_eq!((client.reached(), of.retries.counts().retried), (5, 0));
    assert_eq!((of.breaker.state(), of.breaker.metrics().failed), (State::Closed, 0));
}

#[tokio::test]
async fn callers_without_a_whole_millisecond_open_no_breaker() {
    let (client, of) = (Client::that(Does::Hangs), patterns(0));
    let mut service = in_order(client.clone(), &of);
    for _ in 0..20 {
        let mut request = Request::new("a request".to_owned());
        request.headers_mut().insert(TIME_LEFT, 1.into());
        let error = service.call(request).await.expect_err("no answer in 1 ms");
        assert!(error.is::<Late>(), "{error}");
    }
    assert_eq!(client.reached(), 0, "there was less than a millisecond to tell it of");
    assert_eq!((of.breaker.state(), of.breaker.metrics().failed), (State::Closed, 0));
}

#[tokio::test(start_paused = true)]
async fn dropped_at_work_it_gives_everything_back() {
    let (client, of) = (Client::that(Does::Hangs), patterns(0));
    let service = in_order(client.clone(), &of);
    let task = start(&service);
    until("it is at work", || client.reached() == 1).await;
    assert_eq!(of.bulkhead.counts().inside, 1);
    gone(task).await;
    assert!(client.is_at_rest());
    assert_eq!(of.bulkhead.counts(), Counts::default());
    tokio::time::sleep(10 * ALL).await;
    assert_eq!(client.reached(), 1, "nobody repeats what nobody waits for");
    client.now(Does::Answers);
    ask(&mut service.clone()).await.expect("an answer");
}

#[tokio::test(start_paused = true)]
async fn dropped_in_the_queue_it_leaves_it() {
    let (client, of) = (Client::that(Does::Hangs), patterns(1));
    let service = in_order(client.clone(), &of);
    let first = start(&service);
    until("the first is at work", || client.reached() == 1).await;
    let second = start(&service);
    until("the second waits", || of.bulkhead.counts().waiting == 1).await;
    gone(second).await;
    assert_eq!(of.bulkhead.counts(), Counts { inside: 1, waiting: 0, refused: 0 });
    gone(first).await;
    assert!(client.is_at_rest());
    assert_eq!((client.reached(), of.bulkhead.counts()), (1, Counts::default()));
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_nothing_and_dropped_in_it_nothing_goes_on() {
    let (client, of) = (Client::that(Does::Fails), patterns(0));
    let service = in_order(client.clone(), &of);
    let task = start(&service);
    until("the first attempt has failed", || of.breaker.metrics().failed == 1).await;
    assert!(client.is_at_rest());
    assert_eq!(of.bulkhead.counts(), Counts::default(), "no place in a pause");
    gone(task).await;
    tokio::time::sleep(10 * ALL).await;
    assert_eq!(client.reached(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_or_refused_gives_its_permit_back() {
    let (client, of) = (Client::that(Does::Hangs), patterns(0));
    let of = Patterns { breaker: open_for(Duration::from_millis(1)).await, ..of };
    // failsafe's clock is the machine's, which no test stops. The next call finds it half-open.
    std::thread::sleep(Duration::from_millis(5));
    let service = in_order(client.clone(), &of);
    let probe = start(&service);
    until("the probe is at work", || client.reached() == 1).await;
    let error = ask(&mut service.clone()).await.expect_err("one probe at a time");
    assert!(error.is::<Open>(), "{error}");
    gone(probe).await;
    assert!(client.is_at_rest());

    // A probe that finds the bulkhead full has probed nothing.
    let bulkhead = Arc::clone(&of.bulkhead);
    let holder = tokio::spawn(async move { bulkhead.call(pending::<()>()).await });
    until("the place is taken", || of.bulkhead.counts().inside == 1).await;
    let error = ask(&mut service.clone()).await.expect_err("no place");
    assert!(error.is::<Full>(), "{error}");
    holder.abort();
    until("the place is free", || of.bulkhead.counts().inside == 0).await;

    client.now(Does::Answers);
    ask(&mut service.clone()).await.expect("the next probe");
    assert_eq!(of.breaker.state(), State::Closed);
}

/// A breaker that has opened, and stays so for this long.
async fn open_for(open_for: Duration) -> Arc<Breaker> {
    let slow_after = Duration::from_secs(60);
    let config = circuit_breaker::Config { failures: 1, open_for, probes: 1, slow_after };
    let breaker = Breaker::new(config);
    let fails = async { Err::<(), _>("on purpose") };
    let _ = breaker.call(|_| Judgement::Failure, fails).await;
    assert_eq!(breaker.state(), State::Open);
    Arc::new(breaker)
}
