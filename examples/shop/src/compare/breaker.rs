//! `shop compare breaker`: the payment provider hangs, under customers who keep arriving, with
//! nothing around the calls between services and with all of topic 04. Lessons 04.2 to 04.5, in
//! place.
//!
//! The gateway has few places here, so that a laptop can fill them. With four thousand places and a
//! hundred times the customers it is the same.

mod judge;
mod table;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use circuit_breakers::bulkhead;
use circuit_breakers::retry::{self, Budget};
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use shop_calls::{Line, Options};
use shop_contracts::Peer;
use shop_contracts::id::ProductId;
use shop_flags::{FaultPayment, Schedule};
use shop_outside::{mail, payment};
use testbed::load::{Load, Zipf};
use tokio::time::sleep_until;

use super::buyers::{self, End, Sample, Samples, ended, quantile};
use super::{Run, guard};
use crate::books::{self, Invariant};
use crate::goods;
use crate::journeys::Customer;
use crate::place::Place;
use crate::whole::{Setup, Shop};

/// Places of the gateway.
const PLACES: usize = 24;
/// Of them, so many at most wait for any one service.
const EACH: usize = 8;
/// Checkouts a second.
const CHECKOUTS: f64 = 10.0;
/// Looks at a product, a second.
const LOOKS: f64 = 50.0;
/// How long a customer waits for an answer.
const WAITING: Duration = Duration::from_secs(10);
/// Customers who take turns.
const CROWD: usize = 200;
const PRODUCTS: usize = 400;
/// What is read before anything is counted.
const WARM: Duration = Duration::from_secs(1);
/// Before the provider hangs.
const HEALTHY: Duration = Duration::from_secs(8);
/// After it hangs no more.
const AFTER: Duration = Duration::from_secs(14);
/// It is well again when for so long every checkout was confirmed, and within [`QUICK`].
const STEADY: Duration = Duration::from_secs(2);
const QUICK: Duration = Duration::from_secs(1);
/// For how long payments waits for the provider.
const PATIENCE: Duration = shop_payments::Payments::PATIENCE;
/// A p99 below this is as good as any: a busy machine, and not the shop, makes the difference.
const FLOOR: Duration = Duration::from_millis(if cfg!(debug_assertions) { 20 } else { 5 });
/// So often the day with the patterns may be lived until the machine is quiet enough.
const ATTEMPTS: u64 = 3;
/// How much slower the catalogue may be while the provider hangs.
const MOST: f64 = 1.5;

/// How this comparison is run.
#[derive(Args, Clone, Copy, Debug)]
pub struct Hang {
    #[command(flatten)]
    run: Run,
    /// For how many seconds the provider hangs
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = hang)]
    hang: Duration,
}

fn hang(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse::<u64>().ok();
    let number = number.filter(|seconds| (8..=600).contains(seconds));
    number.map(Duration::from_secs).ok_or_else(|| "8 to 600 seconds".into())
}

#[derive(Serialize)]
struct Outcome {
    seed: u64,
    place: Vec<String>,
    hang_seconds: f64,
    places: usize,
    floor_ms: f64,
    /// How often the day with the patterns was lived: more than once on a busy machine.
    attempts: u64,
    columns: Vec<Column>,
}

/// What came of it, one way.
#[derive(Serialize)]
struct Column {
    switch: &'static str,
    /// Looks at the catalogue.
    looks_healthy: Seen,
    looks_during: Seen,
    /// Those who found the gateway full while the provider hung.
    waited_for_a_place: u64,
    checkouts_healthy: Seen,
    checkouts_during: Seen,
    /// Calls that have reached the provider while it hung.
    reached: u64,
    /// From the end of the fault until checkouts were well again. None within the run: nothing.
    recovered_after_ms: Option<f64>,
    /// Between orders and payments, at the end.
    between: Option<Line>,
    invariants: Vec<Invariant>,
    /// How late the generator itself was, at worst.
    late_ms: f64,
}

/// Requests of one kind that arrived in one phase.
#[derive(Serialize)]
struct Seen {
    asked: u64,
    well: u64,
    later: u64,
    failed: u64,
    timed_out: u64,
    given_up: u64,
    odd: u64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Runs the comparison and prints it.
///
/// # Errors
/// A shop that does not open, or a count that is not as it must be.
pub async fn compare(hang: &Hang) -> Result<()> {
    let run = hang.run;
    let place = Place::for_a_run(run.real).await?;
    let bulkhead =
        bulkhead::Config { places: EACH, queue: 2, longest_wait: Duration::from_millis(250) };
    // What has been saved up is spent on the first who fail, and each repeat succeeds: the charge is
    // booked. That ends the row of failures. With so few places, ten repeats are two rounds of them.
    let budget = Budget { percent: 10, reserve: 2 };
    let retry = retry::Config { budget, ..Options::default().retry };
    let setup = Setup {
        provider: payment::Provider::new(Duration::from_millis(50)),
        mail: mail::Server::new(Duration::from_millis(5)),
        places: PLACES,
        calls: Options { bulkhead, retry, ..Options::default() },
        ..super::setup()
    };
    let shop = Shop::open(&place, setup).await?;
    let products = goods::take_in(&shop.peers, run.seed, PRODUCTS).await?;
    let gateway = Peer::new("gateway", shop.url()).patience(2 * WAITING);
    let accounts = buyers::accounts(&shop.peers, CROWD).await?;
    let crowd = buyers::crowd(&accounts, &shop.setup.tokens, &gateway)?;
    let street = Street { shop: &shop, gateway: &gateway, crowd: &crowd, products: &products };
    guard(&shop.setup.flags, false);
    let off = street.day("off", run.seed, hang.hang).await?;
    guard(&shop.setup.flags, true);
    let mut on = street.day("on", run.seed, hang.hang).await?;
    // Times are the machine's, too. Where only they are in doubt, the day is lived again.
    let mut attempts = 1;
    while attempts < ATTEMPTS && !on.is_quick() {
        attempts += 1;
        on = street.day("on", run.seed + attempts, hang.hang).await?;
    }
    shop.close().await;
    let outcome = Outcome {
        seed: run.seed,
        place: place.told.clone(),
        hang_seconds: hang.hang.as_secs_f64(),
        places: PLACES,
        floor_ms: millis(FLOOR),
        attempts,
        columns: vec![off, on],
    };
    if run.json {
        anstream::println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        table::print(&outcome);
    }
    judge::judge(&outcome)
}

/// A shop, and those who come to it.
struct Street<'a> {
    shop: &'a Shop,
    gateway: &'a Peer,
    crowd: &'a [Customer],
    products: &'a [ProductId],
}

impl Street<'_> {
    /// Healthy, ill, and well again.
    async fn day(&self, switch: &'static str, seed: u64, hang: Duration) -> Result<Column> {
        let (ill, over) = (HEALTHY, HEALTHY + hang);
        let load = |rate, keys| Load { rate, duration: over + AFTER, seed, keys };
        let flags = &self.shop.setup.flags;
        let from_ms = u64::try_from(ill.as_millis())?;
        let until_ms = u64::try_from(over.as_millis())?;
        flags.set_during(FaultPayment::Hang, Schedule::Once { from_ms, until_ms });

        let begun = Instant::now();
        let (looks, checkouts) = (Samples::new(WAITING), Samples::new(WAITING));
        flags.start_at(begun);
        let looking = load(LOOKS, Zipf::new(self.products.len(), 1.0));
        let looking = looking.run(|arrival| {
            let (gateway, product) = (self.gateway.clone(), self.products[arrival.key]);
            let ask = async move { Customer::look(&gateway, product).await };
            looks.clone().take(arrival, ask)
        });
        let buying = load(CHECKOUTS, Zipf::new(self.products.len(), 0.0));
        let buying = buying.run(|arrival| {
            let customer = self.crowd[arrival.index as usize % self.crowd.len()].clone();
            let key = format!("{switch}-{seed}-{:06}", arrival.index);
            let ask = buyers::buy(customer, self.products[arrival.key], key);
            checkouts.clone().take(arrival, ask)
        });
        // How much had been counted when the fault began, and when it ended.
        let counting = async {
            let mut counted = Vec::new();
            for at in [ill, over] {
                sleep_until((begun + at).into()).await;
                let reached = self.shop.setup.provider.calls().reached;
                counted.push((reached, self.counters().await?["places"]["waited"].clone()));
            }
            anyhow::Ok(counted)
        };
        let (looking, buying, counted) = tokio::join!(looking, buying, counting);
        let counted = counted?;
        let waited = |at: usize| counted[at].1.as_u64().context("the gateway counts who waits");
        flags.set(FaultPayment::Off);
        let invariants = books::audit(&self.shop.peers).await?;
        let lines: Vec<Line> = serde_json::from_value(self.counters().await?["calls"].take())?;
        let (looks, checkouts) = (looks.seen(), checkouts.seen());
        Ok(Column {
            switch,
            looks_healthy: Seen::told(part(&looks, WARM, ill)),
            looks_during: Seen::told(part(&looks, ill, over)),
            waited_for_a_place: waited(1)? - waited(0)?,
            checkouts_healthy: Seen::told(part(&checkouts, WARM, ill)),
            checkouts_during: Seen::told(part(&checkouts, ill, over)),
            reached: counted[1].0 - counted[0].0,
            recovered_after_ms: recovered(&checkouts, over).map(millis),
            between: lines.into_iter().find(|line| line.from == "orders" && line.to == "payments"),
            invariants,
            late_ms: millis(looking.late.max(buying.late)),
        })
    }

    async fn counters(&self) -> Result<Value> {
        Ok(self.gateway.get("/counters").await?)
    }
}

/// Those who arrived from the one moment on, and before the other.
fn part(samples: &[Sample], from: Duration, until: Duration) -> &[Sample] {
    let at = |moment| samples.partition_point(|sample| sample.at < moment);
    &samples[at(from)..at(until)]
}

/// From the end of the fault until the first of those checkouts from which on, for [`STEADY`], each
/// was confirmed and quick.
fn recovered(checkouts: &[Sample], over: Duration) -> Option<Duration> {
    let end = over + AFTER;
    let after = part(checkouts, over, end);
    let well = |sample: &Sample| sample.end == End::Well && sample.took <= QUICK;
    let candidates = after.iter().take_while(|sample| sample.at + STEADY <= end);
    let first = candidates
        .map(|sample| sample.at)
        .find(|from| part(checkouts, *from, *from + STEADY).iter().all(well));
    first.map(|at| at - over)
}

impl Column {
    /// Whether those who looked at the catalogue noticed nothing of the fault.
    fn is_quick(&self) -> bool {
        self.looks_during.p99_ms <= MOST * self.healthy_ms()
    }

    /// What the catalogue's p99 is measured by.
    fn healthy_ms(&self) -> f64 {
        self.looks_healthy.p99_ms.max(millis(FLOOR))
    }
}

impl Seen {
    fn told(samples: &[Sample]) -> Seen {
        Seen {
            asked: samples.len() as u64,
            well: ended(samples, End::Well),
            later: ended(samples, End::Later),
            failed: ended(samples, End::Failed),
            timed_out: ended(samples, End::TimedOut),
            given_up: ended(samples, End::GivenUp),
            odd: ended(samples, End::Odd),
            p50_ms: millis(quantile(samples, 0.5)),
            p99_ms: millis(quantile(samples, 0.99)),
        }
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
