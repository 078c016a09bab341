//! The asynchronous checkout as it is often written first: a task in memory that asks one service
//! after the other, each once, and hopes. With `pattern.saga` off, to be compared with.
//!
//! Everything in it looks reasonable, and on a good day it does what the saga does. What is wrong with
//! it is what it does not know. A task that is gone has told nobody how far it was. An answer that
//! does not come is taken for "not done". And what is undone is asked for once.

use std::sync::Arc;

use sagas::Failure;
use shop_calls::{asked_again, named};
use shop_contracts::id::OrderId;
use shop_contracts::orders::{Order, State, Took};
use shop_contracts::text::Card;
use shop_flags::Flags;
use shop_storage::{Error, now};

use super::Services;
use super::facts::Facts;
use super::steps::{Purchase, charge, confirm, crash, empty, refund, release, reserve};
use crate::refusal::Refusal;
use crate::store::{Learned, Store};

/// Clones are handles to the same.
#[derive(Clone, Debug)]
pub(super) struct Hopeful {
    pub(super) store: Store,
    pub(super) services: Services,
    pub(super) facts: Facts,
    pub(super) flags: Flags,
}

/// It stops where it is, and the order with it.
struct Given(String);

impl Hopeful {
    /// Places an order, and has a task bring it to its end. False where there is an order for this
    /// wish; then nothing has happened.
    pub(super) async fn place(&self, order: &Order, wish: &str, card: Card) -> Result<bool, Error> {
        let mut change = self.store.0.begin().await?;
        if !Store::insert_in(&mut change, order, wish).await? {
            return Ok(false);
        }
        let after = self.facts.placed(&mut change, order).await?;
        change.commit().await?;
        after.committed().await;
        let (this, purchase) = (self.clone(), Arc::new(Purchase { order: order.clone(), card }));
        tokio::spawn(named(async move {
            let order = purchase.order.id;
            if let Err(Given(why)) = this.carry_out(purchase).await {
                tracing::error!(%order, why, "an order was left as it stands");
            }
        }));
        Ok(true)
    }

    async fn carry_out(&self, purchase: Arc<Purchase>) -> Result<(), Given> {
        use State::{Confirmed, Paid, Pending, Rejected, StockReserved};
        let order = purchase.order.id;
        let asked = || (self.services.clone(), Arc::clone(&purchase));
        let (services, what) = asked();
        if let Err(failure) = self.once("reserve", order, reserve(services, what)).await {
            return self.go(order, Pending, Rejected, because(&failure)).await;
        }
        self.go(order, Pending, StockReserved, Learned::default()).await?;
        crash(&self.flags, order, "after", "reserve");
        let (services, what) = asked();
        if let Err(failure) = self.once("charge", order, charge(services, what)).await {
            return self.give_up(&purchase, StockReserved, &failure).await;
        }
        self.go(order, StockReserved, Paid, Learned::default()).await?;
        crash(&self.flags, order, "after", "charge");
        let (services, what) = asked();
        if let Err(failure) = self.once("confirm", order, confirm(services, what)).await {
            return self.give_up(&purchase, Paid, &failure).await;
        }
        let took = Took { confirmed: Some(now() - purchase.order.placed_at), ..Took::default() };
        self.go(order, Paid, Confirmed, took.into()).await?;
        crash(&self.flags, order, "after", "confirm");
        let (services, what) = asked();
        let emptied = self.once("empty", order, empty(services, what)).await;
        emptied.map_err(|failure| Given(failure.to_string()))?;
        crash(&self.flags, order, "after", "empty");
        Ok(())
    }

    /// Undoes what was done, as far as it knows, and cancels the order.
    async fn give_up(
        &self,
        purchase: &Arc<Purchase>,
        from: State,
        failure: &Failure,
    ) -> Result<(), Given> {
        let order = purchase.order.id;
        self.go(order, from, State::Cancelling, because(failure)).await?;
        let asked = || (self.services.clone(), Arc::clone(purchase));
        // Where the charge has failed, there is nothing to give back. So it thinks.
        if from == State::Paid {
            let (services, what) = asked();
            self.hope(self.once("refund", order, refund(services, what)).await, order);
            crash(&self.flags, order, "after", "refund");
        }
        let (services, what) = asked();
        self.hope(self.once("release", order, release(services, what)).await, order);
        crash(&self.flags, order, "after", "release");
        self.go(order, State::Cancelling, State::Cancelled, Learned::default()).await
    }

    async fn once<T>(
        &self,
        point: &'static str,
        order: OrderId,
        call: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        crash(&self.flags, order, "before", point);
        let came = asked_again(call).await;
        if came.is_ok() {
            crash(&self.flags, order, "lost", point);
        }
        came
    }

    fn hope(&self, undone: Result<(), Failure>, order: OrderId) {
        if let Err(failure) = undone {
            tracing::error!(%order, %failure, "it was not undone, and nobody will");
        }
    }

    async fn go(
        &self,
        order: OrderId,
        from: State,
        to: State,
        learned: Learned,
    ) -> Result<(), Given> {
        match self.facts.advance(&self.store, order, (from, to), learned).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Given(format!("it is not {from:?}, and cannot be {to:?}"))),
            Err(error) => Err(Given(error.to_string())),
        }
    }
}

fn because(failure: &Failure) -> Learned {
    let (Failure::Refused(why) | Failure::NotDone(why) | Failure::Unclear(why)) = failure;
    Refusal::read(why).into()
}
