//! `shop load`: a day's customers, and what they say of it.

use crate::books::{self, Invariant};
use crate::journeys::{Day, Evening, Journey, walk};
use anyhow::{Result, ensure};
use serde_json::json;
use shop_contracts::Problem;

use super::run::peers;
use super::{Load, seed};

/// Sends the customers in, prints how it went, and checks the books.
pub(crate) async fn load(load: &Load) -> Result<()> {
    let peers = peers(load.port);
    let url = format!("http://127.0.0.1:{}", load.port);
    let products = seed::on_sale(&peers).await?;
    let day = Day { rate: load.rate, duration: load.duration, seed: load.seed };
    if !load.json {
        page::title(&format!("A day at {url}"));
        page::note(format_args!(
            "{} journeys a second for {} s, seed {}; {} products",
            load.rate,
            load.duration.as_secs_f64(),
            load.seed,
            page::count(products.len() as u64)
        ));
    }
    let evening = walk(&url, products, &day).await?;
    let invariants = books::audit(&peers).await.map_err(unreachable)?;
    if load.json {
        anstream::println!("{:#}", report(&day, &evening, &invariants));
    } else {
        print(&evening, &invariants);
    }
    let broken = invariants.iter().filter(|invariant| !invariant.holds).count();
    ensure!(broken == 0, "the books do not add up: {broken} of {} lines", invariants.len());
    let failed: u64 = evening.ended.iter().map(|ended| ended.failed).sum();
    ensure!(
        failed == 0,
        "{failed} journeys failed\nnext: a lower --rate, or look at the shop's log"
    );
    Ok(())
}

fn unreachable(problem: Problem) -> anyhow::Error {
    anyhow::Error::new(problem).context("the books cannot be read\nnext: cargo run -p shop -- up")
}

fn print(evening: &Evening, invariants: &[Invariant]) {
    let rows: Vec<_> = Journey::ALL
        .iter()
        .zip(&evening.ended)
        .map(|(journey, ended)| {
            vec![
                journey.to_string(),
                page::count(ended.well),
                page::count(ended.refused),
                page::count(ended.failed),
                page::millis(ended.quantile(0.5)),
                page::millis(ended.quantile(0.99)),
            ]
        })
        .collect();
    page::grid(&["journey", "well", "refused", "failed", "p50", "p99"], &rows);
    for failure in evening.ended.iter().filter_map(|ended| ended.first_failure.as_ref()) {
        page::note(format_args!("a failure: {failure}"));
    }
    page::note("From the moment at which a customer meant to arrive to the last answer.");
    page::note("Refused: sold out, or an empty cart. It is the shop's good right.");
    page::gap();
    for invariant in invariants {
        page::judged(invariant.what, invariant.holds, &invariant.figures);
    }
    page::next(&[
        ("cargo run -p shop -- compare cache", "what the cache is worth"),
        ("cargo run -p shop -- compare monolith", "what the architecture is worth"),
    ]);
}

fn report(day: &Day, evening: &Evening, invariants: &[Invariant]) -> serde_json::Value {
    let journeys: Vec<_> = Journey::ALL
        .iter()
        .zip(&evening.ended)
        .map(|(journey, ended)| {
            json!({
                "journey": journey.to_string(),
                "well": ended.well,
                "refused": ended.refused,
                "failed": ended.failed,
                "p50_ms": ended.quantile(0.5).as_secs_f64() * 1e3,
                "p99_ms": ended.quantile(0.99).as_secs_f64() * 1e3,
            })
        })
        .collect();
    json!({
        "seed": day.seed,
        "rate": day.rate,
        "seconds": day.duration.as_secs_f64(),
        "elapsed_seconds": evening.elapsed.as_secs_f64(),
        "generator_late_ms": evening.late.as_secs_f64() * 1e3,
        "journeys": journeys,
        "invariants": invariants,
    })
}

/// So that a mistyped port is told in a sentence.
pub(crate) fn is_up(problem: Problem) -> anyhow::Error {
    anyhow::Error::new(problem)
        .context("no shop is open there\nnext: cargo run -p shop -- up, in another terminal")
}
