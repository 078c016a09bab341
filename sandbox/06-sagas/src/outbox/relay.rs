//! A relay: forwards again and again, until it is told to stop.

use super::Outbox;
use messaging::confirms::Publisher;
use rand::RngExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tracing::{info, warn};

/// How often a relay looks.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long after a look that found nothing it looks again.
    pub poll: Duration,
    /// The longest pause while PostgreSQL or the broker is away. The first is as long as
    /// [`Pace::poll`], each further one at most twice as long.
    pub longest: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { poll: Duration::from_millis(100), longest: Duration::from_secs(5) }
    }
}

/// A task that carries messages from an outbox to a broker. Dropped, it ends in the middle of what
/// it does, which loses nothing; [`Relay::stop`] is kinder.
///
/// Run one in every process of the service. One at a time has the turn, and the others cost a look
/// in each [`Pace::poll`]. It looks, and does not listen: with `NOTIFY` in each of them, PostgreSQL
/// commits transactions one after the other, since the notices have to be in their order
/// (`PreCommit_Notify` in its source). Whoever has just committed in this process may
/// [`Relay::nudge`], which costs nothing.
#[derive(Debug)]
pub struct Relay {
    stop: watch::Sender<bool>,
    nudge: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Begins to forward from `outbox` to `exchange`.
    pub fn start<O: Outbox, P: Publisher>(
        outbox: O,
        publisher: P,
        exchange: impl Into<String>,
        pace: Pace,
    ) -> Relay {
        let (stop, nudge) = (watch::Sender::new(false), Arc::new(Notify::new()));
        let (stopping, nudged) = (stop.subscribe(), Arc::clone(&nudge));
        let exchange = exchange.into();
        let task = tokio::spawn(async move {
            carry(&outbox, &publisher, &exchange, pace, stopping, &nudged).await;
        });
        Relay { stop, nudge, task }
    }

    /// There is something to carry: look now. Call it after a commit.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Carries what is there, and ends; at the first trouble too, for the rest can wait for the
    /// next relay. Whether it was done `within` so long; otherwise it is ended in the middle.
    pub async fn stop(mut self, within: Duration) -> bool {
        self.stop.send_replace(true);
        tokio::time::timeout(within, &mut self.task).await.is_ok()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry<O: Outbox, P: Publisher>(
    outbox: &O,
    publisher: &P,
    exchange: &str,
    pace: Pace,
    mut stopping: watch::Receiver<bool>,
    nudged: &Notify,
) {
    let mut troubles = 0_u32;
    loop {
        let last = *stopping.borrow();
        let forwarded = outbox.forward(exchange, publisher).await;
        match &forwarded {
            Ok(done) if done.unknown == 0 => {
                if troubles > 0 {
                    info!(after = troubles, "messages go out again");
                }
                troubles = 0;
                if done.parked > 0 {
                    warn!(parked = done.parked, "messages that no queue wants were parked");
                }
                if done.sent > 0 {
                    continue;
                }
            }
            Ok(done) => {
                troubles = troubles.saturating_add(1);
                warn!(unknown = done.unknown, "messages were not confirmed; they go out again");
            }
            Err(error) => {
                troubles = troubles.saturating_add(1);
                warn!(%error, "the outbox cannot be read");
            }
        }
        if last {
            return;
        }
        let pause = pause(pace, troubles);
        tokio::select! {
            // An error means that nobody can tell it any more, which is the end as well.
            _ = stopping.wait_for(|stop| *stop) => {}
            // While somebody is away, further messages are no reason to ask more often.
            () = nudged.notified(), if troubles == 0 => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Twice as long for each trouble in a row, and of that somewhere in the upper half: relays that
/// have lost the same broker do not come back in step.
fn pause(pace: Pace, troubles: u32) -> Duration {
    if troubles == 0 {
        return pace.poll;
    }
    let longest = pace.poll.saturating_mul(1 << troubles.min(16)).min(pace.longest);
    longest.mul_f64(rand::rng().random_range(0.5..1.0))
}
