//! Those who are wrong about who shares what, and for how long.

use super::usual::{Found, Usual, Usually};
use circuit_breakers::health_checks::{Seen, Status};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Each probe asks for itself. A hundred copies with three probers each are three hundred questions
/// a second to one database, and more when it is slow. Rejected by `flood_is_one_round`.
pub(super) struct EachByItself;

impl Usual for EachByItself {
    async fn share(health: &Usually<Self>) -> Vec<Seen> {
        Self::ask_all(Arc::clone(&health.dependencies), health.config).await
    }
}

/// A lock around it, and whoever gets it looks whether the last report is still fresh. If it is not
/// (a slow dependency, a short time), those who have waited ask again, one after the other. Rejected
/// by `flood_is_one_round`.
pub(super) struct TakesTurns;

impl Usual for TakesTurns {
    async fn share(health: &Usually<Self>) -> Vec<Seen> {
        let mut last = health.turn.lock().await;
        if let Some(found) = last.as_ref()
            && found.at.elapsed() < health.config.fresh_for
        {
            return found.seen.clone();
        }
        let seen = Self::ask_all(Arc::clone(&health.dependencies), health.config).await;
        *last = Some(Found { at: Instant::now(), seen: seen.clone() });
        seen
    }
}

/// One round for those who ask at the same moment, and the next for who comes a moment later.
/// Probers do not come at the same moment. Rejected by `fresh_is_shared`.
pub(super) struct NotForLater;

impl Usual for NotForLater {
    fn still_good(_: &Found, _: Duration) -> bool {
        false
    }
}

/// Once well, always well: found out at the start, where it is needed to start at all. Rejected by
/// `fresh_for_no_longer`.
pub(super) struct ForEver;

impl Usual for ForEver {
    fn still_good(_: &Found, _: Duration) -> bool {
        true
    }
}

/// Leaves a dependency alone that has failed: who is ill is not to be asked so often. The service
/// stays out for long after it is back. Rejected by `fresh_for_no_longer`.
pub(super) struct BadNewsForLonger;

impl Usual for BadNewsForLonger {
    fn still_good(found: &Found, fresh_for: Duration) -> bool {
        let bad = found.seen.iter().any(|seen| seen.status != Status::Pass);
        found.at.elapsed() < if bad { fresh_for * 10 } else { fresh_for }
    }
}

/// Answers at once by what is known, and asks anew for the next. A prober that comes each ten
/// seconds is told how it was ten seconds ago. Rejected by `fresh_for_no_longer`.
pub(super) struct OldOneMeanwhile;

impl Usual for OldOneMeanwhile {
    async fn share(health: &Usually<Self>) -> Vec<Seen> {
        match health.last() {
            Some(old) => {
                // The round that this begins goes on without us.
                let next = health.latest();
                let _ = tokio::time::timeout(Duration::ZERO, next).await;
                old
            }
            None => health.latest().await,
        }
    }
}

/// Whoever comes first asks, and tells the others. Its client hangs up, the future is dropped where
/// it waits, and the others wait for somebody who is gone. Rejected by `prober_hangs_up`.
pub(super) struct AskedByTheFirst;

impl Usual for AskedByTheFirst {
    async fn share(health: &Usually<Self>) -> Vec<Seen> {
        let (tell, told) = {
            let mut latest = health.latest.lock().unwrap_or_else(PoisonError::into_inner);
            let good = |found: &Found| Self::still_good(found, health.config.fresh_for);
            match latest.as_ref() {
                // Under way, or fresh.
                Some(round) if round.borrow().as_ref().is_none_or(good) => (None, round.clone()),
                _ => {
                    let (tell, round) = watch::channel(None);
                    *latest = Some(round.clone());
                    (Some(tell), round)
                }
            }
        };
        if let Some(tell) = tell {
            let seen = Self::ask_all(Arc::clone(&health.dependencies), health.config).await;
            tell.send_replace(Some(Found { at: Instant::now(), seen }));
        }
        loop {
            if let Some(found) = told.borrow().as_ref() {
                return found.seen.clone();
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Takes the time when it begins to ask. What a slow dependency has said is old when it is said, and
/// probes are most of a load just where there is least to spare. Rejected by `fresh_from_its_end`.
pub(super) struct FreshFromTheBeginning;

impl Usual for FreshFromTheBeginning {
    fn good_from(began: Instant, _: Instant) -> Instant {
        began
    }
}
