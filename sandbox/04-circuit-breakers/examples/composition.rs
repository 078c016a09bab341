//! The layers of topic 04 around one client, in the right order and in five wrong ones.
//!
//! ```console
//! $ cargo run --example composition
//! ```
//!
//! Ends by itself after some six seconds. It is no lesson of its own:
//! docs/concepts/order_of_layers.md reads its figures.

use circuit_breakers::BoxError;
use circuit_breakers::bulkhead::{Bulkhead, BulkheadLayer, Compartment, Config as Size, Full};
use circuit_breakers::circuit_breaker::{
    Breaker, BreakerLayer, CircuitBreaker, Config as Opens, Judgement, State,
};
use circuit_breakers::retry::{ATTEMPT, Budget, Config as Repeats, Retries, Retry, RetryLayer};
use circuit_breakers::timeouts::{DeadlineLayer, Late, TimeoutLayer};
use http::{Request, Response, StatusCode};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, cmd};
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use testbed::redis::Redis;
use tower_layer::Layer;
use tower_service::Service;

const NEVER: Duration = Duration::from_secs(60);

// On one thread, so that what is counted does not depend on how many there are.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("The order of the layers · deadline, retry, breaker, bulkhead, timeout");
    let seed = page::seed()?;
    let (stands, is_well) = (testbed::redis::private().await?, testbed::redis::private().await?);
    page::note(is_well.origin());
    retry_and_breaker(seed).await;
    retry_and_timeout(&stands, &is_well, seed).await?;
    breaker_and_timeout().await;
    retry_and_bulkhead(seed).await;
    bulkhead_and_timeout().await;
    page::next(&[
        ("docs/concepts/order_of_layers.md", "why, and what others do"),
        ("cargo lab start bulkhead", "write one of them yourself"),
    ]);
    Ok(())
}

// ANCHOR: judge
/// What an answer says of the dependency.
fn judge(answer: &Result<Response<String>, BoxError>) -> Judgement {
    match answer {
        Ok(response) if response.status().is_server_error() => Judgement::Failure,
        Ok(_) => Judgement::Success,
        // How busy we are, and not how the dependency is: it was not asked.
        Err(error) if error.is::<Full>() => Judgement::Ignored,
        Err(_) => Judgement::Failure,
    }
}
// ANCHOR_END: judge

fn breaker(failures: u32, slow_after: Duration) -> Arc<Breaker> {
    Arc::new(Breaker::new(Opens { failures, open_for: NEVER, probes: 1, slow_after }))
}

fn before<S>(breaker: &Arc<Breaker>, client: S) -> impl Caller
where
    S: Caller,
{
    BreakerLayer::new(Arc::clone(breaker), judge).layer(client)
}

/// Three attempts, and a budget that denies nobody: it would hide what the order does.
fn retries(seed: u64, first: Duration, transient: fn(&BoxError) -> bool) -> Arc<Retries> {
    let budget = Budget { percent: 200, reserve: 100 };
    let config = Repeats { attempts: 3, first, budget, transient, ..Repeats::default() };
    Arc::new(Retries::new(config, seed))
}

/// Part 1: who counts what.
async fn retry_and_breaker(seed: u64) {
    const CALLS: u64 = 20;
    page::part(1, "The retry and the breaker");
    page::note("20 calls to a dependency that is down. The breaker opens after 5 failures");
    page::note("in a row, the retry makes 3 attempts.");
    let mut told = Vec::new();
    let only_what_helps = Repeats::default().transient;
    let anything: fn(&BoxError) -> bool = |_| true;
    for (outside, transient) in
        [(true, only_what_helps), (false, only_what_helps), (true, anything)]
    {
        let (down, breaker) = (Dependency::of(|_| Box::pin(async { error() })), breaker(5, NEVER));
        let retry = retries(seed, Duration::from_millis(1), transient);
        let repeated = RetryLayer::new(Arc::clone(&retry));
        let mut until_open = 0;
        let mut count = |_: Heard| until_open += u64::from(breaker.state() == State::Closed);
        match outside {
            true => each(CALLS, repeated.layer(before(&breaker, down.clone())), &mut count).await,
            false => each(CALLS, before(&breaker, repeated.layer(down.clone())), &mut count).await,
        }
        // The call that opened it found it closed when it came.
        let calls = until_open + 1;
        told.push([down.reached(), calls, breaker.metrics().refused, retry.counts().retried]);
    }
    page::heads(&["retry outside", "retry inside", "repeats a no"]);
    table(&["reached the dependency", "calls until it is open", "refused by it", "pauses"], &told);
    page::note("Inside, three failures are one to the breaker: what is down is asked three");
    page::note("times as often. And a no is an answer: who repeats it waits for nothing.");
}

/// Part 2: who is cut off.
async fn retry_and_timeout(stands: &Redis, is_well: &Redis, seed: u64) -> anyhow::Result<()> {
    const CALLS: u64 = 10;
    const EACH: Duration = Duration::from_millis(100);
    const ALL: Duration = Duration::from_millis(400);
    page::part(2, "The timeout and the retry");
    page::note("Two replicas in turns; one of them stands still (SIGSTOP). 10 calls, each");
    page::note("with a deadline of 400 ms, and 100 ms for one attempt.");
    let replicas = [connect(stands).await?, connect(is_well).await?];
    stands.stop_process().await?;
    let mut told = Vec::new();
    let mut waited = Vec::new();
    for each_attempt in [true, false] {
        let in_turns = replicas.clone();
        let replicas = Dependency::of(move |asked| {
            let mut connection = in_turns[asked.nth as usize % 2].clone();
            Box::pin(async move {
                let _: Option<String> =
                    cmd("GET").arg("price:7").query_async(&mut connection).await?;
                Ok(Response::new("a price".to_owned()))
            })
        });
        let retry = retries(seed, Duration::from_millis(1), Repeats::default().transient);
        let (repeated, all) = (RetryLayer::new(Arc::clone(&retry)), DeadlineLayer::new(ALL));
        let (mut answered, began) = (0, Instant::now());
        let mut count = |heard| answered += u64::from(heard == Heard::Answer);
        match each_attempt {
            true => {
                let client = TimeoutLayer::new(EACH).layer(replicas.clone());
                each(CALLS, all.layer(repeated.layer(client)), &mut count).await;
            }
            false => each(CALLS, all.layer(repeated.layer(replicas.clone())), &mut count).await,
        }
        waited.push(began.elapsed());
        told.push([answered, replicas.reached()]);
    }
    stands.continue_process().await?;
    page::heads(&["each, and all", "all only"]);
    table(&["answered, of 10", "attempts"], &told);
    page::row("waited, all in all", page::millis(waited[0]), &[page::millis(waited[1])], "");
    page::note("Without a limit of its own the first attempt takes the time of all, and");
    page::note("none is left for the one that would have been answered.");
    Ok(())
}

/// Part 3: who hears of it.
async fn breaker_and_timeout() {
    const CALLS: u64 = 20;
    const PATIENCE: Duration = Duration::from_millis(30);
    page::part(3, "The timeout and the breaker");
    page::note("20 calls to a dependency that hangs, each given up after 30 ms. The breaker");
    page::note("opens after 5 failures in a row. A call that is dropped is one if it had");
    page::note("run for slow_after: 60 s, and in the last column 20 ms.");
    let mut told = Vec::new();
    let short = Duration::from_millis(20);
    for (inside, slow_after) in [(true, NEVER), (false, NEVER), (false, short)] {
        let (hangs, breaker) = (Dependency::of(|_| Box::pin(pending())), breaker(5, slow_after));
        let timeout = TimeoutLayer::new(PATIENCE);
        let mut late = 0;
        let mut count = |heard| late += u64::from(heard == Heard::Late);
        match inside {
            true => each(CALLS, before(&breaker, timeout.layer(hangs.clone())), &mut count).await,
            false => each(CALLS, timeout.layer(before(&breaker, hangs.clone())), &mut count).await,
        }
        told.push([hangs.reached(), late, breaker.metrics().refused]);
    }
    page::heads(&["timeout inside", "outside, 60 s", "outside, 20 ms"]);
    table(&["reached the dependency", "waited in vain", "refused at once"], &told);
    page::note("Inside, Late is a result, and the breaker judges it. Outside, its future is");
    page::note("dropped: that it was a failure it knows by slow_after alone.");
}

/// Part 4: who has a place while nothing happens.
async fn retry_and_bulkhead(seed: u64) {
    const CALLS: u64 = 10;
    page::part(4, "The retry and the bulkhead");
    page::note("10 calls at once; each first attempt fails at once, each second succeeds.");
    page::note("2 places, no queue, pauses of up to 200 ms.");
    let mut told = Vec::new();
    for inside in [true, false] {
        let hiccups = Dependency::of(|asked| {
            Box::pin(async move { if asked.attempt == "1" { error() } else { answer() } })
        });
        let (repeated, size) = (
            RetryLayer::new(retries(
                seed,
                Duration::from_millis(200),
                Repeats::default().transient,
            )),
            Size { places: 2, queue: 0, longest_wait: NEVER },
        );
        let bulkhead = Arc::new(Compartment::new(size));
        let places = BulkheadLayer::new(Arc::clone(&bulkhead));
        let taken = |heard: Vec<Heard>, held| {
            let of = |what| heard.iter().filter(|heard| **heard == what).count() as u64;
            [of(Heard::Answer), of(Heard::Full), hiccups.reached(), held]
        };
        let (heard, held) = match inside {
            true => burst(CALLS, repeated.layer(places.layer(hiccups.clone())), &bulkhead).await,
            false => burst(CALLS, places.layer(repeated.layer(hiccups.clone())), &bulkhead).await,
        };
        told.push(taken(heard, held));
    }
    page::heads(&["bulkhead inside", "outside"]);
    table(&["answered, of 10", "refused", "attempts", "places held in the pause"], &told);
    page::note("Outside, who pauses has a place, and the dependency has nothing to do.");
}

/// Part 5: whose fault it is.
async fn bulkhead_and_timeout() {
    const CALLS: u64 = 8;
    page::part(5, "The timeout and the bulkhead");
    page::note("8 calls at once to a dependency that is well and takes 50 ms; one place, and");
    page::note("room for all to wait. Patience: 120 ms. The breaker opens after 3 failures.");
    let mut told = Vec::new();
    for inside in [true, false] {
        let is_well = Dependency::of(|_| {
            Box::pin(async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                answer()
            })
        });
        let breaker = breaker(3, NEVER);
        let size = Size { places: 1, queue: 10, longest_wait: Duration::from_secs(5) };
        let bulkhead = Arc::new(Compartment::new(size));
        let places = BulkheadLayer::new(Arc::clone(&bulkhead));
        let timeout = TimeoutLayer::new(Duration::from_millis(120));
        let (heard, _) = match inside {
            true => {
                let client = places.layer(timeout.layer(is_well.clone()));
                burst(CALLS, before(&breaker, client), &bulkhead).await
            }
            false => {
                let client = timeout.layer(places.layer(is_well.clone()));
                burst(CALLS, before(&breaker, client), &bulkhead).await
            }
        };
        let of = |what| heard.iter().filter(|heard| **heard == what).count() as u64;
        told.push([of(Heard::Answer), of(Heard::Late), breaker.metrics().opened]);
    }
    page::heads(&["timeout inside", "outside"]);
    table(&["answered, of 8", "late", "the breaker opened"], &told);
    page::note("Outside, the clock runs in our own queue: a dependency that has answered");
    page::note("each call in its time is taken for dead.");
}

fn table<const N: usize>(rows: &[&str; N], columns: &[[u64; N]]) {
    for (row, what) in rows.iter().enumerate() {
        let cells: Vec<_> = columns.iter().map(|column| page::count(column[row])).collect();
        page::row(what, &cells[0], &cells[1..], "");
    }
}

/// A client, or one with layers around.
trait Caller:
    Service<Request<()>, Response = Response<String>, Error = BoxError, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Caller for S where
    S: Service<Request<()>, Response = Response<String>, Error = BoxError, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Answer,
    Late,
    Full,
    Else,
}

async fn ask(mut client: impl Caller) -> Heard {
    let answer = async {
        poll_fn(|context| client.poll_ready(context)).await?;
        client.call(Request::new(())).await
    };
    match answer.await {
        Ok(response) if response.status().is_success() => Heard::Answer,
        Ok(_) => Heard::Else,
        Err(error) if error.is::<Late>() => Heard::Late,
        Err(error) if error.is::<Full>() => Heard::Full,
        Err(_) => Heard::Else,
    }
}

/// So many calls, one after the other.
async fn each(calls: u64, client: impl Caller, heard: &mut impl FnMut(Heard)) {
    for _ in 0..calls {
        heard(ask(client.clone()).await);
    }
}

/// So many calls at once: what came of them, and how many places were taken when all had begun.
async fn burst(calls: u64, client: impl Caller, bulkhead: &Compartment) -> (Vec<Heard>, u64) {
    let tasks: Vec<_> = (0..calls).map(|_| tokio::spawn(ask(client.clone()))).collect();
    // On this one thread each has come as far as it could by then.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let held = bulkhead.counts().inside as u64;
    let mut heard = Vec::new();
    for task in tasks {
        heard.push(task.await.unwrap_or(Heard::Else));
    }
    (heard, held)
}

/// What the dependency is asked.
struct Asked {
    /// Counted from 0.
    nth: u64,
    /// As the retry says it.
    attempt: String,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<String>, BoxError>> + Send>>;

/// A dependency that counts how often it is reached.
#[derive(Clone)]
struct Dependency {
    reached: Arc<AtomicU64>,
    answers: Arc<dyn Fn(Asked) -> Answering + Send + Sync>,
}

impl Dependency {
    fn of(answers: impl Fn(Asked) -> Answering + Send + Sync + 'static) -> Dependency {
        Dependency { reached: Arc::default(), answers: Arc::new(answers) }
    }

    fn reached(&self) -> u64 {
        self.reached.load(Ordering::SeqCst)
    }
}

impl Service<Request<()>> for Dependency {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Answering {
        let nth = self.reached.fetch_add(1, Ordering::SeqCst);
        let attempt = request.headers().get(ATTEMPT).and_then(|text| text.to_str().ok());
        (self.answers)(Asked { nth, attempt: attempt.unwrap_or_default().to_owned() })
    }
}

fn answer() -> Result<Response<String>, BoxError> {
    Ok(Response::new("an answer".to_owned()))
}

fn error() -> Result<Response<String>, BoxError> {
    let mut response = Response::new("not now".to_owned());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    Ok(response)
}

/// A connection without a timeout of its own.
async fn connect(redis: &Redis) -> anyhow::Result<MultiplexedConnection> {
    let patient = AsyncConnectionConfig::new().set_response_timeout(None);
    let client = Client::open(redis.url())?;
    Ok(client.get_multiplexed_async_connection_with_config(&patient).await?)
}
