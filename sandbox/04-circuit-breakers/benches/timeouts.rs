//! What a deadline adds to a call, beside `tower::timeout`.
//!
//! ```console
//! $ cargo bench -p circuit_breakers --bench timeouts
//! ```
//!
//! The service answers at once, or after it has given others a turn, which is when a timer is set.
//! So what is left is the layer: a clock, a header, a timer. After criterion's own figures come the
//! ratios of this run. It fails if a call on Redis takes more than 1.15 times as long with both
//! layers around it, or if a layer costs more than twice what `tower::timeout` does: that one
//! neither reads nor writes a header, nor asks the clock before it polls.

use circuit_breakers::BoxError;
use circuit_breakers::timeouts::{Deadline, DeadlineLayer, TIME_LEFT, TimeoutLayer};
use criterion::Criterion;
use http::{HeaderValue, Request, Response};
use redis::aio::MultiplexedConnection;
use std::future::poll_fn;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use testbed::ratios::{self, Ratios};
use tower::timeout::Timeout;
use tower_layer::Layer;
use tower_service::Service;

type Answering = Pin<Box<dyn Future<Output = Result<Response<String>, BoxError>> + Send>>;

const LONGEST: Duration = Duration::from_secs(10);

/// Answers after so many turns of others.
#[derive(Clone)]
struct Turns(usize);

impl Service<Request<String>> for Turns {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Answering {
        let turns = self.0;
        Box::pin(async move {
            black_box(request);
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            Ok(Response::new(String::new()))
        })
    }
}

/// Asks a real Redis.
#[derive(Clone)]
struct Get(MultiplexedConnection);

impl Service<Request<String>> for Get {
    type Response = Response<String>;
    type Error = BoxError;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Answering {
        let mut redis = self.0.clone();
        Box::pin(async move {
            black_box(request);
            let value: Option<String> =
                redis::cmd("GET").arg("product:1").query_async(&mut redis).await?;
            Ok(Response::new(value.unwrap_or_default()))
        })
    }
}

async fn ask<S>(service: &S, request: Request<String>)
where
    S: Service<Request<String>, Response = Response<String>, Error = BoxError> + Clone,
{
    let mut service = service.clone();
    let answer = async {
        poll_fn(|context| service.poll_ready(context)).await?;
        service.call(request).await
    };
    black_box(answer.await.expect("there are ten seconds"));
}

/// As it comes in, and as it goes out.
fn told() -> Request<String> {
    let mut request = Request::default();
    request.headers_mut().insert(TIME_LEFT, HeaderValue::from(5_000));
    request
}

fn until() -> Request<String> {
    let mut request = Request::default();
    request.extensions_mut().insert(Deadline::in_time(Duration::from_secs(5)));
    request
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let redis = runtime.block_on(testbed::redis::private())?;
    let client = redis::Client::open(redis.url())?;
    let get = Get(runtime.block_on(client.get_multiplexed_async_connection())?);
    let (door, patience) = (DeadlineLayer::new(LONGEST), TimeoutLayer::new(LONGEST));
    let (at_once, waits) = (Turns(0), Turns(1));
    let (plain_at_once, plain_waits) =
        (Timeout::new(at_once.clone(), LONGEST), Timeout::new(waits.clone(), LONGEST));
    let (serves_at_once, serves) = (door.layer(at_once.clone()), door.layer(waits.clone()));
    let (asks_at_once, asks) = (patience.layer(at_once.clone()), patience.layer(waits.clone()));
    let both = door.layer(patience.layer(get.clone()));

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("timeouts");
    group.bench_function("bare, waits once", |b| {
        b.to_async(&runtime).iter(|| ask(&waits, told()));
    });
    group.bench_function("tower::timeout, waits once", |b| {
        b.to_async(&runtime).iter(|| ask(&plain_waits, told()));
    });
    group.bench_function("DeadlineLayer, waits once", |b| {
        b.to_async(&runtime).iter(|| ask(&serves, told()));
    });
    group.bench_function("TimeoutLayer, waits once", |b| {
        b.to_async(&runtime).iter(|| ask(&asks, until()));
    });
    group.finish();
    criterion.final_summary();

    if ratios::wanted() {
        runtime.block_on(async {
            let mut ratios = Ratios::of("timeouts");
            let bare = async || ask(&at_once, told()).await;
            let plain = async || ask(&plain_at_once, told()).await;
            ratios.compare("tower::timeout, at once / bare", bare, plain).await;
            let serve = async || ask(&serves_at_once, told()).await;
            ratios.compare("DeadlineLayer, at once / bare", bare, serve).await;
            let bare_out = async || ask(&at_once, until()).await;
            let out = async || ask(&asks_at_once, until()).await;
            ratios.compare("TimeoutLayer, at once / bare", bare_out, out).await;
            let plain = async || ask(&plain_waits, told()).await;
            let serve = async || ask(&serves, told()).await;
            ratios.at_most(2.0, "DeadlineLayer, waits / tower::timeout", plain, serve).await;
            let plain_out = async || ask(&plain_waits, until()).await;
            let out = async || ask(&asks, until()).await;
            ratios.at_most(2.0, "TimeoutLayer, waits / tower::timeout", plain_out, out).await;
            let alone = async || ask(&get, told()).await;
            let around = async || ask(&both, told()).await;
            ratios.at_most(1.15, "a GET with both layers / alone", alone, around).await;
            ratios.end();
        });
    }
    Ok(())
}
