//! What it costs to observe, and to be measured.
//!
//! ```console
//! $ cargo bench -p observability --bench metrics
//! ```
//!
//! The service answers at once, so that what is left is the layer. After criterion's own figures come
//! the ratios of this run. It fails if a request over HTTP costs more than 1.75 of one that
//! nobody measures, or an increment of a counter that is held more than 3 of one of an atomic.

use axum::body::Body;
use axum::extract::MatchedPath;
use axum::routing::any;
use criterion::Criterion;
use http::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use observability::correlation_ids::CorrelationIds;
use observability::correlation_ids::{IdLayer, TaskIds};
use observability::metrics::{BOUNDS, Registry, Sources, Unit};
use prometheus_client::metrics::histogram::Histogram;
use std::convert::Infallible;
use std::future::{IntoFuture, Ready, poll_fn, ready};
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;
use testbed::ratios::{self, Ratios};
use tower_layer::Layer;
use tower_service::Service;

const LABELS: [&str; 3] = ["/orders/{id}", "GET", "200"];

/// Answers at once.
#[derive(Clone)]
struct Nothing;

impl Service<Request<()>> for Nothing {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(())))
    }
}

async fn ask<S>(service: &S)
where
    S: Service<Request<()>, Response = Response<()>, Error = Infallible> + Clone,
{
    let mut service = service.clone();
    let Ok(()) = poll_fn(|context| service.poll_ready(context)).await;
    let Ok(answer) = service.call(Request::new(())).await;
    black_box(answer);
}

/// With an id for exemplars, or without.
fn registry(traced: bool) -> Registry {
    let trace =
        if traced { || Some("0199f2c6-4c11-7a63-9a56-0d6a3a1f9b02".into()) } else { || None };
    Registry::new("bench", Sources { trace, ..Sources::default() })
}

/// A service over HTTP that answers at once, with its ids, and measured or not.
async fn open(measured: Option<&Registry>) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut router = axum::Router::new().route("/orders/{id}", any(|| async {}));
    if let Some(registry) = measured {
        router = router.layer(registry.layer());
    }
    let door = IdLayer.layer(router);
    let door = axum::ServiceExt::<axum::extract::Request>::into_make_service(door);
    tokio::spawn(axum::serve(listener, door).into_future());
    Ok(address)
}

async fn get(client: &Client<HttpConnector, Body>, address: SocketAddr) {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = format!("http://{address}/orders/7").parse().expect("an address");
    black_box(client.request(request).await.expect("an answer").headers().len());
}

/// Another thread that does the same all the time, until this is dropped.
struct Rival {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Rival {
    fn begin(work: impl Fn() + Send + 'static) -> Rival {
        let ended = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                work();
            }
        });
        Rival { ended, thread: Some(thread) }
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// So many of what takes nanoseconds are one operation: otherwise it is the clock that is measured.
const HUNDRED: u32 = 100;

fn hundred(work: impl Fn()) {
    (0..HUNDRED).for_each(|_| work());
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (plain, traced) = (registry(false), registry(true));
    let histograms = |of: &Registry| {
        of.histograms("durations", "Durations", Unit::Seconds, &BOUNDS, ["route", "method", "code"])
    };
    let (quiet, named) = (histograms(&plain), histograms(&traced));
    let counters = plain.counters("counted", "Counted", ["route", "method", "code"]);
    let (held, atomic) = (counters.with(LABELS), Arc::new(AtomicU64::new(0)));
    let bare = Histogram::new(BOUNDS);

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("metrics");
    group.bench_function("an atomic", |b| b.iter(|| atomic.fetch_add(1, Ordering::Relaxed)));
    group.bench_function("a counter that is held", |b| b.iter(|| held.inc()));
    group.bench_function("a counter by its labels", |b| b.iter(|| counters.with(LABELS).inc()));
    group.bench_function("prometheus-client's histogram", |b| b.iter(|| bare.observe(0.042)));
    group.bench_function("an observation by its labels", |b| {
        b.iter(|| quiet.observe(LABELS, 0.042));
    });
    group.bench_function("and with an exemplar", |b| b.iter(|| named.observe(LABELS, 0.042)));
    let wide = registry(true);
    let many = histograms(&wide);
    for code in 0..200 {
        many.observe([LABELS[0], LABELS[1], &code.to_string()], 0.042);
    }
    group.bench_function("a scrape of 200 histograms", |b| b.iter(|| wide.text(None).text.len()));
    group.finish();
    criterion.final_summary();
    if !ratios::wanted() {
        return Ok(());
    }
    runtime.block_on(async {
        let mut ratios = Ratios::of("metrics");
        let adds = || _ = black_box(atomic.fetch_add(1, Ordering::Relaxed));
        let counts = || _ = black_box(held.inc());
        let finds = || _ = black_box(counters.with(LABELS).inc());
        let bare = || bare.observe(black_box(0.042));
        let observes = || quiet.observe(LABELS, black_box(0.042));
        let names = || named.observe(LABELS, black_box(0.042));
        let (added, counted) = (async || hundred(adds), async || hundred(counts));
        println!("  A hundred each:");
        ratios.at_most(3.0, "a counter that is held / an atomic", added, counted).await;
        ratios.compare("a counter by its labels / an atomic", added, async || hundred(finds)).await;
        let (known, observed) = (async || hundred(bare), async || hundred(observes));
        ratios.compare("prometheus-client's histogram / atomic", added, known).await;
        ratios.compare("an observation / prometheus-client's", known, observed).await;
        ratios.compare("with an exemplar / without", observed, async || hundred(names)).await;
        let (rival_atomic, rival_histograms) = (Arc::clone(&atomic), quiet.clone());
        let rival = Rival::begin(move || {
            rival_atomic.fetch_add(1, Ordering::Relaxed);
            rival_histograms.observe(LABELS, black_box(0.042));
        });
        ratios.compare("two threads: an observation / an atomic", added, observed).await;
        drop(rival);
        println!("  One each:");

        let (service, measured) = (Nothing, plain.measured(Nothing));
        let unmeasured = async || ask(&service).await;
        let layered = async || ask(&measured).await;
        ratios.compare("a measured service / bare", unmeasured, layered).await;

        let client: Client<HttpConnector, Body> =
            Client::builder(TokioExecutor::new()).build_http();
        let sources = Sources {
            trace: TaskIds::current,
            route: |found| found.get::<MatchedPath>().map(MatchedPath::as_str),
            ..Sources::default()
        };
        let registry = Registry::new("bench", sources);
        let (without, with) = (open(None).await?, open(Some(&registry)).await?);
        let without = async || get(&client, without).await;
        let with = async || get(&client, with).await;
        ratios.at_most(1.75, "a GET that is measured / not", without, with).await;
        ratios.end();
        Ok(())
    })
}
