//! The hunt: one of eight services has become slow, and nobody says which.
//!
//! It is found as a person would find it, from outside, by what the shop tells of itself, and by the
//! code that `shop top` and `shop trace` run. A metric says which request has become slower than it
//! was, and its exemplar names one of them. The trace of that one says for which step it waited. And
//! the log has a line of that service in this trace.

#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use observability::spans::{Finished, Waterfall};
use serde::Serialize;
use serde_json::Value;
use shop_contracts::catalog::Product;
use shop_contracts::id::{OrderId, ProductId};
use shop_contracts::page::Page;
use shop_contracts::{Peer, Problem};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::process::Process;
use crate::journeys::Customer;
use crate::top::{Figures, Scrape, Watched};
use crate::traces::{self, Told};

/// Each of the eight, and the switch that makes it slow: by what it leans on, where that is known.
const WRONG: [(&str, &str, &str); 8] = [
    ("gateway", "fault.service", "gateway"),
    ("catalog", "fault.catalog_db", "slow"),
    ("users", "fault.service", "users"),
    ("carts", "fault.service", "carts"),
    ("orders", "fault.service", "orders"),
    ("inventory", "fault.service", "inventory"),
    ("payments", "fault.payment", "slow"),
    ("notifications", "fault.email", "slow"),
];

/// How long customers come before something is wrong, and afterwards: each ends what it has begun.
pub(super) const PHASE: Duration = Duration::from_secs(4);

/// Customers at once.
pub(super) const CUSTOMERS: usize = 8;

/// The longest that a service may take to say what it has counted.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was found, and how.
#[derive(Serialize)]
pub(super) struct Found {
    /// Which service was made slow.
    pub(super) wrong: &'static str,
    #[serde(flatten)]
    pub(super) trail: Trail,
    /// The log: a line of that service in this trace.
    pub(super) line: Value,
    /// How long it took from the first question to the last answer.
    pub(super) took_ms: f64,
}

/// From a metric to a step.
#[derive(Debug, Serialize)]
pub(super) struct Trail {
    /// The metric: where requests have become slower than they were, and the median of both, in
    /// milliseconds.
    pub(super) asked: &'static str,
    pub(super) route: String,
    pub(super) usual_ms: f64,
    pub(super) now_ms: f64,
    /// Its exemplar.
    pub(super) trace: String,
    /// The trace: the step that was waited for, and for how long it was.
    pub(super) service: String,
    pub(super) step: String,
    pub(super) own_ms: f64,
}

/// Opens a shop in a process of its own, lets customers in, makes something slow, and looks for it.
pub(super) async fn hunt(seed: u64, program: &Path) -> Result<Found> {
    let (wrong, switch, variant) = WRONG[usize::try_from(seed % WRONG.len() as u64)?];
    let shop = Process::open(program).await?;
    // Each product is read from the database: with a cache, a slow one is seen by few.
    shop.set("pattern.cache", "off").await?;
    shop.set("pattern.limiter", "off").await?;
    let shelf = Shelf::of(&shop.gateway, seed).await?;
    let watched = Watched::shop(&shop.gateway, &shop.peers, PATIENCE);
    shelf.visited(&shop.gateway, PHASE).await?;
    let before = watched.scrape().await;
    shop.set(switch, variant).await?;
    shelf.visited(&shop.gateway, PHASE).await?;

    let began = Instant::now();
    let trail = Trail::follow(&before, &watched.scrape().await, &shop.gateway).await?;
    let line = line(&shop.log, &trail.trace, &trail.service)?;
    Ok(Found { wrong, trail, line, took_ms: began.elapsed().as_secs_f64() * 1e3 })
}

impl Trail {
    /// By what was counted until something was wrong, and since then.
    async fn follow(before: &Scrape, now: &Scrape, gateway: &Peer) -> Result<Trail> {
        let figures = Figures::between(before, now);
        let slower = figures.slower.first().context("nothing has become slower than it was")?;
        let of = format!("{} {}", slower.method, slower.route);
        let trace = slower.trace.clone().with_context(|| format!("{of} has no exemplar"))?;
        let id = traces::id(&trace).context("an exemplar that is no trace's id")?;
        let asked = Instant::now();
        let told = loop {
            let told: Vec<Told> = gateway.get(&format!("/spans/{trace}")).await?;
            match traces::of_service(&told, slower.service) {
                Some(told) => break told,
                // A request is counted a moment before its span ends.
                None if asked.elapsed() < PATIENCE => sleep(Duration::from_millis(20)).await,
                None => bail!("{} is not in the trace {trace}", slower.service),
            }
        };
        let spans: Vec<Finished> = told.iter().filter_map(|span| span.finished(id)).collect();
        let waterfall = Waterfall::of(&spans);
        let culprit = waterfall.culprit().context("a trace in which nothing took any time")?;
        Ok(Trail {
            asked: slower.service,
            route: of,
            usual_ms: slower.usual_ms.unwrap_or_default(),
            now_ms: slower.p50_ms,
            trace,
            service: culprit.span.service.to_string(),
            step: culprit.span.name.to_string(),
            own_ms: culprit.own.as_secs_f64() * 1e3,
        })
    }
}

/// Of what this service has logged in this trace, the answer that took longest.
fn line(log: &Path, trace: &str, service: &str) -> Result<Value> {
    let lines = std::fs::read_to_string(log).context("the log cannot be read")?;
    let lines = lines.lines().filter(|line| line.contains(trace));
    let lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_it =
        lines.filter(|line| line["trace_id"] == trace && line["fields"]["service"] == service);
    let longest = of_it.max_by_key(|line| line["fields"]["took_ms"].as_u64());
    longest.with_context(|| format!("no line of {service} in {trace}"))
}

/// Who shops, and what there is.
struct Shelf {
    customers: Vec<Customer>,
    products: Vec<ProductId>,
}

impl Shelf {
    async fn of(gateway: &Peer, seed: u64) -> Result<Shelf> {
        let mut customers = Customer::crowd(gateway.base(), seed).await?;
        customers.truncate(CUSTOMERS);
        let page: Page<Product> = gateway.get("/api/products?size=40").await?;
        Ok(Shelf { customers, products: page.items.into_iter().map(|one| one.id).collect() })
    }

    /// They look around, buy, and look what has become of it, again and again, for so long; each
    /// ends what it has begun.
    async fn visited(&self, gateway: &Peer, phase: Duration) -> Result<()> {
        let until = Instant::now() + phase;
        let customers =
            JoinSet::from_iter(self.customers.iter().enumerate().map(|(nth, customer)| {
                let (customer, gateway) = (customer.clone(), gateway.clone());
                let products = self.products.clone();
                async move {
                    for round in nth.. {
                        for look in 0..4 {
                            let product = products[(round + look) % products.len()];
                            Customer::look(&gateway, product).await?;
                        }
                        customer.put(products[round % products.len()], 1).await?;
                        let order = customer.buy(&format!("key-{}", OrderId::new())).await?;
                        customer.order(order.id).await?;
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
}
