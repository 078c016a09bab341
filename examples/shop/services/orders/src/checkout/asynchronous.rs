//! The asynchronous checkout: the customer is answered at once, and a saga brings the order to its
//! end.
//!
//! The order, its saga, and the fact that it was placed are one transaction. From then on it does not
//! matter what dies: the saga is driven by whoever placed it, and where that one is gone, by whoever
//! looks next. What it has come to is the order's state, which is written with the journal's entries.
//!
//! # When something stalls or dies
//!
//! A service that is away: the step is tried again, and then the order is cancelled; behind the
//! charge's confirmation, where there is only forward, and in an undoing, the saga is parked, with a
//! line in the log. The usual reason is an outage, so it is tried again by itself after a while.
//!
//! A killed process: another one, or this one when it is back, takes over as soon as the lease is
//! over, and asks what the step under way has come to before it repeats it.

use std::fmt;
use std::sync::Arc;

use sagas::Saga;
use sagas::crash_recovery::{Driver, Error as Stopped, TakenOver};
use shop_calls::named;
use shop_contracts::id::OrderId;
use shop_contracts::orders::Order;
use shop_contracts::text::Card;
use shop_flags::Flags;
use shop_outbox::Outbox;
use shop_storage::sqlx;
use shop_storage::{Error, now};

use super::facts::Facts;
use super::steps::{CHECKOUT, Purchase, checkout};
use super::{Pace, Services};
use crate::How;
use crate::journal::StorageJournal;
use crate::leases::Leases;
use crate::store::Store;

/// Parked sagas that are tried again at a time.
const AT_ONCE: u32 = 8;

/// How many times the pause between two looks a parked saga rests.
const RESTS: u32 = 6;

/// Clones are handles to the same.
#[derive(Clone)]
pub(crate) struct Asynchronous(Arc<Inner>);

struct Inner {
    store: Store,
    facts: Facts,
    saga: Saga<Purchase>,
    driver: Driver<StorageJournal<Facts>, Leases>,
    pace: Pace,
}

impl Asynchronous {
    pub(crate) fn new(store: Store, services: Services, outbox: Outbox, how: &How) -> Asynchronous {
        let How { pace, flags, leases, ttl, .. } = how;
        let flags: Flags = flags.clone();
        let facts = Facts { outbox: outbox.clone(), flags };
        let journal = StorageJournal::on(store.0.clone(), facts.clone());
        let driver = Driver::new(journal, leases.clone(), *ttl);
        let saga = checkout(store.clone(), services, outbox, how);
        Asynchronous(Arc::new(Inner { store, facts, saga, driver, pace: *pace }))
    }

    /// Places an order and begins its saga, in one transaction, and has it driven. False where there
    /// is an order for this wish; then nothing has happened.
    pub(crate) async fn place(&self, order: &Order, wish: &str, card: Card) -> Result<bool, Error> {
        let Inner { store, facts, .. } = &*self.0;
        let purchase = Purchase { order: order.clone(), card };
        let context =
            serde_json::to_string(&purchase).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let mut change = store.0.begin().await?;
        if !Store::insert_in(&mut change, order, wish).await? {
            return Ok(false);
        }
        let id = order.id.to_string();
        StorageJournal::<Facts>::begin_in(&mut change, CHECKOUT, &id, &context, 0).await?;
        let after = facts.placed(&mut change, order).await?;
        change.commit().await?;
        after.committed().await;
        self.drive(order.id);
        Ok(true)
    }

    /// Behind the back of whoever asked.
    fn drive(&self, order: OrderId) {
        let this = self.clone();
        tokio::spawn(named(async move {
            let Inner { driver, saga, .. } = &*this.0;
            match driver.go_on(saga, &order.to_string()).await {
                Ok(outcome) => tracing::debug!(%order, outcome = outcome.word(), "driven"),
                Err(Stopped::Driven) => {}
                Err(error) => {
                    tracing::warn!(%order, %error, "an order's saga rests; whoever looks goes on");
                }
            }
        }));
    }

    /// Drives what nobody drives, and tries again what has been parked for a while.
    pub(crate) async fn tend(&self) -> Result<(), Stopped> {
        let Inner { driver, saga, pace, .. } = &*self.0;
        let taken = driver.take_over(saga).await?;
        if taken != (TakenOver { elsewhere: taken.elsewhere, ..TakenOver::default() }) {
            tracing::warn!(?taken, "went on with sagas that were left");
        }
        let rests = i64::try_from((pace.tend * RESTS).as_micros()).unwrap_or(i64::MAX);
        let parked = driver.journal().parked(CHECKOUT, now() - rests, AT_ONCE).await;
        let parked = parked
            .map_err(|error| Stopped::Journal(sagas::journal::Error::Failed(error.into())))?;
        for id in parked {
            match driver.resume(saga, &id).await {
                Ok(outcome) => tracing::warn!(order = id, outcome = outcome.word(), "tried again"),
                Err(Stopped::Driven) => {}
                Err(error) => tracing::warn!(order = id, %error, "could not be tried again"),
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Asynchronous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asynchronous").field("store", &self.0.store).finish_non_exhaustive()
    }
}
