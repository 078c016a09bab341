//! What a trace adds to a request, and to a message.
//!
//! ```console
//! $ cargo bench -p observability --bench propagation
//! ```
//!
//! The service answers at once, so that what is left is the layer. Recorded spans go to an exporter
//! that keeps none, one by one. After criterion's own figures come the ratios of this run. It fails if
//! a request over HTTP costs more than twice one without the layers, recorded or not.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Response};
use axum::routing::any;
use criterion::Criterion;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use observability::propagation::{
    Carrier, ContextLayer, InjectLayer, OneTrace, Propagation, TRACEPARENT, w3c,
};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider;
use opentelemetry::trace::noop::NoopTracerProvider;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use std::convert::Infallible;
use std::future::{IntoFuture, Ready, poll_fn, ready};
use std::hint::black_box;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;
use testbed::ratios::{self, Ratios};
use tower_layer::Layer;
use tower_service::Service;

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

/// Keeps nothing.
#[derive(Debug)]
struct Keeps;

impl SpanExporter for Keeps {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        black_box(batch);
        Ok(())
    }
}

fn traces(sampler: Sampler) -> OneTrace {
    let provider =
        SdkTracerProvider::builder().with_simple_exporter(Keeps).with_sampler(sampler).build();
    OneTrace::new(BoxedTracer::new(Box::new(provider.tracer("bench"))))
}

fn without_sdk() -> OneTrace {
    OneTrace::new(BoxedTracer::new(Box::new(NoopTracerProvider::new().tracer("bench"))))
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn with_parent() -> Request<()> {
    let mut request = Request::new(());
    request.headers_mut().insert(TRACEPARENT, HeaderValue::from_static(PARENT));
    request
}

async fn ask<S>(service: &S)
where
    S: Service<Request<()>, Response = Response<()>, Error = Infallible> + Clone,
{
    let mut service = service.clone();
    let Ok(()) = poll_fn(|context| service.poll_ready(context)).await;
    let Ok(answer) = service.call(with_parent()).await;
    black_box(answer);
}

/// A service over HTTP that answers at once, with a layer at its door or without it.
async fn open(layer: Option<ContextLayer>) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/", any(|| async {}));
    let router = match layer {
        Some(layer) => router.layer(layer),
        None => router,
    };
    tokio::spawn(axum::serve(listener, router).into_future());
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
    let (recorded, unrecorded) = (traces(Sampler::AlwaysOn), traces(Sampler::AlwaysOff));
    let door = |traces: &OneTrace| ContextLayer::new(traces.clone()).layer(Nothing);
    let client = |traces: &OneTrace| InjectLayer::new(traces.clone()).layer(Nothing);
    let row = recorded.enqueue("orders").to_json();

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("propagation");
    group.bench_function("a request, bare", |b| b.to_async(&runtime).iter(|| ask(&Nothing)));
    for (what, traces) in [("recorded", &recorded), ("not recorded", &unrecorded)] {
        let (serves, asks) = (door(traces), client(traces));
        group.bench_function(format!("ContextLayer, {what}"), |b| {
            b.to_async(&runtime).iter(|| ask(&serves));
        });
        group.bench_function(format!("InjectLayer, {what}"), |b| {
            b.to_async(&runtime).iter(|| ask(&asks));
        });
        group.bench_function(format!("a message's context, {what}"), |b| {
            b.iter(|| black_box(traces.enqueue("orders").to_json()));
        });
    }
    group.bench_function("a row, read", |b| {
        b.iter(|| black_box(w3c::read(&Carrier::from_json(&row))));
    });
    group.finish();
    criterion.final_summary();
    if !ratios::wanted() {
        return Ok(());
    }
    runtime.block_on(async {
        let mut ratios = Ratios::of("propagation");
        let bare = async || ask(&Nothing).await;
        for (what, traces) in [
            ("ContextLayer, no SDK / bare", without_sdk()),
            ("ContextLayer, not recorded / bare", unrecorded.clone()),
            ("ContextLayer, recorded / bare", recorded.clone()),
        ] {
            let serves = door(&traces);
            ratios.compare(what, bare, async || ask(&serves).await).await;
        }
        for (what, traces) in [
            ("InjectLayer, not recorded / bare", &unrecorded),
            ("InjectLayer, recorded / bare", &recorded),
        ] {
            let asks = client(traces);
            ratios.compare(what, bare, async || ask(&asks).await).await;
        }
        let plain: Client<HttpConnector, Body> = Client::builder(TokioExecutor::new()).build_http();
        let without = open(None).await?;
        let without = async || get(&plain, without).await;
        for (what, traces) in [
            ("a GET, not recorded / without layers", &unrecorded),
            ("a GET, recorded / without layers", &recorded),
        ] {
            let address = open(Some(ContextLayer::new(traces.clone()))).await?;
            let asks = InjectLayer::new(traces.clone()).layer(plain.clone());
            let with = async || get(&asks, address).await;
            ratios.at_most(2.0, what, &without, with).await;
        }
        ratios.end();
        Ok(())
    })
}
