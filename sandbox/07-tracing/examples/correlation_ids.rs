//! 07.1 · Correlation ids: which lines of three services belong to one order.
//!
//! ```console
//! $ cargo run --example correlation_ids
//! ```
//!
//! Ends by itself after about a second.

use anyhow::Context;
use axum::ServiceExt;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::routing::any;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use observability::correlation_ids::{CorrelationIds, Hop, REQUEST_ID, TaskIds};
use observability::lines::Lines;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{IntoFuture, poll_fn};
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

const ORDERS: u64 = 100;
/// A line in each of three services for: begins, a task beside, a thread, asks on, ends.
const LINES_OF_AN_ORDER: usize = 15;

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("07.1 correlation ids · all that was logged for one order");
    let seed = page::seed()?;
    let lines = Lines::new(|| LogFile, current);
    // The libraries below say what they do at finer levels.
    let subscriber = tracing_subscriber::registry().with(LevelFilter::INFO).with(lines);
    tracing::subscriber::set_global_default(subscriber)?;
    page::note("Gateway, orders, payments: three services over HTTP. For each order each of");
    page::note("them logs five lines: three from its handler, one in a task, one on a thread");
    page::note("of the pool. Every customer brings an id.");
    many_orders(seed).await?;
    strangers().await?;
    page::next(&[
        ("cargo lab start correlation_ids", "write it yourself, and be hung up on"),
        ("cargo lab why correlation_ids", "fifty ways to lose an id"),
    ]);
    Ok(())
}

// ANCHOR: by_thread
thread_local! {
    static HERE: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
}

/// As it is done where each request has a thread: set at the door, taken away at the end, and asked
/// for by whoever logs or calls the next service.
struct ThreadIds;

impl CorrelationIds for ThreadIds {
    async fn serve<S, I, O>(
        mut service: S,
        request: axum::http::Request<I>,
    ) -> Result<Response<O>, S::Error>
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static,
    {
        let id = request.headers().get(REQUEST_ID).cloned();
        let id = id.unwrap_or_else(|| HeaderValue::from_static("none"));
        HERE.set(Some(String::from_utf8_lossy(id.as_bytes()).into()));
        poll_fn(|context| service.poll_ready(context)).await?;
        let mut response = service.call(request).await?;
        response.headers_mut().insert(REQUEST_ID, id);
        HERE.set(None);
        Ok(response)
    }

    async fn ask<S, I, O>(
        mut client: S,
        mut request: axum::http::Request<I>,
    ) -> Result<Response<O>, S::Error>
    where
        S: Hop<I, O>,
        I: Send + 'static,
        O: Send + 'static,
    {
        let id = Self::current().and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok());
        if let Some(id) = id {
            request.headers_mut().insert(REQUEST_ID, id);
        }
        poll_fn(|context| client.poll_ready(context)).await?;
        client.call(request).await
    }

    fn in_task<F>(work: F) -> impl Future<Output = F::Output> + Send
    where
        F: Future + Send + 'static,
    {
        work
    }

    fn in_thread<T>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl FnOnce() -> T + Send + 'static {
        work
    }

    fn current() -> Option<Arc<str>> {
        HERE.with_borrow(Clone::clone)
    }
}
// ANCHOR_END: by_thread

/// Which of the two writes the log at present: a program has one log.
static BY_TASK: AtomicBool = AtomicBool::new(false);

fn current() -> Option<Arc<str>> {
    if BY_TASK.load(Ordering::SeqCst) { TaskIds::current() } else { ThreadIds::current() }
}

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn log() -> MutexGuard<'static, Vec<u8>> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The log's file, as the lines see it.
struct LogFile;

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        log().write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Waits until the log has so many lines, takes it, and leaves an empty one.
async fn take_log(lines: usize) -> anyhow::Result<Vec<u8>> {
    let began = Instant::now();
    while log().iter().filter(|byte| **byte == b'\n').count() < lines {
        anyhow::ensure!(began.elapsed() < Duration::from_secs(3), "lines are missing");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(std::mem::take(&mut *log()))
}

type Asking = Client<HttpConnector, Body>;

fn client() -> Asking {
    Client::builder(TokioExecutor::new()).build_http()
}

// ANCHOR: work
/// What each of the three services does for an order.
async fn work<D: CorrelationIds>(
    service: &'static str,
    next: Option<(Asking, SocketAddr)>,
    takes: Duration,
    order: u64,
) -> StatusCode {
    tracing::info!(service, order, "begins");
    tokio::spawn(D::in_task(async move {
        tokio::task::yield_now().await;
        tracing::info!(service, order, "is counted");
    }));
    let computed = D::in_thread(move || tracing::info!(service, order, "is computed"));
    let _ = tokio::task::spawn_blocking(computed).await;
    tracing::info!(service, order, "asks on");
    let asked = match next {
        None => {
            tokio::time::sleep(takes).await;
            StatusCode::OK
        }
        Some((client, address)) => match to(address, order) {
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Ok(request) => match D::ask(client, request).await {
                Ok(answer) => answer.status(),
                Err(_) => StatusCode::BAD_GATEWAY,
            },
        },
    };
    tracing::info!(service, order, "ends");
    asked
}
// ANCHOR_END: work

fn to(address: SocketAddr, order: u64) -> anyhow::Result<Request<Body>> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = format!("http://{address}/orders/{order}").parse()?;
    Ok(request)
}

/// A service on a port of its own.
async fn open<D: CorrelationIds>(
    service: &'static str,
    next: Option<SocketAddr>,
    pauses: Arc<Vec<Duration>>,
) -> anyhow::Result<SocketAddr> {
    let next = next.map(|address| (client(), address));
    let handler = move |Path(order): Path<usize>| {
        let takes = pauses.get(order).copied().unwrap_or_default();
        work::<D>(service, next.clone(), takes, order as u64)
    };
    let router = axum::Router::new().route("/orders/{order}", any(handler));
    let door = tower::service_fn(move |request: Request| D::serve(router.clone(), request));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let door = ServiceExt::<Request>::into_make_service(door);
    tokio::spawn(axum::serve(listener, door).into_future());
    Ok(address)
}

async fn shop<D: CorrelationIds>(seed: u64) -> anyhow::Result<SocketAddr> {
    let mut random = StdRng::seed_from_u64(seed);
    let pauses = (0..ORDERS).map(|_| Duration::from_millis(random.random_range(1..20)));
    let pauses: Arc<Vec<Duration>> = Arc::new(pauses.collect());
    let payments = open::<D>("payments", None, Arc::clone(&pauses)).await?;
    let orders = open::<D>("orders", Some(payments), Arc::clone(&pauses)).await?;
    open::<D>("gateway", Some(orders), pauses).await
}

/// Places the order number `order`, in the name of `id`, and answers with what came back.
async fn place(gateway: SocketAddr, order: u64, id: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut request = to(gateway, order)?;
    request.headers_mut().insert(REQUEST_ID, HeaderValue::from_bytes(id)?);
    let answer = client().request(request).await?;
    anyhow::ensure!(answer.status() == StatusCode::OK, "an order was refused");
    let told = answer.headers().get(REQUEST_ID).context("an answer without an id")?;
    Ok(told.as_bytes().to_owned())
}

/// How the lines of many orders carry their ids.
#[derive(Default)]
struct Found {
    lines: u64,
    right: u64,
    anothers: u64,
    none: u64,
    whole: u64,
}

async fn found<D: CorrelationIds>(seed: u64) -> anyhow::Result<Found> {
    let gateway = shop::<D>(seed).await?;
    let mut under_way = tokio::task::JoinSet::new();
    for order in 0..ORDERS {
        under_way.spawn(async move {
            place(gateway, order, format!("customer-{order}").as_bytes()).await
        });
    }
    while let Some(placed) = under_way.join_next().await {
        placed??;
    }
    let log = take_log(usize::try_from(ORDERS)? * LINES_OF_AN_ORDER).await?;
    let mut found = Found::default();
    let mut by_search = BTreeMap::<String, Vec<u64>>::new();
    for line in log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line: serde_json::Value = serde_json::from_slice(line)?;
        let order = line["fields"]["order"].as_u64().context("a line of no order")?;
        found.lines += 1;
        match line["request_id"].as_str() {
            None => found.none += 1,
            Some(id) => {
                let is_right = id == format!("customer-{order}");
                *if is_right { &mut found.right } else { &mut found.anothers } += 1;
                by_search.entry(id.to_owned()).or_default().push(order);
            }
        }
    }
    let whole = (0..ORDERS).filter(|order| {
        let lines = by_search.get(&format!("customer-{order}"));
        lines.is_some_and(|lines| {
            lines.len() == LINES_OF_AN_ORDER && lines.iter().all(|of| of == order)
        })
    });
    found.whole = whole.count() as u64;
    Ok(found)
}

/// Part 1: all at once.
async fn many_orders(seed: u64) -> anyhow::Result<()> {
    page::part(1, "100 orders at once");
    page::note("On the left the id lies in a thread-local, and tasks are spawned as usual.");
    BY_TASK.store(false, Ordering::SeqCst);
    let by_thread = found::<ThreadIds>(seed).await?;
    BY_TASK.store(true, Ordering::SeqCst);
    let by_task = found::<TaskIds>(seed).await?;
    page::heads(&["by thread", "by task"]);
    let row = |what: &str, cell: &dyn Fn(&Found) -> u64| {
        page::row(what, page::count(cell(&by_thread)), &[page::count(cell(&by_task))], "");
    };
    row("lines of the orders", &|found| found.lines);
    row("with the order's own id", &|found| found.right);
    row("with the id of another", &|found| found.anothers);
    row("without an id", &|found| found.none);
    row("orders that a search finds", &|found| found.whole);
    page::note("Found is an order when its id gives its fifteen lines, and nobody else's.");
    Ok(())
}

/// Part 2: what strangers send.
async fn strangers() -> anyhow::Result<()> {
    page::part(2, "One order each, from two strangers");
    page::note("The first sends an id of 64 KB. The second's has a line separator in it,");
    page::note("U+2028, which a header may hold, and behind it a line of the stranger's own.");
    let huge = "x".repeat(64 * 1024);
    let second = "7\u{2028}{\"level\":\"ERROR\",\"message\":\"card 4000 0000 0000 0002\"}";
    let mut told = Vec::new();
    for by_task in [false, true] {
        BY_TASK.store(by_task, Ordering::SeqCst);
        let gateway = match by_task {
            false => shop::<ThreadIds>(0).await?,
            true => shop::<TaskIds>(0).await?,
        };
        let echoed = place(gateway, 0, huge.as_bytes()).await?.len();
        let bytes = take_log(LINES_OF_AN_ORDER).await?.len();
        place(gateway, 1, second.as_bytes()).await?;
        let mut theirs = 0;
        for line in take_log(LINES_OF_AN_ORDER).await?.split(|byte| *byte == b'\n') {
            // In the file it is escaped: that is lesson 07.2. Whoever reads it shows what it says.
            let line: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
            let id = line["request_id"].as_str().unwrap_or_default();
            theirs += id.split('\u{2028}').filter(|line| line.starts_with("{\"level")).count();
        }
        told.push([bytes as u64, echoed as u64, theirs as u64]);
    }
    let [believed, validated] = &told[..] else { anyhow::bail!("two manners") };
    page::heads(&["believed", "validated"]);
    for (nth, what) in [
        "bytes of log for the first",
        "bytes of its id on the answer",
        "lines that the second wrote",
    ]
    .into_iter()
    .enumerate()
    {
        page::row(what, page::count(believed[nth]), &[page::count(validated[nth])], "");
    }
    page::note("A line here is what a reader shows as one that knows Unicode.");
    Ok(())
}
