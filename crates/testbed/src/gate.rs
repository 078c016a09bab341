//! F1: a gate that holds requests until they may pass.
//!
//! Two clients that start 2 ms apart hardly ever meet in the window that breaks them. A gate
//! makes them meet: the first is held inside the window until the second has done its part.

use std::time::Duration;
use tokio::sync::watch;

/// Holds whoever comes until it is opened. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    arrived: usize,
    opens_at: usize,
    open: bool,
}

/// Nobody came to the gate in time: the fault did not land, and the check proves nothing.
#[derive(Debug, thiserror::Error)]
#[error("{arrived} of {expected} came to the gate within {within:?}")]
pub struct NobodyCame {
    arrived: usize,
    expected: usize,
    within: Duration,
}

impl Gate {
    /// A gate that stays shut until [`Gate::open`].
    pub fn shut() -> Gate {
        Gate::barrier(usize::MAX)
    }

    /// A gate that opens by itself when `parties` have arrived: a barrier.
    pub fn barrier(parties: usize) -> Gate {
        Gate { state: watch::Sender::new(State { arrived: 0, opens_at: parties, open: false }) }
    }

    /// Lets everybody pass, now and later.
    pub fn open(&self) {
        self.state.send_modify(|state| state.open = true);
    }

    /// How many have come so far, whether or not they have passed.
    pub fn count(&self) -> usize {
        self.state.borrow().arrived
    }

    /// Waits until `parties` have come to the gate.
    ///
    /// # Errors
    /// [`NobodyCame`] after `within`. A check then answers "inconclusive".
    pub async fn arrived(&self, parties: usize, within: Duration) -> Result<(), NobodyCame> {
        let mut state = self.state.subscribe();
        let came = tokio::time::timeout(within, state.wait_for(|state| state.arrived >= parties));
        match came.await {
            Ok(_) => Ok(()),
            Err(_) => Err(NobodyCame { arrived: self.count(), expected: parties, within }),
        }
    }

    /// Comes to the gate and waits until it is open.
    pub async fn pass(&self) {
        self.state.send_modify(|state| {
            state.arrived += 1;
            state.open |= state.arrived >= state.opens_at;
        });
        let mut state = self.state.subscribe();
        // The sender lives in `self`, so the channel cannot be closed while we wait.
        let _ = state.wait_for(|state| state.open).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_barrier_lets_nobody_pass_before_the_last_has_come() {
        let gate = Gate::barrier(3);
        let first = tokio::spawn({
            let gate = gate.clone();
            async move { gate.pass().await }
        });
        gate.arrived(1, Duration::from_secs(5)).await.unwrap();
        assert!(!first.is_finished());
        tokio::join!(gate.pass(), gate.pass());
        first.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_nobody_ends() {
        let late = Gate::shut().arrived(1, Duration::from_secs(2)).await.unwrap_err();
        assert_eq!(late.to_string(), "0 of 1 came to the gate within 2s");
    }
}
