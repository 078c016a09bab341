//! What spans add to a request of five steps, by who listens.
//!
//! ```console
//! $ cargo bench -p observability --bench spans
//! ```
//!
//! The steps do nothing, so that what is left are the spans. After criterion's own figures come the
//! ratios of this run. It fails if a request over HTTP with its span and those of five steps, all
//! recorded, costs more than 2.3 of one without.

use axum::body::Body;
use axum::routing::any;
use criterion::Criterion;
use http::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use observability::spans::{Recorder, Route, SpanLayer, Spans, TracingSpans};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use std::convert::Infallible;
use std::future::{IntoFuture, ready};
use std::hint::black_box;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;
use testbed::ratios::{self, Ratios};
use tower_service::Service;
use tracing::Level;
use tracing::dispatcher::{Dispatch, with_default};
use tracing::instrument::WithSubscriber;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry;

const STEPS: usize = 5;

type Nothing = Result<(), Infallible>;

/// Answers after five steps that do nothing.
async fn steps(spans: bool) -> Nothing {
    for _ in 0..STEPS {
        match spans {
            false => black_box(ready(Nothing::Ok(()))).await?,
            true => TracingSpans::step("step", black_box(ready(Nothing::Ok(())))).await?,
        }
    }
    Ok(())
}

#[derive(Clone)]
struct Works {
    spans: bool,
}

impl Service<Request<()>> for Works {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<()>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Nothing> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let spans = self.spans;
        Box::pin(async move { steps(spans).await.map(Response::new) })
    }
}

/// A request without spans, and where nobody listens.
async fn bare() {
    let answered = async { Works { spans: false }.call(Request::new(())).await };
    let Ok(answer) = answered.with_subscriber(Dispatch::none()).await;
    black_box(answer);
}

/// One with all its spans, before these listeners.
async fn heard_by(listeners: &Dispatch) {
    let answered = async {
        let mut request = Request::new(());
        request.extensions_mut().insert(Route("/".into()));
        TracingSpans::serve(Works { spans: true }, request).await
    };
    let Ok(answer) = answered.with_subscriber(listeners.clone()).await;
    black_box(answer);
}

/// A name, and how to make it.
type Listener = (&'static str, fn() -> Dispatch);

fn recorder() -> Recorder {
    Recorder::new("shop", 100)
}

fn recorded() -> Dispatch {
    Dispatch::new(registry().with(recorder()))
}

/// OpenTelemetry's, which hands spans over in batches, on a thread of its own. What an exporter then
/// does with them, it does there.
fn exported() -> Dispatch {
    let provider = SdkTracerProvider::builder().with_batch_exporter(Takes).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("bench"));
    Dispatch::new(registry().with(layer))
}

/// Whatever it is.
#[derive(Debug)]
struct Takes;

impl SpanExporter for Takes {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        black_box(batch);
        Ok(())
    }
}

/// Who may listen. Each is made when it is its turn, and gone before the next one: what no listener in
/// the program wants is switched off where it is said, and what one of them wants is not.
const LISTENERS: [Listener; 6] = [
    ("nobody listens", Dispatch::none),
    ("switched off by a level", || Dispatch::new(registry().with(LevelFilter::WARN))),
    ("filtered away", || Dispatch::new(registry().with(recorder().with_filter(LevelFilter::WARN)))),
    ("made, and ignored", || Dispatch::new(registry().with(recorder().up_to(Level::WARN)))),
    ("recorded", recorded),
    ("exported", exported),
];

/// A service over HTTP, with spans or without.
async fn open(spans: bool) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut router = axum::Router::new().route(
        "/",
        any(move || async move {
            let Ok(()) = steps(spans).await;
        }),
    );
    if spans {
        router = router.layer(SpanLayer::routed(|_| Some(Route("/".into()))));
    }
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok(address)
}

async fn get(client: &Client<HttpConnector, Body>, address: SocketAddr) {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = format!("http://{address}/").parse().expect("an address");
    black_box(client.request(request).await.expect("an answer").headers().len());
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    let mut group = criterion.benchmark_group("spans");
    group.bench_function("a request of five steps, bare", |b| b.to_async(&runtime).iter(bare));
    for (name, listeners) in LISTENERS {
        let listeners = listeners();
        group.bench_function(name, |b| b.to_async(&runtime).iter(|| heard_by(&listeners)));
    }
    group.finish();
    criterion.final_summary();
    if !ratios::wanted() {
        return Ok(());
    }
    let mut ratios = Ratios::of("spans");
    runtime.block_on(async {
        for (name, listeners) in LISTENERS {
            let (what, listeners) = (format!("{name} / bare"), listeners());
            ratios.compare(&what, bare, async || heard_by(&listeners).await).await;
        }
    });
    // Here all tasks of the runtime are on this thread, and all of them are heard.
    with_default(&recorded(), || {
        runtime.block_on(async {
            let client: Client<HttpConnector, Body> =
                Client::builder(TokioExecutor::new()).build_http();
            let (without, with) = (open(false).await?, open(true).await?);
            let without = async || get(&client, without).await;
            let with = async || get(&client, with).await;
            ratios.at_most(2.3, "a GET of five steps, recorded / bare", without, with).await;
            ratios.end();
            Ok(())
        })
    })
}
