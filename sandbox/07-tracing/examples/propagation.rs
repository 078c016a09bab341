//! 07.4 · Propagation: whose is the mail that was sent two hours later?
//!
//! ```console
//! $ cargo run --example propagation
//! ```
//!
//! Ends by itself after about a second.

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Path, Request};
use axum::http::StatusCode;
use axum::middleware::map_request;
use axum::routing::post;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use observability::around::Surrounded;
use observability::propagation::{
    Carrier, ContextLayer, Delivery, InjectLayer, OneTrace, Propagation, Route, w3c,
};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{FutureExt, SpanId, TraceContextExt, TraceId, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter};
use std::collections::{HashMap, HashSet};
use std::future::{IntoFuture, pending};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tower::{Layer, ServiceExt};

const ORDERS: i64 = 40;
/// The one at whose mail the consumer is killed.
const UNLUCKY: i64 = 7;
/// Which order a span is about, so that this program can check what the trace says.
const ORDER: &str = "shop.order";

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("07.4 propagation · whose is the mail that was sent two hours later?");
    page::note("Gateway and orders over HTTP. Orders writes each order into its outbox; later");
    page::note("a relay takes all rows at once and sends them to two queues: mail, warehouse.");
    page::note(format!(
        "At order {UNLUCKY} the mail's consumer is killed, and the message comes again."
    ));
    let by_relay = Shop::open(Manner::WhenSent).await?.trade().await?;
    let when_written = Shop::open(Manner::WhenWritten).await?.trade().await?;

    page::part(1, &format!("All spans of order {UNLUCKY}"));
    page::note("The context is injected by the relay, when it sends:");
    by_relay.table(UNLUCKY);
    page::gap();
    page::note("It is injected when the order is written, and stored in its row:");
    when_written.table(UNLUCKY);

    page::part(2, &format!("{ORDERS} orders, by their traces"));
    page::heads(&["when sent", "when written"]);
    let row = |what: &str, cell: &dyn Fn(&Spans) -> usize| {
        let (sent, written) = (cell(&by_relay), cell(&when_written));
        let ratio = if sent > written { format!("÷ {}", sent / written) } else { String::new() };
        page::row(what, page::count(sent as u64), &[page::count(written as u64)], &ratio);
    };
    row("spans, in all", &|spans| spans.0.len());
    row("traces", &|spans| spans.traces().len());
    row("checkouts that lead to a mail", &Spans::lead_to_mail);
    row("most orders in one trace", &Spans::most_orders);
    page::note("The relay's own round is the trace that is left over on the right.");
    page::next(&[
        ("cargo lab start propagation", "write it yourself, and be redelivered"),
        ("cargo lab why propagation", "fifty ways to lose a trace"),
    ]);
    Ok(())
}

/// When the context of a message is written down.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// By whoever publishes, as the library of a broker does it by itself.
    WhenSent,
    /// By whoever writes the row.
    WhenWritten,
}

/// A row of the outbox: the order, and its context as JSON.
struct Row {
    order: i64,
    context: String,
}

/// What the services share, which in a shop are a table, a broker, and a place for spans.
#[derive(Clone)]
struct Shop {
    manner: Manner,
    spans: Collected,
    outbox: Arc<Mutex<Vec<Row>>>,
    gateway: SocketAddr,
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A client of the service at `address`, with the layer that tells it where we are.
fn asking(traces: &OneTrace) -> Surrounded<Client<HttpConnector, Body>, InjectLayer> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    InjectLayer::new(traces.clone()).layer(client)
}

fn to(address: SocketAddr, path: &str) -> anyhow::Result<Request> {
    Ok(Request::post(format!("http://{address}{path}")).body(Body::empty())?)
}

/// Tells the layer behind it which route was taken.
async fn route(mut request: Request) -> Request {
    let route = request.extensions().get::<MatchedPath>().map(|path| Route(path.as_str().into()));
    route.map(|route| request.extensions_mut().insert(route));
    request
}

async fn open(router: Router, door: ContextLayer) -> anyhow::Result<SocketAddr> {
    let router = router.layer(door).layer(map_request(route));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok(address)
}

/// Says of the span of here and now which order it is about.
fn about(order: i64) {
    Context::current().span().set_attribute(KeyValue::new(ORDER, order));
}

impl Shop {
    async fn open(manner: Manner) -> anyhow::Result<Shop> {
        let (spans, outbox) = (Collected::default(), Arc::<Mutex<Vec<Row>>>::default());
        let (traces, _) = spans.service("orders");
        let door = ContextLayer::new(traces.clone());
        let rows = Arc::clone(&outbox);
        // ANCHOR: orders
        let place = async move |Path(order): Path<i64>| {
            about(order);
            // In the same transaction as the order itself, if this were a database.
            let context = match manner {
                Manner::WhenSent => String::new(),
                Manner::WhenWritten => traces.enqueue("orders").to_json(),
            };
            hold(&rows).push(Row { order, context });
        };
        let orders = open(Router::new().route("/orders/{order}", post(place)), door).await?;
        // ANCHOR_END: orders

        let (traces, _) = spans.service("gateway");
        let client = asking(&traces);
        let checkout = async move |Path(order): Path<i64>| {
            about(order);
            let Ok(request) = to(orders, &format!("/orders/{order}")) else {
                return StatusCode::INTERNAL_SERVER_ERROR;
            };
            let answer = client.oneshot(request).await;
            answer.map_or(StatusCode::BAD_GATEWAY, |answer| answer.status())
        };
        let router = Router::new().route("/checkout/{order}", post(checkout));
        let gateway = open(router, ContextLayer::public(traces)).await?;
        Ok(Shop { manner, spans, outbox, gateway })
    }

    /// Takes all orders, carries their messages, and works on them.
    async fn trade(self) -> anyhow::Result<Spans> {
        let customer = Client::builder(TokioExecutor::new()).build_http::<Body>();
        for order in 0..ORDERS {
            let request = to(self.gateway, &format!("/checkout/{order}"))?;
            let status = customer.request(request).await?.status();
            anyhow::ensure!(status == StatusCode::OK, "order {order} was answered {status}");
        }
        let queue = self.relay().await?;
        for service in ["mail", "warehouse"] {
            let (traces, _) = self.spans.service(service);
            for (order, context) in &queue {
                if (service, *order) == ("mail", UNLUCKY) {
                    killed(&traces, service, *order, context).await?;
                    work(&traces, service, *order, context, true).await?;
                } else {
                    work(&traces, service, *order, context, false).await?;
                }
            }
        }
        Ok(Spans(std::mem::take(&mut hold(&self.spans.0))))
    }

    /// One round of the relay, in a span of its own: what arrives in the queues.
    async fn relay(&self) -> anyhow::Result<Vec<(i64, Carrier)>> {
        let (traces, tracer) = self.spans.service("relay");
        let round = Context::new().with_span(tracer.start("round"));
        let rows = std::mem::take(&mut *hold(&self.outbox));
        let manner = self.manner;
        let carrying = async move {
            let mut queue = Vec::new();
            for Row { order, context } in rows {
                // ANCHOR: relay
                let publish = async move |stored: Carrier| match manner {
                    Manner::WhenSent => w3c::write(&Context::current()),
                    Manner::WhenWritten => stored,
                };
                let stored = Carrier::from_json(&context);
                queue.push((order, traces.send("orders", stored, publish).await));
                // ANCHOR_END: relay
            }
            queue
        };
        // In a task: it inherits nothing from whoever asks for the round.
        Ok(tokio::spawn(carrying.with_context(round)).await?)
    }
}

/// Works on a message, in a task of its own.
async fn work(
    traces: &OneTrace,
    queue: &str,
    order: i64,
    context: &Carrier,
    redelivered: bool,
) -> anyhow::Result<()> {
    let message = Delivery { carrier: context.clone(), redelivered };
    // ANCHOR: work
    let work = traces.receive(queue, &[message], async move { about(order) });
    // ANCHOR_END: work
    Ok(tokio::spawn(work).await?)
}

/// Begins to work on a message, and dies.
async fn killed(
    traces: &OneTrace,
    queue: &str,
    order: i64,
    context: &Carrier,
) -> anyhow::Result<()> {
    let message = Delivery { carrier: context.clone(), redelivered: false };
    let began = Arc::new(Notify::new());
    let begins = Arc::clone(&began);
    let dying = tokio::spawn(traces.receive(queue, &[message], async move {
        about(order);
        begins.notify_one();
        pending::<()>().await;
    }));
    began.notified().await;
    dying.abort();
    anyhow::ensure!(dying.await.is_err(), "it should have died");
    Ok(())
}

/// A span that has ended, and of which service.
struct Ended {
    service: &'static str,
    span: SpanData,
}

/// Where all services' spans go, in the place of a collector.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<Ended>>>);

struct Exporter {
    service: &'static str,
    to: Collected,
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter").field("service", &self.service).finish_non_exhaustive()
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let service = self.service;
        hold(&self.to.0).extend(batch.into_iter().map(|span| Ended { service, span }));
        Ok(())
    }
}

impl Collected {
    /// A service's traces, and its tracer for spans of its own.
    fn service(&self, service: &'static str) -> (OneTrace, SdkTracer) {
        let exporter = Exporter { service, to: self.clone() };
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter).build();
        let tracer = provider.tracer("shop");
        (OneTrace::new(BoxedTracer::new(Box::new(tracer.clone()))), tracer)
    }
}

/// All spans of a day.
struct Spans(Vec<Ended>);

impl Spans {
    /// By trace, the orders that are in it.
    fn traces(&self) -> HashMap<TraceId, HashSet<i64>> {
        let mut traces = HashMap::<TraceId, HashSet<i64>>::new();
        for Ended { span, .. } in &self.0 {
            traces.entry(span.span_context.trace_id()).or_default().extend(order(span));
        }
        traces
    }

    fn most_orders(&self) -> usize {
        self.traces().values().map(HashSet::len).max().unwrap_or(0)
    }

    /// Checkouts whose trace has the work on their own mail in it.
    fn lead_to_mail(&self) -> usize {
        let of = |service: &'static str| {
            let these = self.0.iter().filter(move |one| one.service == service);
            these.filter_map(|one| Some((order(&one.span)?, one.span.span_context.trace_id())))
        };
        let mails: HashSet<_> = of("mail").collect();
        of("gateway").filter(|checkout| mails.contains(checkout)).count()
    }

    /// The spans of an order: those that say so, and what lies between them.
    fn table(&self, wanted: i64) {
        let by_id: HashMap<SpanId, &Ended> =
            self.0.iter().map(|one| (one.span.span_context.span_id(), one)).collect();
        // What carries a span of the order, up to the root, or is written for it.
        let mut shown = HashSet::new();
        for one in self.0.iter().filter(|one| order(&one.span) == Some(wanted)) {
            let mut at = Some(one);
            while let Some(one) = at {
                shown.insert(one.span.span_context.span_id());
                at = by_id.get(&one.span.parent_span_id).copied();
            }
        }
        let mut spans: Vec<&Ended> =
            by_id.iter().filter(|(id, _)| shown.contains(id)).map(|(_, one)| *one).collect();
        spans.sort_by_key(|one| one.span.start_time);
        let mut traces: Vec<TraceId> = Vec::new();
        let rows = spans.iter().map(|one| {
            let trace = one.span.span_context.trace_id();
            let nth = traces.iter().position(|known| *known == trace).unwrap_or_else(|| {
                traces.push(trace);
                traces.len() - 1
            });
            let parent = by_id.get(&one.span.parent_span_id);
            let parent = parent.map_or("none".to_owned(), |one| one.span.name.to_string());
            let again = one.span.attributes.iter().any(|says| says.key.as_str() == AGAIN);
            let name =
                if again { format!("{}, again", one.span.name) } else { one.span.name.to_string() };
            vec![
                name,
                one.service.to_owned(),
                format!("trace {}", ["A", "B", "C"][nth.min(2)]),
                parent,
            ]
        });
        let rows: Vec<Vec<String>> = rows.collect();
        page::grid(&["span", "of", "in", "child of"], &rows);
    }
}

const AGAIN: &str = observability::propagation::conventions::REDELIVERED;

fn order(span: &SpanData) -> Option<i64> {
    let says = span.attributes.iter().find(|says| says.key.as_str() == ORDER)?;
    says.value.to_string().parse().context("a number").ok()
}
