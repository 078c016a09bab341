//! How long to wait before asking again.

use std::time::Duration;

/// Exponential backoff with full jitter: a pause between zero and a limit that doubles, drawn anew
/// each time. Without the jitter, those who were refused together come again together, and
/// are refused again.
///
/// Source: M. Brooker, [Exponential Backoff and
/// Jitter](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), AWS
/// Architecture Blog, 2015.
pub(crate) struct Backoff {
    limit: Duration,
    longest: Duration,
}

impl Backoff {
    /// Pauses below `first`, then below twice that, and so on up to `longest`.
    pub(crate) fn new(first: Duration, longest: Duration) -> Backoff {
        Backoff { limit: first, longest }
    }

    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.limit.mul_f64(rand::random());
        self.limit = (self.limit * 2).min(self.longest);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(4);
    const LONGEST: Duration = Duration::from_millis(128);

    #[test]
    fn pauses_stay_below_a_limit_that_doubles_and_ends() {
        for _ in 0..200 {
            let mut backoff = Backoff::new(FIRST, LONGEST);
            let mut limit = FIRST;
            for _ in 0..10 {
                assert!(backoff.next() < limit);
                limit = (limit * 2).min(LONGEST);
            }
            assert_eq!(limit, LONGEST);
        }
    }

    #[test]
    fn nobody_pauses_like_the_other() {
        let pause = |_| Backoff::new(LONGEST, LONGEST).next();
        let pauses: Vec<Duration> = (0..100).map(pause).collect();
        let short = pauses.iter().filter(|pause| **pause < LONGEST / 2).count();
        assert!((20..=80).contains(&short), "{short} of 100 in the lower half");
    }
}
