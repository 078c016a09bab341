//! Going on where an earlier run stopped.

use shop_contracts::orders::{State, Took};
use shop_service::Failure;
use shop_storage::Error;

use tokio::task::JoinSet;

use super::synchronous::Synchronous;
use crate::refusal::Refusal;
use crate::store::Kept;

/// Orders that are brought to their end at the same time.
const AT_ONCE: usize = 8;

/// What became of the orders that an earlier run left under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// How many are the customers' now.
    pub confirmed: usize,
    /// How many are undone.
    pub cancelled: usize,
    /// How many are still under way, because a service could not be asked.
    pub open: usize,
}

impl Synchronous {
    /// Those that were placed before, in microseconds since 1970.
    pub(super) async fn recover(&self, before: i64) -> Result<Recovered, Error> {
        let left = self.store.open(before).await?;
        self.bring_to_their_ends(left).await
    }

    pub(super) async fn bring_to_their_ends(&self, left: Vec<Kept>) -> Result<Recovered, Error> {
        let mut under_way = JoinSet::new();
        let mut recovered = Recovered::default();
        let mut left = left.into_iter();
        loop {
            // Some at a time: most of it is waiting for others.
            while under_way.len() < AT_ONCE
                && let Some(kept) = left.next()
            {
                let this = self.clone();
                under_way.spawn(async move { this.bring_to_its_end(kept).await });
            }
            let Some(ended) = under_way.join_next().await else { return Ok(recovered) };
            match ended {
                Ok(Ok(Some(State::Confirmed))) => recovered.confirmed += 1,
                Ok(Ok(Some(State::Cancelled))) => recovered.cancelled += 1,
                Ok(Err(error)) => return Err(error),
                _ => recovered.open += 1,
            }
        }
    }

    async fn bring_to_its_end(&self, kept: Kept) -> Result<Option<State>, Error> {
        let order = kept.order.id;
        if let Err(failure) = self.go_on(kept).await {
            tracing::warn!(%order, %failure, "an order was not simply confirmed");
        }
        Ok(self.store.order(order).await?.map(|kept| kept.order.state))
    }

    async fn go_on(&self, kept: Kept) -> Result<(), Failure> {
        let Kept { order, refusal } = kept;
        let why = || "the shop was interrupted while it was at this order".to_owned();
        match order.state {
            // Nobody has been asked for money yet: that comes after the next state.
            State::Pending => {
                Err(self.cancel(&order, State::Pending, Refusal::Unavailable, why()).await)
            }
            State::StockReserved => {
                if !self.is_charged(order.id).await {
                    let (from, refusal) = (State::StockReserved, Refusal::Unavailable);
                    return Err(self.cancel(&order, from, refusal, why()).await);
                }
                let took = Took::default().into();
                self.advance(order.id, State::StockReserved, State::Paid, took).await?;
                self.confirm(&order).await?;
                self.afterwards(&order).await;
                Ok(())
            }
            State::Paid => {
                self.confirm(&order).await?;
                self.afterwards(&order).await;
                Ok(())
            }
            State::Cancelling => self.undo(order.id, refusal.unwrap_or(Refusal::Unavailable)).await,
            State::Confirmed | State::Rejected | State::Cancelled => Ok(()),
        }
    }
}
