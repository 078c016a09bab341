//! One at a time for each order, within this process.
//!
//! A refund that overtakes a charge still under way would find nothing to give back; of two who
//! ask for the same mail, the second would hear nothing of what comes of the first. Here they wait
//! for each other. Between processes nobody waits: there the conditional updates of a service's
//! store decide, and must do so by themselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use shop_contracts::id::OrderId;
use tokio::sync::OwnedMutexGuard;

type Turn = Arc<tokio::sync::Mutex<()>>;

/// Whose turn it is, by order. Clones know of each other.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<Mutex<HashMap<OrderId, Turn>>>);

impl Turns {
    /// Waits for the order's turn, first come, first served, however long the one before takes:
    /// who has it should not wait for others without a time limit. It ends when what is returned
    /// is dropped.
    pub async fn take(&self, order: OrderId) -> OwnedMutexGuard<()> {
        self.of(order).lock_owned().await
    }

    fn of(&self, order: OrderId) -> Turn {
        // Whole after each of its operations, also where a thread panicked.
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Or the map would grow with every order. A turn that somebody has or waits for has a
        // second handle.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(order).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::{OrderId, Turns};

    #[tokio::test]
    async fn a_turn_is_remembered_as_long_as_somebody_has_it() {
        let turns = Turns::default();
        let (ours, others) = (OrderId::new(), OrderId::new());
        let turn = turns.take(ours).await;
        assert!(turns.of(ours).try_lock().is_err());
        assert!(turns.clone().of(ours).try_lock().is_err(), "a clone knows of it");
        let other = turns.take(others).await;
        drop(turn);
        assert!(turns.of(ours).try_lock().is_ok());
        drop(other);
        drop(turns.take(OrderId::new()).await);
        assert_eq!(turns.0.lock().expect("whole").len(), 1, "only the one asked for last");
    }
}
