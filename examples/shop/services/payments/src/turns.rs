//! One at a time for each order.
//!
//! A refund that overtakes a charge still under way would find nothing to give back, and two
//! charges with different cards could each end before the other. Within a process they wait for
//! each other here. Between processes nobody waits; there the conditional updates of
//! [`crate::store`] decide, and who comes too late puts it right.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use shop_contracts::id::OrderId;
use tokio::sync::OwnedMutexGuard;

type Turn = Arc<tokio::sync::Mutex<()>>;

/// Who is at it, by order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Arc<Mutex<HashMap<OrderId, Turn>>>);

impl Turns {
    /// Waits until nobody else is at this order. It is free again when the guard is dropped.
    pub(crate) async fn take(&self, order: OrderId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Whose turn is over is forgotten here, or the map would grow with every order. A turn
            // that somebody holds or waits for has a second handle.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(order).or_default())
        };
        turn.lock_owned().await
    }
}
