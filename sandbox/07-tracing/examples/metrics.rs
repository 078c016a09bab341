//! 07.5 · Metrics: what two instances say together, and what a label costs.
//!
//! ```console
//! $ cargo run --example metrics
//! ```
//!
//! Ends by itself after about a second.

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{Extensions, HeaderValue, StatusCode};
use axum::routing::get;
use observability::around::Surrounded;
use observability::correlation_ids::{CorrelationIds, IdLayer, REQUEST_ID, TaskIds};
use observability::metrics::text::{Sample, buckets, samples};
use observability::metrics::{
    Bucket, Clock, DURATION, Instance, Metrics, Point, Registry, Sources, merged, quantile, rate,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tower::{Layer, Service};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("07.5 metrics · what several instances say together");
    let seed = page::seed()?;
    page::note("A clock is moved by each request as far as it takes: minutes of a shop's");
    page::note("traffic in a second of yours.");
    two_instances(seed).await?;
    a_restart();
    labels(seed).await?;
    page::next(&[
        ("cargo lab start metrics", "write it yourself, and be scraped in between"),
        ("cargo lab why metrics", "fifty-nine ways to miscount"),
    ]);
    Ok(())
}

/// An instance of the shop: its metrics, and its door.
struct Shop {
    registry: Registry,
    door: Surrounded<Router, IdLayer>,
}

/// How long a request takes, for the handler.
#[derive(Clone, Copy)]
struct Takes(Duration);

/// What should never be a label.
#[derive(Clone)]
struct RawPath(String);

impl Shop {
    fn open(route: fn(&Extensions) -> Option<&str>, limit: usize) -> Shop {
        let hand = Arc::new(AtomicU64::new(0));
        let clock = Clock::by({
            let hand = Arc::clone(&hand);
            move || Duration::from_nanos(hand.load(Ordering::SeqCst))
        });
        let registry =
            Registry::limited("shop", Sources { trace: TaskIds::current, route, clock }, limit);
        let order = move |request: Request| async move {
            let takes = request.extensions().get::<Takes>().map(|takes| takes.0);
            let nanos = takes.unwrap_or_default().as_nanos();
            hand.fetch_add(u64::try_from(nanos).unwrap_or_default(), Ordering::SeqCst);
            StatusCode::OK
        };
        // ANCHOR: layer
        let router = Router::new().route("/users/{id}/orders", get(order)).layer(registry.layer());
        let door = IdLayer.layer(router);
        // ANCHOR_END: layer
        Shop { registry, door }
    }

    async fn serve(&self, path: String, takes: Duration, id: &str) -> anyhow::Result<()> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = path.parse()?;
        request.headers_mut().insert(REQUEST_ID, HeaderValue::from_str(id)?);
        request.extensions_mut().insert(Takes(takes));
        request.extensions_mut().insert(RawPath(path));
        self.door.clone().call(request).await?;
        Ok(())
    }

    fn scrape(&self) -> String {
        self.registry.text(Some("application/openmetrics-text")).text
    }
}

fn by_route(found: &Extensions) -> Option<&str> {
    found.get::<MatchedPath>().map(MatchedPath::as_str)
}

fn by_path(found: &Extensions) -> Option<&str> {
    found.get::<RawPath>().map(|path| path.0.as_str())
}

fn millis(seconds: f64) -> String {
    page::millis(Duration::from_secs_f64(seconds))
}

/// Part 1: two instances, one of them slow.
async fn two_instances(seed: u64) -> anyhow::Result<()> {
    page::part(1, "10,000 requests, and how long they take");
    page::note("One instance serves 9,000 of them, in 10 to 40 ms. The other has just been");
    page::note("started, its cache is cold: 1,000, in 0.5 to 4 s.");
    let mut random = StdRng::seed_from_u64(seed);
    let shops = [Shop::open(by_route, 200), Shop::open(by_route, 200)];
    let mut took = Vec::new();
    let mut by_id = BTreeMap::new();
    for nth in 0..10_000 {
        let slow = nth % 10 == 9;
        let seconds = if slow { 0.5..4.0 } else { 0.010..0.040 };
        let takes = Duration::from_secs_f64(random.random_range(seconds));
        let id = format!("order-{nth}");
        shops[usize::from(slow)].serve(format!("/users/{nth}/orders"), takes, &id).await?;
        took.push(takes.as_secs_f64());
        by_id.insert(id, takes);
    }
    took.sort_by(f64::total_cmp);
    let scraped: Vec<Vec<Sample>> =
        shops.iter().map(|shop| samples(&shop.scrape())).collect::<Result<_, _>>()?;
    let instances: Vec<Vec<Bucket>> =
        scraped.iter().map(|samples| buckets(samples, DURATION, &[])).collect();
    let mut rows = Vec::new();
    for (name, q) in [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)] {
        let of_each = instances.iter().map(|one| quantile(one, q));
        let averaged = of_each.sum::<f64>() / instances.len() as f64;
        let truth = took[(q * took.len() as f64).ceil() as usize - 1];
        let together = quantile(&merged(&instances), q);
        let off = |value: f64| format!("{:.2}", value / truth);
        rows.push(vec![
            name.to_owned(),
            millis(averaged),
            off(averaged),
            millis(together),
            off(together),
            millis(truth),
        ]);
    }
    let heads = ["", "averaged", "ratio", "merged", "ratio", "the truth"];
    page::grid(&heads, &rows);
    page::note("Averaged: of each instance its quantile. Merged: of all buckets together.");
    page::note("Ratios are to the truth. With bounds of 0.025, 0.05, … 2.5 and 5 s, nobody");
    page::note("can be more exact.");

    let p99 = quantile(&merged(&instances), 0.99);
    let holds = |sample: &&Sample| {
        let le = sample.labels.get("le").and_then(|le| le.parse::<f64>().ok());
        le.is_some_and(|le| p99 <= le) && sample.exemplar.is_some()
    };
    let found = scraped[1].iter().find(holds).and_then(|sample| sample.exemplar.as_ref());
    let found = found.context("the bucket of the p99 names nobody")?;
    let id = found.labels.get("trace_id").context("an exemplar without an id")?;
    let took = by_id.get(id).context("an exemplar of nobody's")?;
    page::gap();
    page::figure("the bucket of the p99 names", id);
    page::figure("which took", page::millis(*took));
    Ok(())
}

/// Part 2: a counter that begins at zero.
fn a_restart() {
    page::part(2, "A restart, seen from Prometheus");
    page::note("Two instances take 10 orders a second each, and have done so for an hour.");
    page::note("One is restarted in the middle of the minute that is looked at.");
    let points = |values: [f64; 5]| -> Vec<Point> {
        let at = [0, 15, 30, 45, 60].map(Duration::from_secs);
        at.into_iter().zip(values).map(|(at, value)| Point { at, value }).collect()
    };
    let one = points([36_000.0, 36_150.0, 36_300.0, 36_450.0, 36_600.0]);
    // Scraped, and restarted just behind that.
    let other = points([36_000.0, 36_150.0, 36_300.0, 150.0, 300.0]);
    let sum: Vec<Point> = one
        .iter()
        .zip(&other)
        .map(|(one, other)| Point { at: one.at, value: one.value + other.value })
        .collect();
    let ends = |points: &[Point]| match points {
        [first, .., last] => (last.value - first.value) / 60.0,
        _ => f64::NAN,
    };
    let orders = |rate: f64| format!("{rate:.1} orders/s");
    page::figure("last minus first, added", orders(ends(&one) + ends(&other)));
    page::figure("the rate of the sum", orders(rate(&sum).unwrap_or(f64::NAN)));
    let rates = <Instance as Metrics>::rate(&[one, other]);
    page::figure("the sum of the rates", orders(rates.unwrap_or(f64::NAN)));
}

/// Part 3: what stands in a label.
async fn labels(seed: u64) -> anyhow::Result<()> {
    page::part(3, "2,000 customers, and 2,000 paths that strangers try");
    page::note("Each asks once. On the left the label is the path, without a limit; on the");
    page::note("right it is the route.");
    let mut told = Vec::new();
    for shop in [Shop::open(by_path, usize::MAX), Shop::open(by_route, 200)] {
        let mut random = StdRng::seed_from_u64(seed);
        for nth in 0..2_000 {
            let takes = Duration::from_millis(random.random_range(5..50));
            let user: u32 = random.random();
            shop.serve(format!("/users/{user}/orders"), takes, &format!("a-{nth}")).await?;
            let stranger: u32 = random.random();
            shop.serve(format!("/{stranger:x}.php"), takes, &format!("b-{nth}")).await?;
        }
        // As it is stored: each bucket is a series of its own.
        let scrape = shop.scrape();
        let all = samples(&scrape)?;
        let histograms = all.iter().filter(|sample| sample.name.ends_with("_count")).count();
        let counted = buckets(&all, DURATION, &[]).last().map_or(0.0, |all| all.count);
        told.push([histograms, all.len(), scrape.len(), counted as usize]);
    }
    let [path, route] = &told[..] else { anyhow::bail!("two manners") };
    page::heads(&["by path", "by route"]);
    for (nth, what) in
        ["histograms", "series that are stored", "bytes of one scrape", "requests counted in all"]
            .into_iter()
            .enumerate()
    {
        let ratio = match path[nth] / route[nth] {
            1 => String::new(),
            times => format!("{} ×", page::count(times as u64)),
        };
        let cell = page::count(route[nth] as u64);
        page::row(what, page::count(path[nth] as u64), &[cell], &ratio);
    }
    Ok(())
}
