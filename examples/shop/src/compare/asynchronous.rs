//! `shop compare async`: how long a customer waits for an answer, and for the confirmed order: in the
//! monolith, in the shop that asks one service after the other, and in the shop that answers at once.
//! All meet the same payment provider, which takes 1 s, and the same mail server, which takes 2 s.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use shop_contracts::id::ProductId;
use shop_contracts::orders::{Order, State};
use shop_contracts::{Peer, Problem};
use shop_flags::PatternAsync;
use shop_outside::supplier;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::monolith::{Before, PRODUCTS};
use super::{Run, balanced, build, ratio, seconds};
use crate::books::{self, Invariant};
use crate::goods;
use crate::journeys::{Customer, Door};
use crate::place::Place;
use crate::whole::Shop;

/// Buyers of one product, at once.
const BUYERS: usize = 10;

/// One buyer buys so often in the shop that answers at once; the middle one counts. The others take
/// seconds, of which a moment more or less is nothing.
const TIMES: usize = 9;

/// How many times sooner one buyer is answered than in the monolith, at least.
const SOONER: f64 = 500.0;

/// Longer than ten buyers take, one after the other, in the monolith.
const LONG: Duration = Duration::from_secs(120);

#[derive(Serialize)]
struct Outcome {
    seed: u64,
    place: Vec<String>,
    monolith: Side,
    synchronous: Side,
    asynchronous: Side,
    mails: usize,
    invariants: Vec<Invariant>,
}

#[derive(Serialize)]
struct Side {
    one: Sold,
    ten: Sold,
}

/// What so many buyers at once have waited for.
#[derive(Serialize)]
struct Sold {
    /// The last answer, in milliseconds.
    response_ms: f64,
    /// The last confirmation.
    confirmed_ms: f64,
}

/// Runs the comparison and prints it.
///
/// # Errors
/// A shop that does not open, an order that is not as it must be, or an answer that is not soon.
pub async fn compare(run: &Run) -> Result<()> {
    let (old, now) = (Place::for_a_run(run.real).await?, Place::for_a_run(run.real).await?);
    let new = match run.real {
        true => Place::real().await?.with_broker().await?,
        false => Place::passing()?,
    };
    let mut told = new.told.clone();
    told.push(format!("bus: {}", new.told_bus));
    if !run.json {
        page::title("shop compare async · how long a customer waits");
        told.iter().for_each(page::note);
        build().into_iter().for_each(page::note);
        page::note("Payment takes 1 s and email 2 s, in all three. Ten buyers of one product");
        page::note("wait for each other in the monolith: this takes three quarters of a minute.");
    }
    let before = Before::open(&old, run.seed).await?;
    let shop = Shop::open(&now, super::setup()).await?;
    goods::take_in(&shop.peers, run.seed, PRODUCTS).await?;
    // They share nothing, and both wait more than they work.
    let (before_url, url) = (before.url(), shop.url());
    let (monolith, synchronous) = tokio::try_join!(
        buy(&before_url, Door::Monolith, run.seed, 1),
        buy(&url, Door::Shop, run.seed, 1),
    )?;
    before.close().await;
    shop.close().await;
    // Alone, since here a millisecond counts.
    let shop = Shop::open(&new, super::setup()).await?;
    shop.setup.flags.set(PatternAsync::On);
    goods::take_in(&shop.peers, run.seed, PRODUCTS).await?;
    let asynchronous = buy(&shop.url(), Door::Shop, run.seed, TIMES).await?;
    let wanted = BUYERS + TIMES;
    // Those who were told after they had their answers.
    let mails = timeout(LONG, async {
        while shop.setup.mail.sent().len() < wanted {
            sleep(Duration::from_millis(20)).await;
        }
    });
    let _ = mails.await;
    let mails = shop.setup.mail.sent().len();
    let invariants = books::audit(&shop.peers).await?;
    shop.close().await;
    let seed = run.seed;
    let outcome =
        Outcome { seed, place: told, monolith, synchronous, asynchronous, mails, invariants };
    if run.json {
        anstream::println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        print(&outcome);
    }
    judge(&outcome)
}

/// One buyer, so many times one after the other, and then ten at once, of the product that is bought
/// most.
async fn buy(url: &str, door: Door, seed: u64, times: usize) -> Result<Side> {
    let gateway = Peer::new("the shop", url).patience(LONG);
    let product = ProductId(supplier::list(seed, PRODUCTS).products[0].id);
    let mut customers = Vec::new();
    for number in 0..BUYERS {
        let email = format!("buyer-{number}@example.org");
        customers.push(Customer::enter(door, gateway.clone(), &email, "one of each").await?);
    }
    let mut ones = Vec::new();
    for time in 0..times {
        ones.push(checkout(&customers[..1], product, &format!("first-{time}")).await?);
    }
    ones.sort_by(|one, other| one.response_ms.total_cmp(&other.response_ms));
    let one = ones.swap_remove(times / 2);
    let ten = checkout(&customers, product, "again").await?;
    Ok(Side { one, ten })
}

async fn checkout(customers: &[Customer], product: ProductId, wish: &str) -> Result<Sold> {
    for customer in customers {
        customer.put(product, 1).await.context("the cart")?;
    }
    let together = Arc::new(Barrier::new(customers.len()));
    let buying = JoinSet::from_iter(customers.iter().enumerate().map(|(number, customer)| {
        let (customer, together) = (customer.clone(), Arc::clone(&together));
        let key = format!("{wish}-{number:04}");
        async move {
            together.wait().await;
            let begun = Instant::now();
            let order = customer.buy(&key).await?;
            let response = begun.elapsed();
            Ok::<_, Problem>((confirmed(&customer, order).await?, response))
        }
    }));
    let bought = buying.join_all().await.into_iter().collect::<Result<Vec<_>, Problem>>()?;
    for (order, _) in &bought {
        ensure!(order.state == State::Confirmed, "order {} is {:?}", order.id, order.state);
    }
    let response = bought.iter().map(|(_, response)| *response).max().unwrap_or_default();
    let took = bought.iter().filter_map(|(order, _)| order.took.confirmed).max();
    Ok(Sold {
        response_ms: response.as_secs_f64() * 1e3,
        confirmed_ms: took.unwrap_or_default() as f64 / 1e3,
    })
}

/// The order as it is at its end. And with an empty cart: what is still in it is bought again.
async fn confirmed(customer: &Customer, placed: Order) -> Result<Order, Problem> {
    if placed.state.is_end() {
        return Ok(placed);
    }
    let looking = async {
        loop {
            let order = customer.order(placed.id).await?;
            if order.state.is_end() && customer.cart_is_empty().await? {
                return Ok(order);
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, looking).await.unwrap_or(Ok(placed.clone()))
}

fn print(outcome: &Outcome) {
    let Outcome { monolith, synchronous, asynchronous, .. } = outcome;
    let time = |ms: f64| match ms {
        ms if ms < 1000.0 => format!("{ms:.1} ms"),
        ms => seconds(Duration::from_secs_f64(ms / 1e3)),
    };
    let row = |what: &str, of: fn(&Side) -> f64| {
        let sooner = ratio(of(monolith), of(asynchronous));
        let times = [monolith, synchronous, asynchronous].map(|side| time(of(side)));
        [vec![what.to_owned()], times.to_vec(), vec![sooner]].concat()
    };
    page::grid(
        &["", "monolith", "shop", "at once", "sooner"],
        &[
            row("one buyer: response", |side| side.one.response_ms),
            row("one buyer: confirmed", |side| side.one.confirmed_ms),
            row("ten buyers: last response", |side| side.ten.response_ms),
            row("ten buyers: last confirmed", |side| side.ten.confirmed_ms),
        ],
    );
    page::gap();
    page::note("The order is not confirmed sooner by it. What is sooner is the answer, which");
    page::note("says that the wish is written down and will not be forgotten. What became of");
    page::note("it, the customer hears from the order's progress and from the mail.");
    page::gap();
    balanced("the books", &outcome.invariants);
}

fn judge(outcome: &Outcome) -> Result<()> {
    let Outcome { monolith, asynchronous, mails, invariants, .. } = outcome;
    for (before, now, what) in [
        (&monolith.one, &asynchronous.one, "one buyer"),
        (&monolith.ten, &asynchronous.ten, "ten buyers"),
    ] {
        let sooner = before.response_ms / now.response_ms;
        // What an unoptimised build takes is not what is promised.
        ensure!(
            sooner >= SOONER || cfg!(debug_assertions),
            "{what}: answered {sooner:.0} times sooner, and not {SOONER:.0}; \
             next: cargo run --release -p shop -- compare async"
        );
        ensure!(
            now.confirmed_ms >= 1000.0,
            "{what}: confirmed after {:.0} ms, without waiting for the payment",
            now.confirmed_ms
        );
    }
    let wanted = BUYERS + TIMES;
    ensure!(*mails == wanted, "{mails} mails for {wanted} orders");
    let broken = invariants.iter().filter(|invariant| !invariant.holds).count();
    ensure!(broken == 0, "the books do not add up");
    Ok(())
}
