//! How long to wait before the next attempt.

use rand::RngExt;
use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

/// A pause that doubles from one attempt to the next, and of which half is drawn: all consumers
/// lose a broker at the same moment, and should not come back at the same moment. Never shorter
/// than half of the shortest, so that nobody spins who is thrown out again and again.
#[derive(Debug)]
pub struct Pause {
    next: Duration,
}

impl Default for Pause {
    fn default() -> Pause {
        Pause { next: SHORTEST }
    }
}

impl Pause {
    /// Waits.
    pub async fn next(&mut self) {
        let half = self.next / 2;
        self.next = (self.next * 2).min(LONGEST);
        let drawn = rand::rng().random_range(Duration::ZERO..=half);
        tokio::time::sleep(half + drawn).await;
    }

    /// The attempt has worked: the next pause is a short one again.
    pub fn over(&mut self) {
        *self = Pause::default();
    }
}
