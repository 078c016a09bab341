//! 04.3 · Retry: what a repeat is worth, what it costs, and what must not be repeated.
//!
//! ```console
//! $ cargo run --example retry
//! ```
//!
//! Ends by itself after some two seconds.

use circuit_breakers::BoxError;
use circuit_breakers::retry::{
    Budget, Config, Counts, Outcome, Repeatable, Retries, Retry, RetryLayer,
};
use circuit_breakers::timeouts::Deadline;
use http::{Request, Response, StatusCode};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, IntoConnectionInfo, ProtocolVersion};
use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use testbed::proxy::Proxy;
use testbed::together;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

const CALLS: u64 = 1_000;

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("04.3 retry · ask once more, where it helps and where it may be");
    let seed = page::seed()?;
    let redis = testbed::redis::private().await?;
    page::note(redis.origin());
    load(seed).await?;
    // Tokio's clock stands still there while anybody works, so that a busy machine makes no herd.
    let paused = move || -> anyhow::Result<()> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build()?.block_on(herd(seed));
        Ok(())
    };
    tokio::task::spawn_blocking(paused).await??;
    twice(redis.url(), seed).await?;
    page::next(&[
        ("cargo lab start retry", "write it yourself, and be lied to"),
        ("cargo lab why retry", "the wrong answers, and how they die"),
    ]);
    Ok(())
}

/// Three attempts for everything, at once: what a loop around a client comes to.
struct Naive;

impl Retry for Naive {
    fn new(_: Config, _: u64) -> Naive {
        Naive
    }

    async fn call<T, A, F>(&self, _: Repeatable, _: Option<Deadline>, mut attempt: A) -> T
    where
        T: Send + 'static,
        A: FnMut(u32) -> F + Send + 'static,
        F: Future<Output = Outcome<T>> + Send + 'static,
    {
        let mut nth = 1;
        loop {
            match attempt(nth).await {
                Outcome::Failed(_) | Outcome::Busy(..) if nth < 3 => nth += 1,
                Outcome::Final(last) | Outcome::Failed(last) | Outcome::Busy(last, _) => {
                    return last;
                }
            }
        }
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
        let attempt = move |_| {
            let answer = attempt(request.clone());
            async move {
                match answer.await {
                    Ok(response) if response.status().is_success() => Outcome::Final(Ok(response)),
                    failed => Outcome::Failed(failed),
                }
            }
        };
        self.call(Repeatable::Yes, None, attempt).await
    }

    fn counts(&self) -> Counts {
        Counts::default()
    }
}

/// A dependency that fails a part of its calls, and counts all of them.
#[derive(Clone)]
struct Dependency {
    fails: f64,
    random: Arc<Mutex<StdRng>>,
    asked: Arc<AtomicU64>,
}

impl Dependency {
    fn failing(fails: f64, seed: u64) -> Dependency {
        let random = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        Dependency { fails, random, asked: Arc::default() }
    }
}

impl Service<Request<String>> for Dependency {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let mut response = Response::new(String::new());
        if random.random_bool(self.fails) {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        ready(Ok(response))
    }
}

/// How many of all calls succeeded, and how often the dependency was asked for each.
struct Run {
    succeeded: f64,
    load: f64,
}

async fn calls<S, E>(mut client: S, asked: &AtomicU64) -> Run
where
    S: Service<Request<String>, Response = Response<String>, Error = E>,
{
    let mut succeeded = 0_u64;
    for _ in 0..CALLS {
        let answer = match poll_fn(|context| client.poll_ready(context)).await {
            Ok(()) => client.call(Request::new(String::new())).await,
            Err(error) => Err(error),
        };
        succeeded += u64::from(answer.is_ok_and(|answer| answer.status().is_success()));
    }
    let part = |number: u64| number as f64 / CALLS as f64;
    Run { succeeded: part(succeeded), load: part(asked.load(Ordering::Relaxed)) }
}

/// Short pauses, for this is about numbers.
fn config(percent: u32) -> Config {
    let budget = Budget { percent, reserve: 10 };
    Config { first: Duration::from_millis(1), budget, ..Config::default() }
}

/// Part 1: what arrives at a dependency.
async fn load(seed: u64) -> anyhow::Result<()> {
    page::part(1, "What it helps, and what it costs");
    page::note(format_args!("{} calls. Naive: three attempts, at once.", page::count(CALLS)));
    let mut rows = Vec::new();
    for (what, fails) in [("1 % fails", 0.01), ("30 % fails", 0.3), ("all fail", 1.0)] {
        let dependency = || Dependency::failing(fails, seed);
        let none = dependency();
        let none = calls(none.clone(), &none.asked).await;
        let naive = dependency();
        let layer = RetryLayer::new(Arc::new(Naive));
        let naive = calls(layer.layer(naive.clone()), &naive.asked).await;
        let budget = dependency();
        let layer = RetryLayer::new(Arc::new(Retries::new(config(10), seed)));
        let budget = calls(layer.layer(budget.clone()), &budget.asked).await;
        rows.push((what, [none, naive, budget]));
    }
    // Gateway, orders, payment: each with retries of its own.
    let chain = Dependency::failing(1.0, seed);
    let none = calls(chain.clone(), &chain.asked).await;
    let chain = Dependency::failing(1.0, seed);
    let layer = || RetryLayer::new(Arc::new(Naive));
    let naive = layer().layer(layer().layer(layer().layer(chain.clone())));
    let naive = calls(naive, &chain.asked).await;
    let chain = Dependency::failing(1.0, seed);
    let layer = || RetryLayer::new(Arc::new(Retries::new(config(10), seed)));
    let budget = layer().layer(layer().layer(layer().layer(chain.clone())));
    let budget = calls(budget, &chain.asked).await;
    rows.push(("3 layers, all fail", [none, naive, budget]));

    page::heads(&["no retry", "naive", "budget 10 %"]);
    for (what, runs) in &rows {
        let cells = runs.each_ref().map(|run| format!("{:.1} %", 100.0 * run.succeeded));
        page::row(&format!("{what}: well"), &cells[0], &cells[1..], "");
        let cells = runs.each_ref().map(|run| format!("{:.2}", run.load));
        page::row(&format!("{what}: load"), &cells[0], &cells[1..], "");
    }
    page::note("A budget is for bad moments. What fails 30 % of its calls has no bad moment,");
    page::note("it is broken; and what is down gets a tenth more and not three times as much.");
    Ok(())
}

/// Part 2: all come back.
async fn herd(seed: u64) {
    const CLIENTS: usize = 1_000;
    const PAUSE: Duration = Duration::from_millis(400);
    page::part(2, "A thousand clients fail at the same moment");
    page::note(format_args!("Each comes back once, after a pause of up to {PAUSE:?}."));
    let half = PAUSE / 2;
    let (nothing, all) = (Duration::ZERO, PAUSE);
    let mut peaks = Vec::new();
    for (least, most) in [(all, all), (half, all)] {
        let mut random = StdRng::seed_from_u64(seed);
        let pauses: Vec<_> = (0..CLIENTS).map(|_| random.random_range(least..=most)).collect();
        let began = Instant::now();
        let back = together(pauses.into_iter().map(|pause| async move {
            tokio::time::sleep(pause).await;
            began.elapsed()
        }));
        peaks.push(peak(&back.await));
    }
    // The reference: a call that fails once, and is told when the second attempt begins.
    let budget = Budget { percent: 100, reserve: CLIENTS as u32 };
    let config = Config { attempts: 2, first: PAUSE, budget, ..Config::default() };
    let retries = Arc::new(Retries::new(config, seed));
    let began = Instant::now();
    let back = together((0..CLIENTS).map(|_| {
        let retries = Arc::clone(&retries);
        async move {
            let attempt = move |nth| async move {
                match nth {
                    1 => Outcome::Failed(nothing),
                    _ => Outcome::Final(began.elapsed()),
                }
            };
            retries.call(Repeatable::Yes, None, attempt).await
        }
    }));
    peaks.push(peak(&back.await));
    page::heads(&["no jitter", "half of it", "full jitter"]);
    let cells: Vec<String> = peaks.into_iter().map(page::count).collect();
    page::row("most of them in 10 ms", &cells[0], &cells[1..], "");
}

/// The most of them in any ten milliseconds that begin with one of them.
fn peak(moments: &[Duration]) -> u64 {
    let mut moments = moments.to_vec();
    moments.sort();
    let within = |first: &Duration| {
        let end = *first + Duration::from_millis(10);
        moments.iter().filter(|moment| (*first..end).contains(moment)).count() as u64
    };
    moments.iter().map(within).max().unwrap_or_default()
}

/// Part 3: carried out, and the reply lost.
async fn twice(redis: &str, seed: u64) -> anyhow::Result<()> {
    const ORDERS: u64 = 100;
    page::part(3, "A real Redis, and every fifth reply is lost");
    page::note("A hundred orders are counted. The proxy lets each command through, and cuts");
    page::note("the connection before the reply at every fifth.");
    let mut look = redis::Client::open(redis)?.get_multiplexed_async_connection().await?;
    let mut cells = Vec::new();
    for (naive, repeatable) in
        [(true, Repeatable::Yes), (false, Repeatable::No), (false, Repeatable::Yes)]
    {
        let () = look.del(&["sold", "orders"]).await?;
        let proxy = Proxy::before(redis).await?;
        for _ in 0..ORDERS {
            proxy.cut_reply(|request| request.nth.is_multiple_of(5));
        }
        let quick = ConnectionManagerConfig::new().set_number_of_retries(0);
        // With RESP3 the manager sees that its connection was cut, and makes another.
        let info = proxy.url().into_connection_info()?;
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = redis::Client::open(info.set_redis_settings(settings))?;
        let connection = ConnectionManager::new_lazy_with_config(client, quick)?;
        let retries = Retries::new(config(50), seed);
        // What may be repeated is a set of orders: who is in it twice is in it once.
        let set = !naive && repeatable == Repeatable::Yes;
        let mut acknowledged = 0_u64;
        for order in 0..ORDERS {
            let connection = connection.clone();
            let count = move |_| {
                let mut connection = connection.clone();
                async move {
                    let answer: redis::RedisResult<()> = match set {
                        true => connection.sadd("orders", order).await,
                        false => connection.incr("sold", 1).await,
                    };
                    match answer {
                        Ok(()) => Outcome::Final(Ok(())),
                        Err(error) => Outcome::Failed(Err(error)),
                    }
                }
            };
            let answer = match naive {
                true => Naive.call(repeatable, None, count).await,
                false => retries.call(repeatable, None, count).await,
            };
            acknowledged += u64::from(answer.is_ok());
        }
        let counted: u64 = match set {
            true => look.scard("orders").await?,
            false => look.get("sold").await?,
        };
        cells.push([acknowledged, counted].map(page::count));
    }
    page::heads(&["INCR, naive", "INCR, once", "SADD, again"]);
    for (what, row) in ["orders acknowledged", "orders in Redis"].into_iter().zip(0..) {
        let cells: Vec<String> = cells.iter().map(|cell| cell[row].clone()).collect();
        page::row(what, &cells[0], &cells[1..], "");
    }
    page::note("No retry can tell a lost request from a lost reply. So what is repeated has");
    page::note("to come to the same when it is done twice, or it is not repeated.");
    Ok(())
}
