//! `shop compare saga`: 500 checkouts that are answered at once, with cards that are declined, answers
//! that are lost, stock that is gone, and a process that is killed at every step: brought to their end
//! by a task in memory that hopes, and by a saga. Topics 05 and 06, in place.
//!
//! The orders service runs in a process of its own, which `fault.orders.crash` ends at the point that
//! is named, with nothing closed and nothing said; then it is started again. All else is in this one,
//! above all the payment provider, who forgets nothing.

mod rush;
mod table;
mod wire;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;
use shop_flags::PatternInbox;
use shop_outside::{mail, payment};

use super::{Run, buyers};
use crate::apart::Apart;
use crate::books::{self, Invariant};
use crate::goods;
use crate::place::Place;
use crate::whole::{Setup, Shop};

/// Before each step, after its effect with the answer lost, and after its entry in the journal; on the
/// way forward and on the way back.
const POINTS: [&str; 18] = [
    "before_reserve",
    "lost_reserve",
    "after_reserve",
    "before_charge",
    "lost_charge",
    "after_charge",
    "before_confirm",
    "lost_confirm",
    "after_confirm",
    "before_empty",
    "lost_empty",
    "after_empty",
    "before_release",
    "lost_release",
    "after_release",
    "before_refund",
    "lost_refund",
    "after_refund",
];

/// Checkouts for each seed.
const WISHES: usize = 500;

/// Customers. Each has come to an end with one order, as a rule, before they want the next.
const CROWD: usize = 100;
const PRODUCTS: usize = 3000;

/// How long a saga rests whose driver is dead, here.
const LEASE: &str = "1s";

/// How long nothing may change before nothing will any more: where a task hopes, which has no pauses;
/// and for a saga on a machine that is busy with much else.
const STILL: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(60);

/// The right column, and what the left one is without.
const SWITCHES: [&str; 3] = ["pattern.saga", "pattern.outbox", "pattern.idempotency"];

/// How this comparison is run.
#[derive(Args, Clone, Copy, Debug)]
pub struct Seeds {
    #[command(flatten)]
    run: Run,
    /// How often with the saga, each time with the next seed
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    seeds: u64,
}

#[derive(Serialize)]
struct Outcome {
    seed: u64,
    seeds: u64,
    place: Vec<String>,
    hope: Counted,
    saga: Counted,
    invariants: Vec<Invariant>,
}

/// What has become of all wishes.
#[derive(Default, Serialize)]
struct Counted {
    wishes: u64,
    /// The points at which the process died, one after the other.
    killed: Vec<&'static str>,
    /// Answers that were lost between services.
    answers_lost: u64,
    /// What was held for an order and gone when it was paid.
    holds_gone: u64,
    orders: u64,
    confirmed: u64,
    cancelled: u64,
    /// Under way, and nobody is at it.
    stuck: u64,
    /// Orders beyond what was wished.
    twice: u64,
    /// Held for nobody, or sold to nobody.
    pieces_lost: u64,
    /// Orders that are not confirmed, and paid.
    charged_without_order: u64,
    cents_without_order: i64,
    /// Confirmed, and the customer does not know.
    untold: u64,
    told_twice: u64,
}

/// Runs the comparison and prints it.
///
/// # Errors
/// A shop that does not open, or a count that is not as it must be.
pub async fn compare(seeds: &Seeds) -> Result<()> {
    let Seeds { run, seeds } = *seeds;
    if !run.json {
        table::head(run.seed, seeds);
    }
    let (hope, ..) = side(&run, 1, "off").await.context("the task that hopes")?;
    let (saga, place, invariants) = side(&run, seeds, "on").await.context("the saga")?;
    let outcome = Outcome { seed: run.seed, seeds, place, hope, saga, invariants };
    if run.json {
        anstream::println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        table::print(&outcome);
    }
    judge(&outcome)
}

/// A shop whose orders run apart, and all that happens in it.
async fn side(
    run: &Run,
    seeds: u64,
    switch: &'static str,
) -> Result<(Counted, Vec<String>, Vec<Invariant>)> {
    let place = match run.real {
        true => Place::real().await?.with_broker().await?,
        false => Place::passing()?,
    };
    let mut told = place.told.clone();
    told.push(format!("bus: {}", place.told_bus));
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let settings: Vec<_> = SWITCHES.iter().map(|name| format!("{name}={switch}")).collect();
    // Nothing around the calls: each that is lost is the saga's own business.
    let around = ["pattern.breaker=off", "pattern.retry=off", "pattern.bulkhead=off"];
    let mut more = vec!["--lease", LEASE, "--set", "pattern.async=on"];
    for setting in settings.iter().map(String::as_str).chain(around) {
        more.extend(["--set", setting]);
    }
    let program = std::env::current_exe().context("this program is nowhere")?;
    let mut orders = Apart::new(&program, "orders", &place, folder.path(), &more)?;
    let setup = Setup {
        provider: payment::Provider::new(Duration::from_millis(10)),
        mail: mail::Server::new(Duration::from_millis(2)),
        apart: vec![("orders", orders.url().to_owned())],
        ..super::setup()
    };
    let shop = Shop::open(&place, setup).await?;
    if switch == "off" {
        shop.setup.flags.set(PatternInbox::Off);
    }
    let products = goods::take_in(&shop.peers, run.seed, PRODUCTS).await?;
    let accounts = buyers::accounts(&shop.peers, CROWD).await?;
    let inventory = wire::Wire::to(&shop.peers.inventory.0, run.seed).await?;
    let payments = wire::Wire::to(&shop.peers.payments.0, run.seed).await?;
    for peer in [&shop.peers.carts.0, &shop.peers.notifications.0] {
        orders.finds(peer.name(), peer.base());
    }
    for (name, wire) in [("inventory", &inventory), ("payments", &payments)] {
        orders.finds(name, &wire.url);
    }
    orders.start().await?;
    let still = if switch == "on" { LONG } else { STILL };
    let mut counted = Counted::default();
    for seed in (run.seed..).take(usize::try_from(seeds)?) {
        let rushing =
            rush::rush(&shop, &mut orders, seed, &accounts, &products, &mut counted).await;
        rushing.with_context(|| format!("seed {seed}"))?;
        rush::count(&shop, &accounts, still, &mut counted).await?;
        if switch == "on" {
            counted.holds().with_context(|| format!("seed {seed}"))?;
            if seeds > 1 && !run.json {
                page::note(format_args!("seed {seed}: nothing stuck, lost or charged for nothing"));
            }
        }
    }
    for wire in [&inventory, &payments] {
        counted.answers_lost += wire.lost.load(std::sync::atomic::Ordering::Relaxed);
        counted.holds_gone += wire.gone.load(std::sync::atomic::Ordering::Relaxed);
    }
    // Without a saga the books wait for orders that never come to an end.
    let invariants = match switch {
        "on" => books::audit(&shop.peers).await?,
        _ => Vec::new(),
    };
    drop(orders);
    shop.close().await;
    Ok((counted, told, invariants))
}

impl Counted {
    /// What is promised of a saga.
    fn holds(&self) -> Result<()> {
        let Counted { stuck, twice, pieces_lost, untold, told_twice, .. } = self;
        let (paid, cents) = (self.charged_without_order, self.cents_without_order);
        ensure!(*stuck == 0, "{stuck} orders are stuck");
        ensure!(*twice == 0, "{twice} orders that nobody wished for");
        ensure!(*pieces_lost == 0, "{pieces_lost} pieces of the stock are lost");
        ensure!(paid == 0, "{paid} customers were charged {cents} cents without an order");
        ensure!(*untold == 0, "{untold} customers have not heard of their orders");
        ensure!(*told_twice == 0, "{told_twice} customers were told twice");
        Ok(())
    }
}

fn judge(outcome: &Outcome) -> Result<()> {
    let Outcome { seeds, hope, saga, invariants, .. } = outcome;
    saga.holds()?;
    let broken = invariants.iter().filter(|invariant| !invariant.holds).count();
    ensure!(broken == 0, "the books do not add up");
    // What did not happen proves nothing.
    let all = POINTS.len() * usize::try_from(*seeds)?;
    let killed = saga.killed.len();
    ensure!(killed == all, "nothing is proved: it died at {killed} points of {all}");
    for (side, counted) in [("hope", hope), ("saga", saga)] {
        let Counted { answers_lost, holds_gone, confirmed, cancelled, .. } = counted;
        ensure!(
            [answers_lost, holds_gone, confirmed, cancelled].into_iter().all(|count| *count > 0),
            "nothing is proved with the {side}: {answers_lost} answers lost, {holds_gone} holds \
             gone, {confirmed} orders confirmed, {cancelled} cancelled"
        );
    }
    ensure!(
        hope.stuck > 0 && hope.charged_without_order > 0 && hope.pieces_lost > 0,
        "nothing is proved: the task in memory has lost nothing"
    );
    Ok(())
}
