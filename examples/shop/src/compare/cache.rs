//! `shop compare cache`: what the cache spares the catalogue's database, and what happens when the
//! hottest key expires. Lessons 01.2 and 01.5, in place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use shop_contracts::id::ProductId;
use shop_contracts::money::Price;
use shop_contracts::{Money, Peer, Problem};
use shop_flags::{FaultCatalogDb, PatternCache};
use testbed::load::{Load, Report, Zipf};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{Run, build, ratio};
use crate::goods;
use crate::journeys::Customer;
use crate::place::Place;
use crate::whole::{Setup, Shop};

/// Products in the catalogue.
const PRODUCTS: usize = 3000;

/// Reads a second. An unoptimised build on a busy laptop must keep up with them without a cache.
const RATE: f64 = if cfg!(debug_assertions) { 400.0 } else { 2000.0 };

/// How long readers keep arriving.
const TIME: Duration = Duration::from_secs(3);

/// Of so many reads, one goes together with a new price for its product.
const PRICES: u64 = 400;

/// Readers of the hot key.
const READERS: usize = 200;

/// How long a copy of the hot key lives.
const SHORT: Duration = Duration::from_millis(600);

#[derive(Serialize)]
struct Outcome {
    seed: u64,
    place: Vec<String>,
    reads: Vec<Reads>,
    fewer_database_reads_percent: f64,
    hot_key: Vec<Hot>,
}

/// What came of the same reads under one position of the switch.
#[derive(Serialize)]
struct Reads {
    switch: &'static str,
    reads: u64,
    errors: u64,
    new_prices: u64,
    database_reads: u64,
    throughput: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
}

/// What came of the hot key's end.
#[derive(Serialize)]
struct Hot {
    switch: &'static str,
    readers: usize,
    loads: u64,
    slowest_ms: f64,
}

/// Runs the comparison and prints it.
///
/// # Errors
/// A shop that does not open, or a count that is not as it must be.
pub async fn compare(run: &Run) -> Result<()> {
    let place = Place::for_a_run(run.real).await?;
    // Patient with the cache: a machine that is busy is not a cache that is gone.
    let cache =
        shop_cache::Options { timeout: Duration::from_secs(2), ..shop_cache::Options::default() };
    let shop = Shop::open(&place, Setup { cache, ..super::setup() }).await?;
    let products = goods::take_in(&shop.peers, run.seed, PRODUCTS).await?;
    let mut reads = Vec::new();
    for (name, switch) in [("off", PatternCache::Off), ("on", PatternCache::Stampede)] {
        reads.push(read(&shop, &products, run.seed, name, switch).await?);
    }
    shop.close().await;

    // The same data, and copies that live shortly.
    let cache = shop_cache::Options { ttl: SHORT, ..cache };
    let shop = Shop::open(&place, Setup { cache, ..super::setup() }).await?;
    let mut hot = Vec::new();
    for (name, switch) in [
        ("off", PatternCache::Off),
        ("cache_aside", PatternCache::CacheAside),
        ("stampede", PatternCache::Stampede),
    ] {
        hot.push(expire(&shop, products[0], name, switch).await?);
    }
    shop.close().await;

    let (without, with) = (reads[0].database_reads as f64, reads[1].database_reads as f64);
    let outcome = Outcome {
        seed: run.seed,
        place: place.told.clone(),
        fewer_database_reads_percent: 100.0 * (1.0 - with / without),
        reads,
        hot_key: hot,
    };
    if run.json {
        anstream::println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        print(&outcome);
    }
    judge(&outcome)
}

/// Reads for [`TIME`], once every product has been read.
async fn read(
    shop: &Shop,
    products: &[ProductId],
    seed: u64,
    name: &'static str,
    switch: PatternCache,
) -> Result<Reads> {
    shop.setup.flags.set(switch);
    let gateway = Peer::new("gateway", shop.url());
    let warm = JoinSet::from_iter(products.chunks(products.len().div_ceil(16)).map(|part| {
        let (gateway, part) = (gateway.clone(), part.to_vec());
        async move {
            for id in part {
                Customer::look(&gateway, id).await?;
            }
            Ok::<_, Problem>(())
        }
    }));
    warm.join_all().await.into_iter().collect::<Result<Vec<()>, _>>().context("warming up")?;

    let catalog = shop.peers.catalog.clone();
    let before = catalog.counters().await?.database_reads;
    let load = Load { rate: RATE, duration: TIME, seed, keys: Zipf::new(products.len(), 1.0) };
    let report = load
        .run(|arrival| {
            let (gateway, catalog) = (gateway.clone(), catalog.clone());
            let id = products[arrival.key];
            async move {
                if (arrival.index + 1).is_multiple_of(PRICES) {
                    let cents = 100 + i64::try_from(arrival.index).unwrap_or_default();
                    let price =
                        Price::try_from(Money::euros(cents)).map_err(|_| Problem::internal())?;
                    catalog.set_price(id, price).await?;
                }
                Customer::look(&gateway, id).await
            }
        })
        .await;
    // The question for the counters is itself one.
    let database_reads = catalog.counters().await?.database_reads - before - 1;
    Ok(Reads::told(name, &report, database_reads))
}

impl Reads {
    fn told(switch: &'static str, report: &Report, database_reads: u64) -> Reads {
        let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
        Reads {
            switch,
            reads: report.ok,
            errors: report.errors,
            new_prices: report.offered / PRICES,
            database_reads,
            throughput: report.throughput(),
            p50_ms: millis(report.p50()),
            p99_ms: millis(report.p99()),
            p999_ms: millis(report.p999()),
        }
    }
}

/// Lets the copy of `product` expire, and then lets all readers in at once.
async fn expire(
    shop: &Shop,
    product: ProductId,
    name: &'static str,
    switch: PatternCache,
) -> Result<Hot> {
    let flags = &shop.setup.flags;
    flags.set(switch);
    let gateway = Peer::new("gateway", shop.url());
    // A Redis may still have the copy of the first part, which lives longer: a new price ends it.
    let price = Price::try_from(Money::euros(4200)).map_err(anyhow::Error::msg)?;
    shop.peers.catalog.set_price(product, price).await?;
    // The product's copy is made, and so are the connections: opening those would take longer than
    // a load, and only the first few readers would meet.
    crowd(&gateway, product).await?;
    let loads = async || shop.peers.catalog.counters().await.map(|now| now.product_loads);
    // One of the crowd may be refreshing the copy, early and in the background.
    let mut before = loads().await?;
    loop {
        tokio::time::sleep(2 * SHORT).await;
        match loads().await? {
            now if now == before => break,
            now => before = now,
        }
    }
    flags.set(FaultCatalogDb::Slow);
    let slowest = crowd(&gateway, product).await?;
    let loads = loads().await? - before;
    flags.set(FaultCatalogDb::Off);
    Ok(Hot { switch: name, readers: READERS, loads, slowest_ms: slowest.as_secs_f64() * 1e3 })
}

/// All readers at once. How long the slowest took.
async fn crowd(gateway: &Peer, product: ProductId) -> Result<Duration> {
    let together = Arc::new(Barrier::new(READERS));
    let readers = JoinSet::from_iter((0..READERS).map(|_| {
        let (gateway, together) = (gateway.clone(), Arc::clone(&together));
        async move {
            together.wait().await;
            let begun = Instant::now();
            Customer::look(&gateway, product).await.map(|()| begun.elapsed())
        }
    }));
    let took = readers.join_all().await.into_iter().collect::<Result<Vec<_>, Problem>>()?;
    Ok(took.into_iter().max().unwrap_or_default())
}

fn print(outcome: &Outcome) {
    page::title("shop compare cache · the catalogue, read with the cache off and on");
    outcome.place.iter().for_each(page::note);
    build().into_iter().for_each(page::note);

    page::part(1, "The same reads");
    page::note(format_args!(
        "{} products, each read once; then {} reads/s for {} s through the gateway,",
        page::count(PRODUCTS as u64),
        page::count(RATE as u64),
        TIME.as_secs(),
    ));
    page::note(format_args!(
        "Zipf 1.0, seed {}; one read in {PRICES} comes with a new price.",
        outcome.seed
    ));
    let (off, on) = (&outcome.reads[0], &outcome.reads[1]);
    page::heads(&["cache off", "cache on"]);
    let row = |what: &str, told: &dyn Fn(&Reads) -> String, ratio: &str| {
        page::row(what, told(off), &[told(on)], ratio);
    };
    row("reads", &|reads| page::count(reads.reads), "");
    row("errors", &|reads| page::count(reads.errors), "");
    row("new prices", &|reads| page::count(reads.new_prices), "");
    let fewer = ratio(off.database_reads as f64, on.database_reads as f64);
    row("database reads", &|reads| page::count(reads.database_reads), &fewer);
    row("answered, a second", &|reads| page::count(reads.throughput as u64), "");
    for (what, quantile) in [
        ("half took at most (p50)", (|reads| reads.p50_ms) as fn(&Reads) -> f64),
        ("99 of 100 (p99)", |reads| reads.p99_ms),
        ("999 of 1,000 (p99.9)", |reads| reads.p999_ms),
    ] {
        let told = |reads: &Reads| format!("{:.1} ms", quantile(reads));
        row(what, &told, &ratio(quantile(off), quantile(on)));
    }

    page::part(2, "The hottest key expires");
    page::note(format_args!("{READERS} readers at once, each load takes 200 ms."));
    page::heads(&["cache off", "cache_aside", "stampede"]);
    let cells = |told: &dyn Fn(&Hot) -> String| -> Vec<String> {
        outcome.hot_key[1..].iter().map(told).collect()
    };
    let loads = |hot: &Hot| page::count(hot.loads);
    let slowest = |hot: &Hot| format!("{:.0} ms", hot.slowest_ms);
    page::row("loads", loads(&outcome.hot_key[0]), &cells(&loads), "");
    page::row("slowest reader", slowest(&outcome.hot_key[0]), &cells(&slowest), "");
    page::gap();
    page::note("Without protection, a key that is read most costs most when it ends.");
    page::next(&[
        ("cargo run --example cache_aside", "the pattern by itself"),
        ("cargo run --example stampede", "the protection by itself"),
        ("cargo lab start cache_aside", "write it yourself"),
    ]);
}

fn judge(outcome: &Outcome) -> Result<()> {
    // Without a cache the database may be too slow for all of them: that is its purpose.
    let errors = outcome.reads[1].errors;
    ensure!(errors == 0, "{errors} reads failed with the cache on");
    let fewer = outcome.fewer_database_reads_percent;
    ensure!(fewer >= 99.0, "the cache spared only {fewer:.2} % of the database's reads, not 99 %");
    let protected = outcome.hot_key.iter().find(|hot| hot.switch == "stampede");
    let loads = protected.map_or(0, |hot| hot.loads);
    ensure!(loads == 1, "the protected hot key was loaded {loads} times, not once");
    Ok(())
}
