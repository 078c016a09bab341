//! `shop compare tracing`: what it costs that every checkout can be looked at, and what it is worth
//! when something has become slow.
//!
//! Three shops in one: without anything that could be recorded, with every tenth request recorded, and
//! with all of them. They take turns of a fifth of a second, so that what else the machine does meets
//! all three alike. How much slower one is, is the median of what it was in each round against the
//! first one in the same round; and since a disk does what it wants, it is said how far that median
//! can be trusted. A shop is called too slow when all of that lies above the bound.

mod hunt;
mod process;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use serde::Serialize;
use shop_contracts::id::{OrderId, ProductId};
use shop_contracts::{Peer, Problem};
use shop_flags::PatternTracing;
use shop_outside::{mail, payment};
use tokio::task::JoinSet;

use self::hunt::Found;
use super::{Run, build, buyers};
use crate::goods;
use crate::journeys::Customer;
use crate::place::Place;
use crate::whole::{Setup, Shop};

/// Customers at once, each of whom asks again as soon as it is answered.
const CUSTOMERS: usize = 8;

/// Products: enough that none is sold out.
const PRODUCTS: usize = 1_000;

/// Reads for each purchase.
const READS: usize = 8;

/// A turn.
const TURN: Duration = Duration::from_millis(200);

/// Turns for each of the three.
const TURNS: usize = 60;

/// How much slower a shop may be of which every tenth request is recorded, and all of them.
const TENTH: f64 = 0.05;
const FULL: f64 = 0.15;

#[derive(Serialize)]
struct Outcome {
    seed: u64,
    place: Vec<String>,
    ways: Vec<Way>,
    hunt: hunt::Found,
}

#[derive(Serialize)]
struct Way {
    way: &'static str,
    requests: u64,
    errors: u64,
    /// The median of the turns.
    requests_a_second: f64,
    /// Against the first one, in the same rounds; it has nobody to be against.
    slower: Option<Percent>,
    p50_ms: f64,
    p99_ms: f64,
    /// Against the first one's, in the same rounds.
    p99_longer: Option<Percent>,
    spans: u64,
}

/// A median, and between what it lies in 95 of 100 runs.
#[derive(Clone, Copy, Serialize)]
struct Percent {
    median: f64,
    least: f64,
    most: f64,
}

/// A shop, and its customers.
struct Scene {
    shop: Shop,
    gateway: Peer,
    customers: Vec<Customer>,
    products: Vec<ProductId>,
}

/// What came of the turns of one way.
struct Told {
    /// Of each turn: requests a second, and the p99 in milliseconds.
    rates: Vec<f64>,
    p99s: Vec<f64>,
    took: Histogram<u64>,
    errors: u64,
    spans: u64,
}

/// Runs the comparison and prints it.
///
/// # Errors
/// A shop that does not open, a request that fails, or a shop that is too slow.
pub async fn compare(run: &Run) -> Result<()> {
    let places = [Place::for_a_run(run.real).await?, Place::for_a_run(run.real).await?];
    let bare = Scene::open(&places[0], false, run.seed).await?;
    let seen = Scene::open(&places[1], true, run.seed).await?;
    let ways = [
        ("off", &bare, PatternTracing::Off),
        ("every tenth", &seen, PatternTracing::Tenth),
        ("all", &seen, PatternTracing::Full),
    ];
    for (_, scene, share) in &ways {
        scene.turn(*share, 0).await?;
    }
    let mut told: Vec<Told> = ways.iter().map(|_| Told::new()).collect::<Result<_>>()?;
    for turn in 0..TURNS {
        // Nobody is always the first, or always behind the same one.
        for at in 0..ways.len() {
            let way = (at + turn) % ways.len();
            let (_, scene, share) = &ways[way];
            told[way].add(scene.turn(*share, turn + 1).await?)?;
        }
    }
    let first = |at: usize| (at > 0).then_some(&told[0]);
    let ways = ways.iter().zip(&told).enumerate();
    let ways = ways.map(|(at, ((name, ..), one))| one.way(name, first(at))).collect();
    bare.shop.close().await;
    seen.shop.close().await;
    let program = std::env::current_exe().context("this program is not to be found")?;
    let hunt = hunt::hunt(run.seed, &program).await?;
    let outcome = Outcome { seed: run.seed, place: places[0].told.clone(), ways, hunt };
    if run.json {
        anstream::println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        print(&outcome);
    }
    judge(&outcome)
}

impl Scene {
    async fn open(place: &Place, seen: bool, seed: u64) -> Result<Scene> {
        let setup = super::setup();
        let setup = Setup {
            telemetry: setup.telemetry.clone().filter(|_| seen),
            // What is outside takes no time: that would be most of it, and the same for all.
            provider: payment::Provider::new(Duration::ZERO),
            mail: mail::Server::new(Duration::ZERO),
            ..setup
        };
        let shop = Shop::open(place, setup).await?;
        let products = goods::take_in(&shop.peers, seed, PRODUCTS).await?;
        let gateway = Peer::new("gateway", shop.url());
        let accounts = buyers::accounts(&shop.peers, CUSTOMERS).await?;
        let customers = buyers::crowd(&accounts, &shop.setup.tokens, &gateway)?;
        Ok(Scene { shop, gateway, customers, products })
    }

    async fn turn(&self, share: PatternTracing, turn: usize) -> Result<Turn> {
        self.shop.setup.flags.set(share);
        let spans = || self.shop.telemetry.as_ref().map_or(0, |all| all.recent().recorded());
        let (before, is_over) = (spans(), Arc::new(AtomicBool::new(false)));
        let began = Instant::now();
        let customers =
            JoinSet::from_iter(self.customers.iter().enumerate().map(|(nth, customer)| {
                let (customer, gateway) = (customer.clone(), self.gateway.clone());
                // Each turn and each customer begins elsewhere, so that nothing is sold out.
                let first = (turn * CUSTOMERS + nth) * 97;
                let (products, is_over) = (self.products.clone(), Arc::clone(&is_over));
                async move { shops(&customer, &gateway, &products, first, &is_over).await }
            }));
        tokio::time::sleep(TURN).await;
        is_over.store(true, Ordering::Relaxed);
        let took = customers.join_all().await.into_iter().flatten().collect();
        Ok(Turn { lasted: began.elapsed(), took, spans: spans() - before })
    }
}

/// What came of a turn: how long each request took, if it was answered well.
struct Turn {
    lasted: Duration,
    took: Vec<Option<Duration>>,
    spans: u64,
}

/// Looks around and buys something, until it is over.
async fn shops(
    customer: &Customer,
    gateway: &Peer,
    products: &[ProductId],
    first: usize,
    is_over: &AtomicBool,
) -> Vec<Option<Duration>> {
    let mut took = Vec::new();
    let mut note = |began: Instant, answer: Result<(), Problem>| {
        took.push(answer.is_ok().then(|| began.elapsed()));
    };
    for round in first.. {
        for look in 0..READS {
            let began = Instant::now();
            note(began, Customer::look(gateway, products[(round + look) % products.len()]).await);
        }
        let began = Instant::now();
        note(began, customer.put(products[round % products.len()], 1).await);
        let (key, began) = (format!("key-{}", OrderId::new()), Instant::now());
        note(began, customer.buy(&key).await.map(drop));
        if is_over.load(Ordering::Relaxed) {
            break;
        }
    }
    took
}

impl Told {
    fn new() -> Result<Told> {
        let took = Told::times()?;
        Ok(Told { rates: Vec::new(), p99s: Vec::new(), took, errors: 0, spans: 0 })
    }

    /// In microseconds, up to a minute.
    fn times() -> Result<Histogram<u64>> {
        Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
    }

    fn add(&mut self, turn: Turn) -> Result<()> {
        self.rates.push(turn.took.len() as f64 / turn.lasted.as_secs_f64());
        self.spans += turn.spans;
        let mut times = Told::times()?;
        for took in turn.took {
            match took {
                Some(took) => times.record(u64::try_from(took.as_micros())?.max(1))?,
                None => self.errors += 1,
            }
        }
        self.p99s.push(times.value_at_quantile(0.99) as f64 / 1e3);
        Ok(self.took.add(&times)?)
    }

    fn way(&self, way: &'static str, first: Option<&Told>) -> Way {
        let millis = |quantile| self.took.value_at_quantile(quantile) as f64 / 1e3;
        Way {
            way,
            requests: self.took.len(),
            errors: self.errors,
            requests_a_second: median(self.rates.clone()),
            slower: first.map(|first| Percent::of(&first.rates, &self.rates)),
            p50_ms: millis(0.5),
            p99_ms: millis(0.99),
            p99_longer: first.map(|first| Percent::of(&self.p99s, &first.p99s)),
            spans: self.spans,
        }
    }
}

impl Percent {
    /// By how much `these` are more than `those`, pair by pair.
    ///
    /// The interval is that of the sign test, which asks nothing of how the figures are distributed:
    /// it goes from one of the sorted figures to another, 0.98 √n away from the middle. See
    /// W. J. Conover, *Practical Nonparametric Statistics*, 3rd edition, section 3.2.
    fn of(these: &[f64], those: &[f64]) -> Percent {
        let more = these.iter().zip(those).map(|(this, that)| 100.0 * (this / that - 1.0));
        let mut more: Vec<_> = more.collect();
        more.sort_by(f64::total_cmp);
        let (middle, away) = (more.len() / 2, (0.98 * (more.len() as f64).sqrt()).ceil() as usize);
        let at = |place: usize| more[place.min(more.len() - 1)];
        Percent {
            median: at(middle),
            least: at(middle.saturating_sub(away)),
            most: at(middle + away),
        }
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn print(outcome: &Outcome) {
    page::title("shop compare tracing · the same purchases, seen and unseen");
    outcome.place.iter().for_each(page::note);
    build().into_iter().for_each(page::note);
    page::part(1, "What it costs to be seen");
    page::note(format_args!(
        "{CUSTOMERS} customers who do not pause: {READS} reads, one of it into the cart, one order."
    ));
    page::note(format_args!(
        "{TURNS} turns of {} ms for each way; what is outside of the shop takes no time.",
        TURN.as_millis()
    ));
    let heads: Vec<_> = outcome.ways.iter().map(|way| way.way).collect();
    page::heads(&heads);
    let row = |what: &str, told: &dyn Fn(&Way) -> String| {
        let more: Vec<_> = outcome.ways[1..].iter().map(told).collect();
        page::row(what, told(&outcome.ways[0]), &more, "");
    };
    row("requests", &|way| page::count(way.requests));
    row("errors", &|way| page::count(way.errors));
    row("spans", &|way| page::count(way.spans));
    row("answered, a second", &|way| page::count(way.requests_a_second as u64));
    let told_of = |of: Option<Percent>, tell: &dyn Fn(Percent) -> String| {
        of.map_or_else(|| "-".to_owned(), tell)
    };
    let percent = |of| told_of(of, &|of| format!("{:.1} %", of.median));
    let interval = |of| told_of(of, &|of| format!("{:.1} … {:.1} %", of.least, of.most));
    row("slower by", &|way| percent(way.slower));
    row("in 95 of 100 runs", &|way| interval(way.slower));
    row("half took at most (p50)", &|way| format!("{:.2} ms", way.p50_ms));
    row("99 of 100 (p99)", &|way| format!("{:.1} ms", way.p99_ms));
    row("longer by", &|way| percent(way.p99_longer));
    row("in 95 of 100 runs", &|way| interval(way.p99_longer));
    told(&outcome.hunt);
    page::next(&[
        ("cargo run -p shop -- trace latest", "one order, in the shop that is up"),
        ("cargo lab start spans", "write it yourself"),
    ]);
}

fn told(found: &Found) {
    let Found { trail, line, .. } = found;
    let hunt::Trail { asked, trace, service, .. } = trail;
    let of = |name: &str| line["fields"][name].to_string();
    let millis = |time: f64| format!("{time:.1} ms");
    page::part(2, "Something has become slow");
    page::note(format_args!(
        "A shop in a process of its own, {} customers; after {} s one of its eight",
        hunt::CUSTOMERS,
        hunt::PHASE.as_secs()
    ));
    page::note("services becomes slow. Somebody on duty asks three times, as below.");
    page::gap();
    page::note("What has become slower than it was? The metrics, and an exemplar:");
    page::note("$ cargo run -p shop -- top");
    let medians = format!("{} -> {}", millis(trail.usual_ms), millis(trail.now_ms));
    page::figure(&format!("{asked} {}", trail.route), medians);
    page::figure("one of them: ID", trace);
    page::gap();
    page::note("For what did that one wait there? The trace:");
    page::note(format_args!("$ cargo run -p shop -- trace ID --of {asked}"));
    page::figure(&format!("{service} {}", trail.step), millis(trail.own_ms));
    page::gap();
    page::note("And what does that service say of it? The log:");
    page::note("$ grep ID shop.log");
    let said = format!("status {}, {} ms", of("status"), of("took_ms"));
    page::figure(&format!("{service} {}", line["message"].as_str().unwrap_or_default()), said);
    page::gap();
    page::figure("what was slow", found.wrong);
    page::figure("found in", format!("{:.0} ms", found.took_ms));
}

fn judge(outcome: &Outcome) -> Result<()> {
    for way in &outcome.ways {
        ensure!(way.errors == 0, "{} requests failed with {} recorded", way.errors, way.way);
    }
    let Found { wrong, trail: hunt::Trail { service, trace, .. }, .. } = &outcome.hunt;
    ensure!(service == wrong, "{wrong} was slow, and {service} was found, by the trace {trace}");
    let [off, tenth, full] = &outcome.ways[..] else { return Ok(()) };
    ensure!(off.spans == 0, "{} spans where nothing was to be recorded", off.spans);
    ensure!(full.spans > tenth.spans, "a tenth has {} spans, all {}", tenth.spans, full.spans);
    if cfg!(debug_assertions) {
        return Ok(());
    }
    for (way, most) in [(tenth, TENTH), (full, FULL)] {
        for (what, more) in [("slower", way.slower), ("longer in its p99", way.p99_longer)] {
            let (least, most) = (more.map_or(0.0, |more| more.least), 100.0 * most);
            ensure!(least <= most, "{} recorded is {least:.1} % {what}, not {most} %", way.way);
        }
    }
    Ok(())
}
