//! What a payment goes through.
//!
//! ```text
//!                           PUT again
//!                     +--------------------+
//!             PUT     v        no          |
//!   (nothing) ---> pending ----------> declined
//!       |           |   |                  |
//!       | refund    |   | booked           | refund
//!       |           |   +-----> charged    |
//!       |    refund,|              |       |
//!       |    nothing|              | refund|
//!       |     booked|              v       |
//!       |           |          refunded    |
//!       +-----------+------> void <--------+
//! ```
//!
//! A refund ends the payment, whatever it finds, and says so in the row *before* it asks the
//! provider. A charge that comes after that is refused with `conflict`; one that was under way in
//! another process, and finds it when it records its receipt, gives back what it took.

use shop_calls::Context;
use shop_contracts::id::OrderId;
use shop_contracts::payments::{Charge, Payment, State};
use shop_contracts::{Kind, Problem};
use shop_outside::payment::{Receipt, Refusal};
use shop_service::Failure;

use crate::Payments;
use crate::store::Entry;

impl Payments {
    /// Charges, once for each order.
    ///
    /// After the provider has said no, to ask again is a new attempt, with another card or with
    /// the same: the provider keeps no refusal, and neither do we.
    ///
    /// A charge for which nobody waits any more is not begun. One that is begun goes on past the
    /// deadline: the provider may have booked it, and that has to be written down.
    pub(crate) async fn charge(
        &self,
        order: OrderId,
        charge: &Charge,
        context: &Context,
    ) -> Result<Payment, Failure> {
        let _turn = self.turns.take(order).await;
        if context.is_over() {
            let detail = "nobody waits for this charge any more, and it was not begun";
            return Err(Failure::new(Kind::TimedOut, detail));
        }
        let known = self.store.find(order).await?;
        if known.is_none() {
            self.store.insert(order, charge).await?;
        }
        let entry = self.entry(order).await?;
        fits(&entry, charge)?;
        match entry.payment.state {
            State::Charged => return Ok(entry.payment),
            State::Declined if !self.store.reopen(order).await? => return Err(over(order)),
            // Somebody has asked before and does not know what came of it.
            State::Pending if known.is_some() => {
                if let Some(receipt) = self.provider.find(order).await.map_err(|_| silent())? {
                    return self.booked(&entry, receipt).await;
                }
            }
            _ => {}
        }
        let amount = charge.amount.money().amount;
        match self.provider.charge(order, amount, charge.card.as_str()).await {
            Ok(Ok(receipt)) => self.booked(&entry, receipt).await,
            Ok(Err(refusal)) => self.refused(&entry, &refusal).await,
            Err(_) => Err(silent()),
        }
    }

    /// What has become of a payment. A pending one is asked about at the provider.
    pub(crate) async fn payment(&self, order: OrderId) -> Result<Payment, Failure> {
        let entry = self.entry(order).await?;
        if entry.payment.state != State::Pending {
            return Ok(entry.payment);
        }
        match self.provider.find(order).await.map_err(|_| silent())? {
            Some(receipt) => self.learn(&entry, &receipt).await?,
            // Not yet: it may be on its way.
            None => return Ok(entry.payment),
        }
        Ok(self.entry(order).await?.payment)
    }

    /// Ends the payment, and gives back what was charged.
    pub(crate) async fn refund(&self, order: OrderId) -> Result<Payment, Failure> {
        let _turn = self.turns.take(order).await;
        self.store.end(order).await?;
        self.give_back(order).await
    }

    /// For a payment that is over: what was booked goes back. Asked again, it looks again, so that
    /// a booking which came late is found.
    async fn give_back(&self, order: OrderId) -> Result<Payment, Failure> {
        let entry = self.entry(order).await?;
        let never_asked = entry.payment.amount.is_none();
        if entry.payment.state == State::Refunded || never_asked {
            return Ok(entry.payment);
        }
        match self.provider.find(order).await.map_err(|_| silent())? {
            None => self.store.void(order).await?,
            Some(receipt) => self.learn(&entry, &receipt).await?,
        }
        // Read again: another instance may have booked since the provider said "nothing".
        let entry = self.entry(order).await?;
        if entry.payment.state != State::Charged {
            return Ok(entry.payment);
        }
        match self.provider.refund(order).await.map_err(|_| silent())? {
            Ok(receipt) => self.learn(&entry, &receipt).await?,
            Err(refusal) => {
                return Err(Failure::new(Kind::Unavailable, format!("{refusal}; try again")));
            }
        }
        Ok(self.entry(order).await?.payment)
    }

    /// The provider has the money.
    async fn booked(&self, entry: &Entry, receipt: Receipt) -> Result<Payment, Failure> {
        let order = entry.payment.order;
        self.learn(entry, &receipt).await?;
        let entry = self.entry(order).await?;
        if entry.over || entry.payment.state != State::Charged {
            // It was ended while we were at the provider.
            self.give_back(order).await?;
            return Err(over(order));
        }
        Ok(entry.payment)
    }

    /// The provider does not have the money.
    async fn refused(&self, entry: &Entry, refusal: &Refusal) -> Result<Payment, Failure> {
        let order = entry.payment.order;
        let (reason, kind) = match refusal {
            Refusal::Declined | Refusal::InsufficientFunds | Refusal::ExpiredCard => {
                (refusal.to_string(), Kind::PaymentDeclined)
            }
            // Without what was given: it may be a card's number, typed into the wrong field.
            Refusal::UnknownCard(_) => {
                ("the provider does not know this card".to_owned(), Kind::PaymentDeclined)
            }
            Refusal::OutOfOrder => (refusal.to_string(), Kind::Unavailable),
            Refusal::Amount(_) | Refusal::KeyInUse { .. } | Refusal::NothingCharged(_) => {
                tracing::error!(%order, %refusal, "the provider's books do not fit ours");
                return Err(Failure(Problem::internal()));
            }
        };
        match kind {
            Kind::PaymentDeclined => self.store.declined(&entry.payment, &reason).await?,
            _ => self.store.failed(order, &reason).await?,
        }
        let payment = self.entry(order).await?.payment;
        match payment.state {
            // In another instance, another card was good.
            State::Charged => Ok(payment),
            _ => Err(Failure::new(kind, reason)),
        }
    }

    /// Records what the provider's books say.
    async fn learn(&self, entry: &Entry, receipt: &Receipt) -> Result<(), Failure> {
        let order = entry.payment.order;
        if entry.payment.amount.map(|amount| amount.amount) != Some(receipt.amount) {
            tracing::error!(%order, ?receipt, "the provider booked another amount");
            return Err(Failure(Problem::internal()));
        }
        match receipt.refunded {
            false => self.store.charged(&entry.payment, &receipt.reference).await?,
            true => self.store.refunded(&entry.payment, &receipt.reference).await?,
        }
        Ok(())
    }

    async fn entry(&self, order: OrderId) -> Result<Entry, Failure> {
        let found = self.store.find(order).await?;
        found.ok_or_else(|| {
            Failure::new(Kind::NotFound, format!("no payment was asked for the order {order}"))
        })
    }
}

/// Whether this charge is the one that the row is about, and may go on.
fn fits(entry: &Entry, charge: &Charge) -> Result<(), Failure> {
    let payment = &entry.payment;
    if entry.over || matches!(payment.state, State::Refunded | State::Void) {
        return Err(over(payment.order));
    }
    let same =
        payment.customer == Some(charge.customer) && payment.amount == Some(charge.amount.money());
    if same {
        return Ok(());
    }
    let detail = "there is a payment for this order by another customer, or of another amount";
    Err(Failure::new(Kind::Conflict, detail))
}

fn over(order: OrderId) -> Failure {
    Failure::new(Kind::Conflict, format!("the payment for the order {order} is over"))
}

fn silent() -> Failure {
    Failure::new(Kind::TimedOut, "the payment provider does not answer; ask what became of it")
}
