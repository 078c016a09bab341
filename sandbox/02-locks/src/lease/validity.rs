//! Until when a lease may be relied on, by this process's own clock.

use super::after;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// When the lease is over; `None` as soon as it is known to be lost.
#[derive(Debug)]
pub(super) struct Validity(watch::Sender<Option<Instant>>);

impl Validity {
    /// Of a lease of `ttl` that was asked for at `asked`.
    pub(super) fn since(asked: Instant, ttl: Duration) -> Validity {
        Validity(watch::Sender::new(Some(end(asked, ttl))))
    }

    /// Redis has begun the TTL anew, at some time after `asked`.
    pub(super) fn extend(&self, asked: Instant, ttl: Duration) {
        let until = end(asked, ttl);
        // Answers may overtake each other, and what is lost stays lost.
        self.0.send_modify(|at| *at = at.map(|at| at.max(until)));
    }

    pub(super) fn lose(&self) {
        self.0.send_replace(None);
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.borrow().is_none_or(|at| at <= Instant::now())
    }

    /// Ends when it is over, however often it is extended until then.
    pub(super) async fn over(&self) {
        let mut end = self.0.subscribe();
        loop {
            let Some(at) = *end.borrow_and_update() else { return };
            let changed = tokio::time::timeout_at(at, end.changed()).await;
            if changed.is_err() && *end.borrow() == Some(at) {
                return;
            }
        }
    }
}

// ANCHOR: end
/// Two clocks that measure the same TTL do not agree to the millisecond, and Redis rounds. The
/// allowance is Redlock's: one percent of the TTL and two milliseconds.
///
/// Source: [Distributed locks with Redis](https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/),
/// on clock drift, and the implementations to which it links.
///
/// The clock is monotonic: no administrator sets it. On Linux it stands still while the machine
/// sleeps, which is one more pause that only fencing survives.
fn end(asked: Instant, ttl: Duration) -> Instant {
    let drift = ttl / 100 + Duration::from_millis(2);
    after(asked, ttl.saturating_sub(drift))
}
// ANCHOR_END: end
