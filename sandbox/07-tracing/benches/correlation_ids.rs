//! What an id adds to a request, and to a line.
//!
//! ```console
//! $ cargo bench -p observability --bench correlation_ids
//! ```
//!
//! The service answers at once, so that what is left is the layer. After criterion's own figures come
//! the ratios of this run. It fails if a request over HTTP costs more than 1.3 of one without the
//! layers, or one that logs five lines more than 1.6 of one whose lines have no id.

use axum::ServiceExt;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Response};
use axum::routing::any;
use criterion::Criterion;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use observability::correlation_ids::{
    CorrelationIds, IdLayer, PassOnLayer, REQUEST_ID, RequestId, TaskIds,
};
use observability::lines::Lines;
use std::convert::Infallible;
use std::future::{IntoFuture, Ready, poll_fn, ready};
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use testbed::ratios::{self, Ratios};
use tower_layer::Layer;
use tower_service::Service;
use tracing::dispatcher::{Dispatch, with_default};
use tracing_subscriber::layer::SubscriberExt;

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

fn with_id() -> Request<()> {
    let mut request = Request::new(());
    let id = HeaderValue::from_static("0199f2c6-4c11-7a63-9a56-0d6a3a1f9b02");
    request.headers_mut().insert(REQUEST_ID, id);
    request
}

async fn ask<S>(service: &S, request: Request<()>)
where
    S: Service<Request<()>, Response = Response<()>, Error = Infallible> + Clone,
{
    let mut service = service.clone();
    let Ok(()) = poll_fn(|context| service.poll_ready(context)).await;
    let Ok(answer) = service.call(request).await;
    black_box(answer);
}

/// Logs five lines into nowhere, and answers.
#[derive(Clone)]
struct Talks(Dispatch);

impl Talks {
    /// Each line carries what this says.
    fn of(id: fn() -> Option<Arc<str>>) -> Talks {
        let lines = Lines::new(std::io::sink, id);
        Talks(Dispatch::new(tracing_subscriber::registry().with(lines)))
    }
}

impl Service<Request<()>> for Talks {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        with_default(&self.0, || {
            for line in 0..5 {
                tracing::info!(order = 7, line, "placed");
            }
        });
        ready(Ok(Response::new(())))
    }
}

/// A service over HTTP that answers at once, with the layer at its door or without it.
async fn open(layered: bool) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = axum::Router::new().route("/", any(|| async {}));
    match layered {
        false => tokio::spawn(axum::serve(listener, router).into_future()),
        true => {
            let door = IdLayer.layer(router);
            let door = ServiceExt::<Request>::into_make_service(door);
            tokio::spawn(axum::serve(listener, door).into_future())
        }
    };
    Ok(address)
}

async fn get<S, O>(client: &S, address: SocketAddr)
where
    S: Service<Request<Body>, Response = Response<O>> + Clone,
    S::Error: std::fmt::Debug,
{
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = format!("http://{address}/").parse().expect("an address");
    let mut client = client.clone();
    poll_fn(|context| client.poll_ready(context)).await.expect("a client is ready");
    black_box(client.call(request).await.expect("an answer").headers().len());
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (bare, serves, asks) = (Nothing, IdLayer.layer(Nothing), PassOnLayer.layer(Nothing));

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("correlation_ids");
    group.bench_function("a request, bare", |b| {
        b.to_async(&runtime).iter(|| ask(&bare, with_id()));
    });
    group.bench_function("IdLayer, an id that is believed", |b| {
        b.to_async(&runtime).iter(|| ask(&serves, with_id()));
    });
    group.bench_function("IdLayer, an id made anew", |b| {
        b.to_async(&runtime).iter(|| ask(&serves, Request::new(())));
    });
    group.bench_function("an id", |b| b.iter(|| black_box(RequestId::new())));
    group.finish();
    criterion.final_summary();
    if !ratios::wanted() {
        return Ok(());
    }
    runtime.block_on(async {
        let mut ratios = Ratios::of("correlation_ids");
        let plain = async || ask(&bare, with_id()).await;
        let believed = async || ask(&serves, with_id()).await;
        ratios.compare("IdLayer, believed / bare", plain, believed).await;
        let made = async || ask(&serves, Request::new(())).await;
        ratios.compare("IdLayer, made anew / bare", plain, made).await;
        let passed = async || ask(&asks, with_id()).await;
        ratios.compare("PassOnLayer / bare", plain, passed).await;

        let (without, with) = (Talks::of(|| None), IdLayer.layer(Talks::of(TaskIds::current)));
        let without = async || ask(&without, with_id()).await;
        let with = async || ask(&with, with_id()).await;
        ratios.at_most(1.6, "five lines with the id / without", without, with).await;

        let client: Client<HttpConnector, Body> =
            Client::builder(TokioExecutor::new()).build_http();
        let passing = PassOnLayer.layer(client.clone());
        let (without, with) = (open(false).await?, open(true).await?);
        let without = async || get(&client, without).await;
        let with = async || get(&passing, with).await;
        ratios.at_most(1.3, "a GET with both layers / without", without, with).await;
        ratios.end();
        Ok(())
    })
}
