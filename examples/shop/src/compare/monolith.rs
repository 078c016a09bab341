//! `shop compare monolith`: one buyer, then ten buyers of one product, in the shop before and in
//! the shop now. Both meet the same payment provider, which takes 1 s, and the same mail server,
//! which takes 2 s; both answer when the customer has been told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use monolith::Monolith;
use serde::Serialize;
use shop_contracts::id::ProductId;
use shop_contracts::orders::{Order, State};
use shop_contracts::{Peer, Problem};
use shop_outside::{mail, payment, supplier};
use shop_service::token::Tokens;
use shop_service::{Running, Stop, serve_locally};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{Run, build, ratio, seconds};
use crate::books::{self, Invariant};
use crate::goods;
use crate::journeys::{Customer, Door};
use crate::place::Place;
use crate::whole::Shop;

/// Buyers of one product, at once.
const BUYERS: usize = 10;

/// Products on sale.
pub(super) const PRODUCTS: usize = 50;

/// What payment and mail take together: less than this, and something was left out.
const LEAST: Duration = Duration::from_secs(3);

#[derive(Serialize)]
struct Outcome {
    seed: u64,
    place: Vec<String>,
    monolith: Side,
    shop: Side,
    invariants: Vec<Invariant>,
}

#[derive(Serialize)]
struct Side {
    one: Sold,
    ten: Sold,
    /// The shortest time between two answers to the ten.
    apart_ms: f64,
}

/// What came of so many buyers at once.
#[derive(Serialize)]
struct Sold {
    buyers: usize,
    confirmed: usize,
    first_response_ms: f64,
    last_response_ms: f64,
    /// From the order's placing, or for the monolith from the request, to its confirmation.
    last_confirmed_ms: f64,
}

/// Runs the comparison and prints it.
///
/// # Errors
/// A shop that does not open, or an order that is not as it must be.
pub async fn compare(run: &Run) -> Result<()> {
    let (old, new) = (Place::for_a_run(run.real).await?, Place::for_a_run(run.real).await?);
    if !run.json {
        page::title("shop compare monolith · one checkout, before and now");
        old.told.iter().take(1).for_each(page::note);
        build().into_iter().for_each(page::note);
        page::note("Payment takes 1 s and email 2 s, in both. Ten buyers of one product");
        page::note("wait for each other in the monolith: this takes half a minute.");
    }
    let before = Before::open(&old, run.seed).await?;
    let shop = Shop::open(&new, super::setup()).await?;
    goods::take_in(&shop.peers, run.seed, PRODUCTS).await?;
    // They share nothing, and both wait more than they work.
    let (before_url, url) = (before.url(), shop.url());
    let (monolith, now) = tokio::try_join!(
        buy(&before_url, Door::Monolith, run.seed),
        buy(&url, Door::Shop, run.seed),
    )?;
    let mut invariants = books::audit(&shop.peers).await?;
    invariants.push(before.audit().await?);
    before.close().await;
    shop.close().await;
    let (seed, place) = (run.seed, old.told.clone());
    let outcome = Outcome { seed, place, monolith, shop: now, invariants };
    if run.json {
        anstream::println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        print(&outcome);
    }
    judge(&outcome)
}

/// The monolith, open.
pub(super) struct Before {
    monolith: Monolith,
    provider: payment::Provider,
    running: Running,
    stop: Stop,
}

impl Before {
    pub(super) async fn open(place: &Place, seed: u64) -> Result<Before> {
        let provider = payment::Provider::default();
        let tokens = Tokens::new(&Tokens::secret());
        let mail = mail::Server::default();
        let monolith = Monolith::open(&place.storage, provider.clone(), mail, tokens).await?;
        monolith.seed(&supplier::list(seed, PRODUCTS)).await?;
        let stop = Stop::default();
        let running = serve_locally("monolith", monolith.router(), &stop).await?;
        Ok(Before { monolith, provider, running, stop })
    }

    pub(super) fn url(&self) -> String {
        self.running.url()
    }

    pub(super) async fn close(self) {
        self.monolith.close().await;
        self.stop.now();
        self.running.stopped().await;
    }

    async fn audit(&self) -> Result<Invariant> {
        let books = self.monolith.books().await?;
        let euros = shop_contracts::Money::euros;
        let (ours, theirs) = (euros(books.revenue), euros(self.provider.books().kept()));
        Ok(Invariant {
            what: "the monolith adds up, too",
            figures: format!("ordered {ours}, provider {theirs}"),
            holds: ours == theirs && books.lowest >= 0,
        })
    }
}

/// One buyer, and then ten at once, of the product that is bought most.
async fn buy(url: &str, door: Door, seed: u64) -> Result<Side> {
    let gateway = Peer::new("the shop", url).patience(Duration::from_secs(120));
    let product = ProductId(supplier::list(seed, PRODUCTS).products[0].id);
    let mut customers = Vec::new();
    for number in 0..BUYERS {
        let email = format!("buyer-{number}@example.org");
        customers.push(Customer::enter(door, gateway.clone(), &email, "one of each").await?);
    }
    let (one, _) = checkout(&customers[..1], product, "first").await?;
    let (ten, responses) = checkout(&customers, product, "again").await?;
    let apart = responses.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).min();
    Ok(Side { one, ten, apart_ms: millis(apart.unwrap_or_default()) })
}

async fn checkout(
    customers: &[Customer],
    product: ProductId,
    wish: &str,
) -> Result<(Sold, Vec<Duration>)> {
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
            customer.buy(&key).await.map(|order| (order, begun.elapsed()))
        }
    }));
    let bought = buying.join_all().await.into_iter().collect::<Result<Vec<_>, Problem>>()?;
    let confirmed = |(order, _): &&(Order, Duration)| order.state == State::Confirmed;
    let took = |(order, _): &(Order, Duration)| order.took.confirmed.unwrap_or_default();
    let last_confirmed = bought.iter().map(took).max().unwrap_or_default();
    let mut responses: Vec<_> = bought.iter().map(|(_, took)| *took).collect();
    responses.sort_unstable();
    let sold = Sold {
        buyers: customers.len(),
        confirmed: bought.iter().filter(confirmed).count(),
        first_response_ms: millis(responses[0]),
        last_response_ms: millis(responses[responses.len() - 1]),
        last_confirmed_ms: last_confirmed as f64 / 1e3,
    };
    Ok((sold, responses))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn print(outcome: &Outcome) {
    let Outcome { monolith, shop, .. } = outcome;
    let row = |what: &str, of: fn(&Side) -> f64| {
        let told = |side: &Side| seconds(Duration::from_secs_f64(of(side) / 1e3));
        page::row(what, told(monolith), &[told(shop)], &ratio(of(monolith), of(shop)));
    };
    page::heads(&["monolith", "shop"]);
    row("one buyer: response", |side| side.one.last_response_ms);
    row("one buyer: confirmed", |side| side.one.last_confirmed_ms);
    row("ten buyers: first response", |side| side.ten.first_response_ms);
    row("ten buyers: last response", |side| side.ten.last_response_ms);
    row("ten buyers: last confirmed", |side| side.ten.last_confirmed_ms);
    page::gap();
    page::note("In the monolith each buyer holds the product's row until the mail is out,");
    page::note("so the next one waits for all of it. In the shop stock is held for a moment;");
    page::note("the work does not vanish, it is only no longer done under a lock. That the");
    page::note("customer still waits for the mail ends with the messaging topic.");
    page::gap();
    for invariant in &outcome.invariants {
        page::judged(invariant.what, invariant.holds, &invariant.figures);
    }
}

fn judge(outcome: &Outcome) -> Result<()> {
    for side in [&outcome.monolith, &outcome.shop] {
        for sold in [&side.one, &side.ten] {
            let Sold { buyers, confirmed, .. } = sold;
            ensure!(confirmed == buyers, "{confirmed} of {buyers} orders were confirmed");
            ensure!(
                sold.first_response_ms >= millis(LEAST),
                "a checkout took {:.0} ms: payment and email were not waited for",
                sold.first_response_ms
            );
        }
    }
    // One after the other, by all that payment and mail take; a little less, since the clocks of
    // ten customers are read when they come to be read.
    let apart = outcome.monolith.apart_ms;
    ensure!(
        apart >= 0.9 * millis(LEAST),
        "two buyers of the monolith were only {apart:.0} ms apart"
    );
    let broken = outcome.invariants.iter().filter(|invariant| !invariant.holds).count();
    ensure!(broken == 0, "the books do not add up");
    Ok(())
}
