//! Customers who buy, and what becomes of each of their requests, one by one: the phases of a
//! comparison are cut out of it afterwards, by the moment at which each meant to arrive.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use shop_contracts::id::{CustomerId, OrderId, ProductId};
use shop_contracts::text::{Email, Name, Password};
use shop_contracts::users::{NewCustomer, Registration, Role};
use shop_contracts::{Kind, Peer, Peers, Problem};
use shop_service::token::Tokens;
use testbed::load::Arrival;
use tokio::time::timeout;

use crate::journeys::Customer;

/// So many customers with an account. Enough of them that nobody buys twice at once, as two checkouts
/// of one cart are each other's business.
pub(super) async fn accounts(peers: &Peers, count: usize) -> Result<Vec<CustomerId>> {
    let mut accounts = Vec::new();
    for _ in 0..count {
        // Behind the gateway, and without a login: each costs a hash that is slow on purpose.
        let registration = Registration {
            email: text::<Email>(format!("{}@example.org", OrderId::new()))?,
            password: text::<Password>("buys one at a time".to_owned())?,
            name: text::<Name>("A customer".to_owned())?,
        };
        let new = NewCustomer { registration, role: Role::Customer };
        let customer = peers.users.register(&new).await.context("no account for a customer")?;
        accounts.push(customer.id);
    }
    Ok(accounts)
}

/// Those customers, logged in at `gateway`.
pub(super) fn crowd(
    accounts: &[CustomerId],
    tokens: &Tokens,
    gateway: &Peer,
) -> Result<Vec<Customer>> {
    let token = |id: &CustomerId| tokens.issue(*id, Role::Customer, Duration::from_secs(3600));
    accounts.iter().map(|id| Customer::with(gateway.clone(), &token(id))).collect()
}

fn text<T: TryFrom<String>>(from: String) -> Result<T> {
    T::try_from(from).ok().context("a text that the contracts allow")
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With what was wanted.
    Well,
    /// 503, and when to come again.
    Later,
    /// Another 503: it could not be done.
    Failed,
    /// 504: it took the shop too long.
    TimedOut,
    /// The customer has gone away.
    GivenUp,
    /// Anything else.
    Odd,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// When it meant to arrive, from the beginning of the run on.
    pub(super) at: Duration,
    /// From then to its end.
    pub(super) took: Duration,
    pub(super) end: End,
}

/// What becomes of requests. Clones write into the same.
#[derive(Clone)]
pub(super) struct Samples {
    begun: Instant,
    patience: Duration,
    seen: Arc<Mutex<Vec<Sample>>>,
}

impl Samples {
    /// From now on, of customers who wait for so long.
    pub(super) fn new(patience: Duration) -> Samples {
        Samples { begun: Instant::now(), patience, seen: Arc::default() }
    }

    /// Waits for what `ask` answers, as long as a customer does, and writes down how it ended.
    pub(super) async fn take<T>(
        self,
        arrival: Arrival,
        ask: impl Future<Output = Result<T, Problem>>,
    ) -> Result<(), ()> {
        let end = match timeout(self.patience, ask).await {
            Ok(Ok(_)) => End::Well,
            Ok(Err(problem)) if problem.is(Kind::Unavailable) => match problem.retry_after {
                Some(_) => End::Later,
                None => End::Failed,
            },
            Ok(Err(problem)) if problem.is(Kind::TimedOut) => End::TimedOut,
            Ok(Err(problem)) => {
                tracing::error!(%problem, "an end that has no name here");
                End::Odd
            }
            Err(_) => End::GivenUp,
        };
        let took = self.begun.elapsed().saturating_sub(arrival.intended);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(Sample { at: arrival.intended, took, end });
        if end == End::Well { Ok(()) } else { Err(()) }
    }

    /// All of them so far, by their arrival.
    pub(super) fn seen(&self) -> Vec<Sample> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        seen.sort_by_key(|sample| sample.at);
        seen
    }
}

/// One of a product into the cart, and bought.
pub(super) async fn buy(
    customer: Customer,
    product: ProductId,
    key: String,
) -> Result<(), Problem> {
    customer.put(product, 1).await?;
    customer.buy(&key).await.map(drop)
}

/// Below this are so many hundredths of them: `quantile(&took, 0.99)`. Zero of none.
pub(super) fn quantile(samples: &[Sample], part: f64) -> Duration {
    let mut took: Vec<_> = samples.iter().map(|sample| sample.took).collect();
    took.sort_unstable();
    let at = (part * took.len() as f64).ceil() as usize;
    took.get(at.saturating_sub(1)).copied().unwrap_or_default()
}

/// How many ended so.
pub(super) fn ended(samples: &[Sample], end: End) -> u64 {
    samples.iter().filter(|sample| sample.end == end).count() as u64
}
