//! `shop compare retry`: a payment provider that fails three calls of ten, and one that is down,
//! under three ways to ask again. Lesson 04.3, in place.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use shop_calls::Line;
use shop_contracts::Peer;
use shop_contracts::id::{CustomerId, ProductId};
use shop_flags::{FaultPayment, PatternRetry};
use shop_outside::{mail, payment};
use testbed::load::{Load, Zipf};

use super::buyers::{self, End, Samples, ended, quantile};
use super::{Run, balanced, build};
use crate::books::{self, Invariant};
use crate::goods;
use crate::journeys::Customer;
use crate::place::Place;
use crate::whole::{Setup, Shop};

/// Checkouts a second.
const RATE: f64 = 20.0;
const TIME: Duration = Duration::from_secs(10);
/// Patient: counts are what is compared, and a busy machine changes none.
const WAITING: Duration = Duration::from_secs(60);
/// Each of them buys once in a run.
const CROWD: usize = 200;
const PRODUCTS: usize = 400;

const WAYS: [(&str, PatternRetry); 3] =
    [("none", PatternRetry::Off), ("naive", PatternRetry::Naive), ("budget", PatternRetry::Budget)];

#[derive(Serialize)]
struct Outcome {
    seed: u64,
    place: Vec<String>,
    flaky: Vec<Column>,
    down: Vec<Column>,
    invariants: Vec<Invariant>,
}

/// One way to ask again.
#[derive(Serialize)]
struct Column {
    switch: &'static str,
    /// Checkouts, each of which needs one charge.
    offered: u64,
    confirmed: u64,
    refused: u64,
    /// Any other end.
    odd: u64,
    /// Charges that have reached the provider.
    reached: u64,
    /// That, divided by what was offered.
    amplification: f64,
    /// What orders counts of its repeats, where it counts them.
    retried: u64,
    denied: u64,
    p99_ms: f64,
}

/// Runs the comparison and prints it.
///
/// # Errors
/// A shop that does not open, or a count that is not as it must be.
pub async fn compare(run: &Run) -> Result<()> {
    let place = Place::for_a_run(run.real).await?;
    let setup = Setup {
        provider: payment::Provider::new(Duration::from_millis(20)),
        mail: mail::Server::new(Duration::from_millis(5)),
        ..super::setup()
    };
    let shop = Shop::open(&place, setup.clone()).await?;
    let products = goods::take_in(&shop.peers, run.seed, PRODUCTS).await?;
    let accounts = buyers::accounts(&shop.peers, CROWD).await?;
    shop.close().await;
    let (mut flaky, mut down, mut invariants) = (Vec::new(), Vec::new(), Vec::new());
    for (fault, columns) in [(FaultPayment::Flaky, &mut flaky), (FaultPayment::Error, &mut down)] {
        for (switch, way) in WAYS {
            // A shop of its own for each: nothing is left in a budget.
            let shop = Shop::open(&place, setup.clone()).await?;
            shop.setup.flags.set(way);
            shop.setup.flags.set(fault);
            columns.push(rush(&shop, &accounts, &products, run.seed, switch).await?);
            invariants = books::audit(&shop.peers).await?;
            let broken = invariants.iter().filter(|invariant| !invariant.holds).count();
            ensure!(broken == 0, "the books do not add up after `{switch}`: {invariants:?}");
            shop.close().await;
        }
    }
    let outcome = Outcome { seed: run.seed, place: place.told.clone(), flaky, down, invariants };
    if run.json {
        anstream::println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        print(&outcome);
    }
    judge(&outcome)
}

/// Customers arrive by the clock, and each buys one thing.
async fn rush(
    shop: &Shop,
    accounts: &[CustomerId],
    products: &[ProductId],
    seed: u64,
    switch: &'static str,
) -> Result<Column> {
    let gateway = Peer::new("gateway", shop.url()).patience(2 * WAITING);
    let crowd = buyers::crowd(accounts, &shop.setup.tokens, &gateway)?;
    let before = shop.setup.provider.calls().reached;
    let samples = Samples::new(WAITING);
    let load = Load { rate: RATE, duration: TIME, seed, keys: Zipf::new(products.len(), 0.0) };
    let fault = shop.setup.flags.get::<FaultPayment>();
    load.run(|arrival| {
        let customer: Customer = crowd[arrival.index as usize % crowd.len()].clone();
        let key = format!("{switch}-{fault:?}-{:06}", arrival.index);
        samples.clone().take(arrival, buyers::buy(customer, products[arrival.key], key))
    })
    .await;
    let reached = shop.setup.provider.calls().reached - before;
    let lines: Vec<Line> = shop.peers.orders.0.get("/calls").await?;
    let between = lines.into_iter().find(|line| line.to == "payments");
    let seen = samples.seen();
    let (offered, confirmed) = (seen.len() as u64, ended(&seen, End::Well));
    let refused = ended(&seen, End::Failed) + ended(&seen, End::Later);
    Ok(Column {
        switch,
        offered,
        confirmed,
        refused,
        odd: offered - confirmed - refused,
        reached,
        amplification: reached as f64 / offered as f64,
        retried: between.as_ref().map_or(0, |line| line.retry.retried),
        denied: between.as_ref().map_or(0, |line| line.retry.denied),
        p99_ms: quantile(&seen, 0.99).as_secs_f64() * 1e3,
    })
}

fn print(outcome: &Outcome) {
    page::title("shop compare retry · three ways to ask the payment provider again");
    outcome.place.iter().for_each(page::note);
    build().into_iter().for_each(page::note);
    page::note(format_args!(
        "{RATE} checkouts a second for {} s, each needs one charge; seed {}. naive:",
        TIME.as_secs(),
        outcome.seed
    ));
    page::note("three attempts at once, in orders and in payments. budget: in orders alone,");
    page::note("with pauses drawn up to 50 and 100 ms, one repeat for each ten charges.");
    for (number, what, columns) in [
        (1, "The provider fails three calls of ten", &outcome.flaky),
        (2, "The provider is down", &outcome.down),
    ] {
        page::part(number, what);
        page::heads(&["none", "naive", "budget"]);
        let row = |what: &str, told: &dyn Fn(&Column) -> String| {
            let cells: Vec<_> = columns[1..].iter().map(told).collect();
            page::row(what, told(&columns[0]), &cells, "");
        };
        row("checkouts", &|one| page::count(one.offered));
        row("confirmed", &|one| {
            format!("{:.0} %", 100.0 * one.confirmed as f64 / one.offered as f64)
        });
        row("charges that reached it", &|one| page::count(one.reached));
        row("for each checkout", &|one| format!("{:.2}", one.amplification));
        row("repeats that were denied", &|one| page::count(one.denied));
        row("99 of 100 checkouts (p99)", &|one| format!("{:.0} ms", one.p99_ms));
    }
    page::gap();
    page::note("Asked often enough, a provider that fails three calls of ten does everything.");
    page::note("The same two layers give one that is down nine times its load. A budget is");
    page::note("for a bad moment: it repeats some of the first, and adds little to the second.");
    page::gap();
    balanced("the books, after each of the six", &outcome.invariants);
    page::next(&[
        ("cargo run --example retry", "the pattern by itself"),
        ("cargo lab start retry", "write it yourself"),
    ]);
}

fn judge(outcome: &Outcome) -> Result<()> {
    for column in outcome.flaky.iter().chain(&outcome.down) {
        let Column { switch, odd, .. } = column;
        ensure!(*odd == 0, "{odd} checkouts ended in an odd way under `{switch}`");
    }
    let [none, naive, budget] = three(&outcome.flaky)?;
    // 30 of 100, of 200: more than four standard deviations to both sides.
    let share = none.confirmed as f64 / none.offered as f64;
    ensure!((0.55..=0.85).contains(&share), "nothing is proved: {share:.2} were confirmed");
    ensure!(none.reached == none.offered, "without retries each checkout is one charge");
    // All nine attempts fail for one checkout in fifty thousand.
    let lost = naive.offered - naive.confirmed;
    ensure!(lost <= 1, "{lost} checkouts were lost in spite of nine attempts each");
    ensure!(naive.amplification > 1.2, "three of ten were not asked again");
    within_budget(budget)?;
    ensure!(budget.retried > 0 && budget.denied > 0, "the budget was not used, or was not used up");

    let [none, naive, budget] = three(&outcome.down)?;
    for column in [none, naive, budget] {
        let Column { switch, confirmed, .. } = column;
        ensure!(*confirmed == 0, "{confirmed} were paid by a provider that is down, `{switch}`");
    }
    ensure!(none.reached == none.offered, "without retries each checkout is one charge");
    let nine = 9 * naive.offered;
    ensure!(naive.reached == nine, "two layers of three are nine: {} of {nine}", naive.reached);
    within_budget(budget)
}

fn three(columns: &[Column]) -> Result<[&Column; 3]> {
    let columns: Vec<_> = columns.iter().collect();
    columns.try_into().ok().context("three ways")
}

/// At most one repeat for each ten charges, and as many at the provider as orders has sent.
fn within_budget(column: &Column) -> Result<()> {
    let Column { offered, reached, retried, .. } = *column;
    let most = offered + offered / 10;
    ensure!(reached <= most, "{reached} charges for {offered} checkouts, where {most} are allowed");
    ensure!(reached == offered + retried, "{reached} charges, {offered} and {retried} repeats");
    Ok(())
}
