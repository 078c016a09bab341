//! Those who are wrong about the way out.

use super::usual::{Flow, Usual, Usually};
use circuit_breakers::health_checks::{Drained, Report};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Starting, running, draining: one state, and each event sets it. A start that is slower than the
/// order to leave calls the customers back. Rejected by `drain_fails_readiness`.
pub(super) struct OneState;

const RUNNING: u8 = 1;
const DRAINING: u8 = 2;

impl Usual for OneState {
    fn started(health: &Usually<Self>) {
        health.state.store(RUNNING, Ordering::SeqCst);
    }

    fn drain(health: &Usually<Self>) {
        health.state.store(DRAINING, Ordering::SeqCst);
    }

    fn away(health: &Usually<Self>) -> Option<Report> {
        match health.state.load(Ordering::SeqCst) {
            RUNNING => None,
            DRAINING => Some(Report::fail("draining")),
            _ => Some(Report::fail("starting")),
        }
    }
}

/// Counts them, tells the figure, and leaves. Rejected by `under_way_is_waited_for`.
pub(super) struct DoesNotWait;

impl Usual for DoesNotWait {
    async fn drained(health: &Usually<Self>, _: Duration) -> Drained {
        Self::drain(health);
        let flow = *health.flow.borrow();
        Drained { finished: flow.finished, lost: flow.under_way }
    }
}

/// Waits for as many as were under way when it began to. Somebody who has not heard of it comes
/// meanwhile, another one ends, and the figure fits. Rejected by `under_way_is_waited_for`.
pub(super) struct OnlyThoseOfThen;

impl Usual for OnlyThoseOfThen {
    async fn drained(health: &Usually<Self>, within: Duration) -> Drained {
        Self::drain(health);
        let Flow { ever, under_way, .. } = *health.flow.borrow();
        let enough = ever + under_way.saturating_sub(1);
        let mut flow = health.flow.subscribe();
        let left = flow.wait_for(|flow| flow.ever >= enough);
        let _ = tokio::time::timeout(within, left).await;
        let flow = *health.flow.borrow();
        Drained { finished: flow.finished, lost: 0 }
    }
}

/// A counter that was there already, of all requests. What the drain has done cannot be read off
/// it. Rejected by `under_way_is_waited_for`.
pub(super) struct CountsFromTheBeginning;

impl Usual for CountsFromTheBeginning {
    async fn drained(health: &Usually<Self>, within: Duration) -> Drained {
        Self::drain(health);
        let mut flow = health.flow.subscribe();
        let empty = flow.wait_for(|flow| flow.under_way == 0);
        let _ = tokio::time::timeout(within, empty).await;
        let flow = *health.flow.borrow();
        Drained { finished: flow.ever, lost: flow.under_way }
    }
}

/// Loses nobody, and never leaves: one request that hangs, and after half a minute the orchestrator
/// kills it in the middle of all that it could have counted. Rejected by `lost_are_counted`.
pub(super) struct WaitsForEver;

impl Usual for WaitsForEver {
    async fn drained(health: &Usually<Self>, _: Duration) -> Drained {
        Self::drain(health);
        let mut flow = health.flow.subscribe();
        let _ = flow.wait_for(|flow| flow.under_way == 0).await;
        let flow = *health.flow.borrow();
        Drained { finished: flow.finished, lost: flow.under_way }
    }
}

/// Time is up, so that is that: the end of the waiting is taken for the end of the work. Rejected by
/// `lost_are_counted`.
pub(super) struct NoneIsLost;

impl Usual for NoneIsLost {
    async fn drained(health: &Usually<Self>, within: Duration) -> Drained {
        Self::drain(health);
        let mut flow = health.flow.subscribe();
        let empty = flow.wait_for(|flow| flow.under_way == 0);
        let _ = tokio::time::timeout(within, empty).await;
        let flow = *health.flow.borrow();
        Drained { finished: flow.finished + flow.under_way, lost: 0 }
    }
}

/// Who panicked has not finished, so is not counted as finished, and not as anything else either:
/// each panic in the life of the process costs the drain its whole time. Rejected by
/// `who_breaks_off`.
pub(super) struct PanicsStay;

impl Usual for PanicsStay {
    fn leave(flow: &mut Flow) {
        if !std::thread::panicking() {
            flow.leave();
        }
    }
}

/// One drain at a time, as there is one end. Whoever asks a second time, with less patience, waits
/// for as long as the first. Rejected by `drained_twice`.
pub(super) struct OneDrainAtATime;

impl Usual for OneDrainAtATime {
    async fn drained(health: &Usually<Self>, within: Duration) -> Drained {
        let _turn = health.turn.lock().await;
        Self::drain(health);
        let mut flow = health.flow.subscribe();
        let empty = flow.wait_for(|flow| flow.under_way == 0);
        let _ = tokio::time::timeout(within, empty).await;
        let flow = *health.flow.borrow();
        Drained { finished: flow.finished, lost: flow.under_way }
    }
}
