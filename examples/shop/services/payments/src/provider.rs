//! The provider as this service sees it: in the weather that the flags make, and with an end to
//! every call.

use std::time::Duration;

use shop_contracts::id::OrderId;
use shop_flags::{FaultPayment, Flags, PatternRetry};
use shop_outside::Weather;
use shop_outside::payment::{Books, Charge, Provider, Receipt, Refusal};
use tokio::time::timeout;

/// How much longer the provider takes where the flag says `slow`.
const SLOWER: Duration = Duration::from_secs(2);

/// Attempts of the naive way.
const NAIVE: usize = 3;

/// Where the provider is asked.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    pub(crate) provider: Provider,
    pub(crate) flags: Flags,
    pub(crate) patience: Duration,
}

/// It did not answer in time. Whether it did what was asked is not known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Silence;

impl Counter {
    pub(crate) async fn charge(
        &self,
        order: OrderId,
        amount: i64,
        card: &str,
    ) -> Result<Result<Receipt, Refusal>, Silence> {
        let charge = Charge { key: order.0, amount, card: card.to_owned() };
        let ask = || self.patiently(self.provider.charge(&charge, self.weather(order)));
        // Who asks us asks again, and knows a budget: here once is enough. The naive way does at
        // each layer what it does at all, and the attempts multiply.
        if self.flags.get::<PatternRetry>() == PatternRetry::Naive {
            for _ in 1..NAIVE {
                match ask().await {
                    Err(Silence) | Ok(Err(Refusal::OutOfOrder)) => {}
                    answer => return answer,
                }
            }
        }
        ask().await
    }

    pub(crate) async fn refund(&self, order: OrderId) -> Result<Result<Receipt, Refusal>, Silence> {
        self.patiently(self.provider.refund(order.0, self.weather(order))).await
    }

    /// What is booked for an order. Nothing means nothing yet.
    pub(crate) async fn find(&self, order: OrderId) -> Result<Option<Receipt>, Silence> {
        self.patiently(self.provider.find(order.0)).await
    }

    pub(crate) fn books(&self) -> Books {
        self.provider.books()
    }

    async fn patiently<T>(&self, call: impl Future<Output = T>) -> Result<T, Silence> {
        timeout(self.patience, call).await.map_err(|_| Silence)
    }

    /// By the order's id, so that an order which is met by a fault is met by it each time.
    fn weather(&self, order: OrderId) -> Weather {
        match self.flags.get_for::<FaultPayment>(order) {
            FaultPayment::Off => Weather::Fine,
            FaultPayment::Slow => Weather::Slow(SLOWER),
            FaultPayment::Decline => Weather::Declines,
            FaultPayment::Error => Weather::Errors,
            FaultPayment::Hang => Weather::Hangs,
            FaultPayment::Flaky => Weather::Flaky,
        }
    }
}
