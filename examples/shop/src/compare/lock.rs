//! `shop compare lock`: the same sale under each variant of `pattern.lock`. Lessons 02.2, 02.4 and
//! 02.6, in place.
//!
//! 500 buyers want one of 100 pieces. The first has looked, and is stopped there; while he stands,
//! others buy, until his lease has run out and gone from hand to hand. Then he goes on with what he
//! saw. That is what a long pause does, of a collector or of a virtual machine that is moved; here
//! it is a gate, so that it happens in each run.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use shop_contracts::id::{OrderId, ProductId};
use shop_contracts::inventory::{Client, Delivery, Line, Wanted};
use shop_contracts::{Kind, Problem, Quantity};
use shop_flags::PatternLock;
use shop_inventory::{Options, Think};
use testbed::gate::Gate;
use tokio::task::JoinSet;

use super::{Run, build};
use crate::command::Patterns;
use crate::place::Place;
use crate::whole::{Setup, Shop};

const BUYERS: usize = 500;
const UNITS: i64 = 100;

/// So many buyers ask at the same moment.
const AT_ONCE: usize = 16;

/// How long a lease lasts. The buyer who is stopped is stopped for longer.
const TTL: Duration = Duration::from_millis(300);

/// For whatever should happen and does not.
const PATIENCE: Duration = Duration::from_secs(30);

const VARIANTS: [(&str, PatternLock); 5] = [
    ("none", PatternLock::None),
    ("lease", PatternLock::Lease),
    ("fencing", PatternLock::Fencing),
    ("lua", PatternLock::Lua),
    ("conditional", PatternLock::Conditional),
];

/// How this comparison is run.
#[derive(Args, Clone, Copy, Debug)]
pub struct Runs {
    #[command(flatten)]
    run: Run,
    /// How often, each time with the next seed
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    runs: u64,
}

#[derive(Serialize)]
struct Outcome {
    seed: u64,
    runs: u64,
    place: Vec<String>,
    buyers: usize,
    units: i64,
    variants: Vec<Variant>,
}

#[derive(Serialize)]
struct Variant {
    switch: &'static str,
    sales: Vec<Sale>,
}

/// One sale, and what the warehouse's books say of it.
#[derive(Serialize)]
struct Sale {
    /// Who bought while the first one was stopped.
    meanwhile: usize,
    sold: i64,
    oversold: i64,
    refused: usize,
    failed: usize,
    /// Available, held and sold, together: as many as were delivered, if the books add up.
    counted: i64,
    answered_a_second: f64,
    p99_ms: f64,
}

/// The buyer who is to be stopped between looking and taking.
#[derive(Clone, Default)]
struct Stopped(Arc<Mutex<Option<(OrderId, Gate)>>>);

impl Stopped {
    fn set(&self, stopped: Option<(OrderId, Gate)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stopped;
    }

    async fn think(self, order: OrderId) {
        let stopped = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, gate)) = stopped.filter(|(stopped, _)| *stopped == order) {
            gate.pass().await;
        }
    }
}

/// Runs the comparison, with the leases of `patterns`, and prints it.
///
/// # Errors
/// A shop that does not open, or a count that is not as it must be.
pub async fn compare(runs: &Runs, patterns: Patterns) -> Result<()> {
    let leases = patterns.leases;
    let Runs { run, runs } = *runs;
    let mut place = Place::for_a_run(run.real).await?;
    // The embedded shop has no Redis, and three of the variants need one.
    let _redis = match place.redis() {
        Some(_) => None,
        None => {
            let redis = testbed::redis::private().await?;
            place = place.with_cache(Some(redis.url().to_owned()));
            place.told[1] = redis.origin().to_string();
            Some(redis)
        }
    };
    let stopped = Stopped::default();
    let thinking = stopped.clone();
    let think = Think::by(move |order| thinking.clone().think(order));
    let stock = Options { ttl: TTL, patience: PATIENCE, leases, think };
    let shop = Shop::open(&place, Setup { stock, ..Setup::default() }).await?;

    let mut variants = VARIANTS.map(|(switch, _)| Variant { switch, sales: Vec::new() });
    for seed in (run.seed..).take(usize::try_from(runs)?) {
        for ((switch, lock), variant) in VARIANTS.iter().zip(&mut variants) {
            shop.setup.flags.set(*lock);
            let sale = sell(&shop, &stopped, seed).await;
            variant.sales.push(sale.with_context(|| format!("{switch}, seed {seed}"))?);
        }
    }
    shop.close().await;

    let outcome = Outcome {
        seed: run.seed,
        runs,
        place: place.told.clone(),
        buyers: BUYERS,
        units: UNITS,
        variants: variants.into(),
    };
    if run.json {
        anstream::println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        print(&outcome);
    }
    judge(&outcome, patterns.called)
}

/// What became of the buyers.
#[derive(Default)]
struct Crowd {
    sold: usize,
    refused: usize,
    failed: usize,
    waits: Vec<Duration>,
}

async fn sell(shop: &Shop, stopped: &Stopped, seed: u64) -> Result<Sale> {
    let inventory = &shop.peers.inventory;
    let delivery = |units: i64| -> Result<Delivery> {
        Ok(Delivery { product: ProductId::new(), first_stock: u32::try_from(units)? })
    };
    let (warm, sale) = (delivery(UNITS)?, delivery(UNITS)?);
    inventory.deliver(&[warm, sale]).await?;
    // Connections are made, and scripts are known.
    crowd(inventory, warm.product, AT_ONCE).await?;

    let (first, gate) = (OrderId::new(), Gate::shut());
    stopped.set(Some((first, gate.clone())));
    let late = tokio::spawn({
        let (inventory, wanted) = (inventory.clone(), one(sale.product)?);
        async move { buy(&inventory, first, &wanted).await }
    });
    gate.arrived(1, PATIENCE).await.context("the first buyer did not come to look")?;
    let meanwhile = StdRng::seed_from_u64(seed).random_range(20..60);
    let before = crowd(inventory, sale.product, meanwhile).await?;
    gate.open();
    let late = late.await?;
    let began = Instant::now();
    let after = crowd(inventory, sale.product, BUYERS - meanwhile - 1).await?;
    let took = began.elapsed();
    stopped.set(None);

    let mut all = Crowd::default();
    all.note(late);
    for part in [&before, &after] {
        all.sold += part.sold;
        all.refused += part.refused;
        all.failed += part.failed;
        all.waits.extend(&part.waits);
    }
    all.waits.sort();
    let p99 = all.waits.get(all.waits.len() * 99 / 100).copied().unwrap_or_default();
    let stock = inventory.stock(sale.product).await?;
    let told = i64::try_from(all.sold)?;
    ensure!(stock.sold == told, "{told} buyers were told “sold”, the books say {}", stock.sold);
    Ok(Sale {
        meanwhile,
        sold: stock.sold,
        oversold: (stock.sold - UNITS).max(0),
        refused: all.refused,
        failed: all.failed,
        counted: stock.available + stock.reserved + stock.sold,
        answered_a_second: after.waits.len() as f64 / took.as_secs_f64(),
        p99_ms: p99.as_secs_f64() * 1e3,
    })
}

/// So many buyers of one piece each, some at a time, none before he has his answer.
async fn crowd(inventory: &Client, product: ProductId, buyers: usize) -> Result<Crowd> {
    let (left, wanted) = (Arc::new(AtomicUsize::new(buyers)), Arc::new(one(product)?));
    let askers = JoinSet::from_iter((0..AT_ONCE).map(|_| {
        let (inventory, left, wanted) = (inventory.clone(), left.clone(), wanted.clone());
        async move {
            let mut crowd = Crowd::default();
            let take = |left: usize| left.checked_sub(1);
            while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
                let began = Instant::now();
                crowd.note(buy(&inventory, OrderId::new(), &wanted).await);
                crowd.waits.push(began.elapsed());
            }
            crowd
        }
    }));
    let mut all = Crowd::default();
    for part in askers.join_all().await {
        all.sold += part.sold;
        all.refused += part.refused;
        all.failed += part.failed;
        all.waits.extend(part.waits);
    }
    Ok(all)
}

impl Crowd {
    fn note(&mut self, bought: Result<(), Problem>) {
        match bought {
            Ok(()) => self.sold += 1,
            Err(problem) if problem.is(Kind::OutOfStock) => self.refused += 1,
            Err(problem) => {
                tracing::warn!(%problem, "a buyer was served badly");
                self.failed += 1;
            }
        }
    }
}

async fn buy(inventory: &Client, order: OrderId, wanted: &Wanted) -> Result<(), Problem> {
    inventory.reserve(order, wanted).await?;
    inventory.commit(order).await?;
    Ok(())
}

fn one(product: ProductId) -> Result<Wanted> {
    let quantity = Quantity::try_from(1_u32).map_err(anyhow::Error::msg)?;
    Ok(Wanted { lines: vec![Line { product, quantity }] })
}

fn print(outcome: &Outcome) {
    page::title("shop compare lock · one sale, and what guards the stock");
    outcome.place.iter().for_each(page::note);
    build().into_iter().for_each(page::note);
    page::note(format_args!(
        "{BUYERS} buyers of {UNITS} pieces, {AT_ONCE} at a time; runs {}, from seed {}.",
        outcome.runs, outcome.seed
    ));
    page::note(format_args!(
        "One has looked and is stopped, while 20 to 59 others buy; leases last {} ms.",
        TTL.as_millis()
    ));

    let heads: Vec<_> = std::iter::once("").chain(VARIANTS.map(|(switch, _)| switch)).collect();
    let row = |what: &str, told: &dyn Fn(&Variant) -> String| {
        let cells = outcome.variants.iter().map(told);
        std::iter::once(what.to_owned()).chain(cells).collect::<Vec<_>>()
    };
    let counts =
        |of: fn(&Sale) -> i64| move |variant: &Variant| range(variant.sales.iter().map(of));
    let middle = |of: fn(&Sale) -> f64| move |variant: &Variant| median(&variant.sales, of);
    page::grid(
        &heads,
        &[
            row("sold", &counts(|sale| sale.sold)),
            row("oversold", &counts(|sale| sale.oversold)),
            row("refused", &counts(|sale| sale.refused as i64)),
            row("served badly", &counts(|sale| sale.failed as i64)),
            row("in the books, of 100", &counts(|sale| sale.counted)),
            row("answered, a second", &|variant| {
                page::count(middle(|sale| sale.answered_a_second)(variant) as u64)
            }),
            row("99 of 100 (p99), ms", &|variant| {
                format!("{:.1}", middle(|sale| sale.p99_ms)(variant))
            }),
        ],
    );
    page::gap();
    page::note("A lease alone does not stop who was stopped himself: he wakes, and writes back");
    page::note("what he saw. With a fence the row refuses him. Without a lock there is nothing");
    page::note("to lose. The p99 holds the wait for the lease of the one who was stopped.");
    page::next(&[
        ("cargo run --example lock_free", "three ways to need no lock"),
        ("cargo lab start lock_free", "write them yourself"),
    ]);
}

/// `100`, or `131–158`.
fn range(counts: impl Iterator<Item = i64> + Clone) -> String {
    match (counts.clone().min(), counts.max()) {
        (Some(least), Some(most)) if least == most => least.to_string(),
        (Some(least), Some(most)) => format!("{least}–{most}"),
        _ => String::new(),
    }
}

fn median(sales: &[Sale], of: fn(&Sale) -> f64) -> f64 {
    let mut figures: Vec<_> = sales.iter().map(of).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

fn judge(outcome: &Outcome, called: &str) -> Result<()> {
    for Variant { switch, sales } in &outcome.variants {
        for (seed, sale) in (outcome.seed..).zip(sales) {
            let Sale { sold, oversold, refused, failed, counted, .. } = *sale;
            let again = format!("next: {called} compare lock --runs 1 --seed {seed}");
            if matches!(*switch, "none" | "lease") {
                ensure!(
                    oversold > 0 && counted > UNITS,
                    "{switch} oversold {oversold} and its books count {counted}: the stopped buyer \
                     did no harm, so nothing was shown\n{again}"
                );
                continue;
            }
            ensure!(
                sold == UNITS && counted == UNITS && failed == 0 && refused == BUYERS - 100,
                "{switch} sold {sold} of {UNITS}, {counted} in the books, {refused} refused, \
                 {failed} served badly\n{again}"
            );
        }
    }
    Ok(())
}
