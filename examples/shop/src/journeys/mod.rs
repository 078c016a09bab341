//! What customers do: journeys of several requests, at a constant rate, whatever the shop does.
//!
//! The load is open: customers arrive by the clock and do not wait for each other, so a slow shop
//! cannot hide by slowing them down (see [`testbed::load`]). Which journey, whose and to which
//! products is drawn from the seed alone, so two shops can be given the same day.
//!
//! | journey | share | requests |
//! | --- | --- | --- |
//! | browse | 55 % | a page of a category, then two products |
//! | search | 20 % | a word, then a product |
//! | add | 17 % | a product, its availability, into the cart |
//! | checkout | 8 % | a product into the cart, then buying what is in there |
//!
//! Products are drawn by Zipf's law, exponent 1: of 3,000, the first is asked for by one customer
//! in nine.

mod customer;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use shop_contracts::id::ProductId;
use shop_contracts::{Kind, Problem};
use testbed::load::{Arrival, Load, Zipf};

pub use customer::{Customer, Door};

/// A day in the shop: the same one for the same fields.
#[derive(Clone, Debug)]
pub struct Day {
    /// Journeys a second.
    pub rate: f64,
    /// How long customers keep arriving.
    pub duration: Duration,
    /// Of everything that is drawn.
    pub seed: u64,
}

/// What a customer came for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Journey {
    Browse,
    Search,
    Add,
    Checkout,
}

impl Journey {
    /// All of them, in the order of the table.
    pub const ALL: [Journey; 4] =
        [Journey::Browse, Journey::Search, Journey::Add, Journey::Checkout];

    fn drawn(random: &mut StdRng) -> Journey {
        match random.random_range(0..100) {
            0..55 => Journey::Browse,
            55..75 => Journey::Search,
            75..92 => Journey::Add,
            _ => Journey::Checkout,
        }
    }
}

impl fmt::Display for Journey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Journey::Browse => "browse",
            Journey::Search => "search",
            Journey::Add => "add",
            Journey::Checkout => "checkout",
        })
    }
}

/// How journeys of one kind ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// They got what they came for.
    pub well: u64,
    /// The shop said no for a reason of business: sold out, declined, nothing in the cart.
    pub refused: u64,
    /// The shop failed them.
    pub failed: u64,
    /// In microseconds from the intended arrival, of those that ended well.
    pub took: Histogram<u64>,
    /// The first failure, in words.
    pub first_failure: Option<String>,
}

impl Ended {
    fn none() -> Ended {
        let took = Histogram::new_with_bounds(1, 600_000_000, 3)
            .expect("three digits from a microsecond to ten minutes are within its bounds");
        Ended { well: 0, refused: 0, failed: 0, took, first_failure: None }
    }

    /// That share of them, from 0 to 1, took no longer.
    pub fn quantile(&self, part: f64) -> Duration {
        Duration::from_micros(self.took.value_at_quantile(part))
    }
}

/// What came of a day, by journey, in the order of [`Journey::ALL`].
#[derive(Clone, Debug)]
pub struct Evening {
    /// By journey.
    pub ended: [Ended; 4],
    /// From the first arrival to the last answer.
    pub elapsed: Duration,
    /// How late this generator itself was, at worst.
    pub late: Duration,
}

/// Lets the customers of `day` into the shop at `url`. `products` are those on sale, the most
/// popular first.
///
/// # Errors
/// The customers could not open their accounts.
pub async fn walk(url: &str, products: Vec<ProductId>, day: &Day) -> Result<Evening> {
    anyhow::ensure!(!products.is_empty(), "the shop is empty\nnext: cargo run -p shop -- seed");
    let customers = Customer::crowd(url, day.seed).await.context("no customers")?;
    let (customers, products) = (Arc::new(customers), Arc::new(products));
    let ended = Arc::new(Mutex::new([(); 4].map(|()| Ended::none())));
    let load = Load {
        rate: day.rate,
        duration: day.duration,
        seed: day.seed,
        keys: Zipf::new(products.len(), 1.0),
    };
    let (seed, begun) = (day.seed, Instant::now());
    let report = load
        .run(|arrival| {
            let (customers, products) = (Arc::clone(&customers), Arc::clone(&products));
            let ended = Arc::clone(&ended);
            async move {
                let mut random = StdRng::seed_from_u64(seed ^ (arrival.index + 1).rotate_left(32));
                let journey = Journey::drawn(&mut random);
                let customer = &customers[random.random_range(0..customers.len())];
                let result = customer.go(journey, &products, arrival.key, &mut random).await;
                note(&ended, journey, arrival, begun, &result);
                result
            }
        })
        .await;
    let ended = ended.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Evening { ended, elapsed: report.elapsed, late: report.late })
}

fn note(
    ended: &Mutex<[Ended; 4]>,
    journey: Journey,
    arrival: Arrival,
    begun: Instant,
    result: &Result<(), Problem>,
) {
    let took = begun.elapsed().saturating_sub(arrival.intended);
    let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
    let ended = &mut ended[journey as usize];
    match result {
        Ok(()) => {
            ended.well += 1;
            ended.took.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
        Err(problem) if is_business(problem) => ended.refused += 1,
        Err(problem) => {
            ended.failed += 1;
            ended.first_failure.get_or_insert_with(|| problem.to_string());
        }
    }
}

/// Whether the shop works as it should when it says this.
fn is_business(problem: &Problem) -> bool {
    [Kind::OutOfStock, Kind::EmptyCart, Kind::PaymentDeclined].iter().any(|kind| problem.is(*kind))
}
