//! The hunt: something in one of eight services has become slow, and nobody says what.
//!
//! It is found as a person would find it, from outside, by what the shop tells of itself. A metric says
//! which request has become slower, and its exemplar names one of them. The trace of that one says for
//! which step it waited. And the log has a line of that service in this trace.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use observability::metrics::text::{Sample, buckets, samples};
use observability::metrics::{DURATION, quantile, since};
use observability::spans::{Finished, Waterfall};
use serde::Serialize;
use serde_json::Value;
use shop_contracts::Problem;
use shop_contracts::catalog::Product;
use shop_contracts::id::{OrderId, ProductId};
use shop_contracts::page::Page;
use tokio::task::JoinSet;

use super::process::Process;
use crate::journeys::Customer;
use crate::traces::{self, Told};

/// What may be wrong, in which service, and the switches that make it so.
const FAULTS: [(&str, &[(&str, &str)]); 3] = [
    ("catalog", &[("fault.catalog_db", "slow")]),
    ("payments", &[("fault.payment", "slow")]),
    ("notifications", &[("fault.email", "slow")]),
];

/// How long customers shop before something is wrong, and afterwards.
const PHASE: Duration = Duration::from_secs(8);

/// Customers at once.
const CUSTOMERS: usize = 8;

/// Requests of a route in a phase, below which nothing is said of its quantiles.
const ENOUGH: f64 = 5.0;

/// A median that has grown by less, in seconds, is what a busy machine does.
const NOTICED: f64 = 0.1;

/// What was found, and how.
#[derive(Serialize)]
pub(super) struct Found {
    /// In which service something is wrong.
    pub(super) wrong: &'static str,
    /// The metric: which request has become slower, and from what to what its median, in seconds.
    pub(super) route: String,
    pub(super) healthy: f64,
    pub(super) now: f64,
    /// The exemplar.
    pub(super) trace: String,
    /// The trace: the step that was waited for.
    pub(super) service: String,
    pub(super) step: String,
    /// The log: a line of that service in this trace.
    pub(super) line: String,
    /// How long it took from the first question to the last answer.
    pub(super) took_ms: f64,
}

/// Opens a shop in a process of its own, lets customers in, makes something slow, and looks for it.
pub(super) async fn hunt(seed: u64, program: &Path) -> Result<Found> {
    let (wrong, switches) = FAULTS[usize::try_from(seed % FAULTS.len() as u64)?];
    let shop = Process::open(program).await?;
    // Each product is read from the database: with a cache, a slow one is seen by few.
    shop.set("pattern.cache", "off").await?;
    shop.set("pattern.limiter", "off").await?;
    let shelf = Shelf::of(&shop, seed).await?;
    // Connections are opened, and the first of everything is slow.
    customers(&shop, &shelf, PHASE / 4).await?;
    let before = scrape(&shop).await?;
    customers(&shop, &shelf, PHASE).await?;
    let healthy = scrape(&shop).await?;
    for (switch, variant) in switches {
        shop.set(switch, variant).await?;
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    customers(&shop, &shelf, PHASE).await?;

    let began = Instant::now();
    let now = scrape(&shop).await?;
    let (route, was, is) = slower(&before, &healthy, &now)?;
    let trace = exemplar(&now, &route, since)?;
    let (service, step) = culprit(&shop, &trace).await?;
    let line = line(&shop.log, &trace, &service)?;
    let took_ms = began.elapsed().as_secs_f64() * 1e3;
    let route = format!("{} {}", route.0, route.1);
    Ok(Found { wrong, route, healthy: was, now: is, trace, service, step, line, took_ms })
}

async fn scrape(shop: &Process) -> Result<Vec<Sample>> {
    Ok(samples(&shop.metrics().await?)?)
}

/// Method and route.
type Route = (String, String);

/// The route whose median has grown most, as a ratio: of those that have grown by so much that a
/// customer would notice. The median, and not the p99: of a few requests that is the one which the
/// machine has held up.
fn slower(before: &[Sample], healthy: &[Sample], now: &[Sample]) -> Result<(Route, f64, f64)> {
    let label = |sample: &Sample, name: &str| sample.labels.get(name).cloned().unwrap_or_default();
    let routes: BTreeMap<Route, ()> = now
        .iter()
        .filter(|sample| sample.name.starts_with(DURATION))
        .map(|one| ((label(one, "http_request_method"), label(one, "http_route")), ()))
        .collect();
    let median = |(method, route): &Route, from: &[Sample], to: &[Sample]| {
        let labels = [("http_request_method", &**method), ("http_route", &**route)];
        let both = [from, to].map(|scrape| buckets(scrape, DURATION, &labels));
        let grown = since(&both[0], &both[1]);
        let enough = grown.last().is_some_and(|all| all.count >= ENOUGH);
        enough.then(|| quantile(&grown, 0.5))
    };
    let grown = routes.into_keys().filter_map(|route| {
        let (then, now) = (median(&route, before, healthy)?, median(&route, healthy, now)?);
        (now - then >= NOTICED).then_some((route, then, now))
    });
    let worst = grown.max_by(|one, other| (one.2 / one.1).total_cmp(&(other.2 / other.1)));
    worst.context("no route has become slower that was asked often enough to say so")
}

/// One of the slowest of this route, since then.
fn exemplar(now: &[Sample], (method, route): &Route, since: f64) -> Result<String> {
    let of_it = now.iter().filter(|sample| {
        let is = |name: &str, value: &str| sample.labels.get(name).is_some_and(|is| is == value);
        is("http_request_method", method) && is("http_route", route)
    });
    let slowest = of_it
        .filter_map(|sample| sample.exemplar.as_ref())
        .filter(|one| one.at.is_some_and(|at| at >= since))
        .max_by(|one, other| one.value.total_cmp(&other.value));
    let trace = slowest.and_then(|one| one.labels.get("trace_id")).cloned();
    trace.with_context(|| format!("{method} {route} has no exemplar"))
}

/// The step for which this request waited longest.
async fn culprit(shop: &Process, trace: &str) -> Result<(String, String)> {
    let id = traces::id(trace).context("an exemplar that is no trace's id")?;
    let told: Vec<Told> = shop.gateway.get(&format!("/spans/{trace}")).await?;
    let spans: Vec<Finished> = told.iter().filter_map(|span| span.finished(id)).collect();
    let waterfall = Waterfall::of(&spans);
    let culprit = waterfall.culprit().context("a trace in which nothing took any time")?;
    Ok((culprit.span.service.to_string(), culprit.span.name.to_string()))
}

/// What this service has logged in this trace.
fn line(log: &Path, trace: &str, service: &str) -> Result<String> {
    let lines = std::fs::read_to_string(log).context("the log cannot be read")?;
    let of_it = lines.lines().filter(|line| line.contains(trace));
    let mut of_it = of_it.filter(|line| {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        line["trace_id"] == trace && line["fields"]["service"] == service
    });
    of_it.next().map(str::to_owned).with_context(|| format!("no line of {service} in {trace}"))
}

/// Who shops, and what there is.
struct Shelf {
    customers: Vec<Customer>,
    products: Vec<ProductId>,
}

impl Shelf {
    async fn of(shop: &Process, seed: u64) -> Result<Shelf> {
        let mut customers = Customer::crowd(shop.gateway.base(), seed).await?;
        customers.truncate(CUSTOMERS);
        let page: Page<Product> = shop.gateway.get("/api/products?size=40").await?;
        Ok(Shelf { customers, products: page.items.into_iter().map(|one| one.id).collect() })
    }
}

/// Looks around and buys, again and again.
async fn customers(shop: &Process, shelf: &Shelf, phase: Duration) -> Result<()> {
    let until = Instant::now() + phase;
    let customers =
        JoinSet::from_iter(shelf.customers.iter().enumerate().map(|(nth, customer)| {
            let (customer, gateway) = (customer.clone(), shop.gateway.clone());
            let products = shelf.products.clone();
            async move {
                for round in nth.. {
                    for look in 0..8 {
                        let product = products[(round + look) % products.len()];
                        Customer::look(&gateway, product).await?;
                    }
                    customer.put(products[round % products.len()], 1).await?;
                    customer.buy(&format!("key-{}", OrderId::new())).await?;
                    if Instant::now() >= until {
                        break;
                    }
                }
                Ok::<_, Problem>(())
            }
        }));
    let all = customers.join_all().await.into_iter().collect::<Result<Vec<()>, _>>();
    all.context("a customer was turned away").map(drop)
}
