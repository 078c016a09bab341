//! How long to wait before asking again.

use std::time::Duration;

/// About what an uncontested turn takes: a holder that does a thing or two is soon done.
const FIRST: Duration = Duration::from_millis(4);
/// Longer pauses save little traffic, and the lease would lie idle.
const LONGEST: Duration = Duration::from_millis(128);

/// Exponential backoff with full jitter: a pause between zero and a limit that doubles, drawn anew
/// each time. Without the jitter, those who were refused together come again together.
///
/// Source: M. Brooker, [Exponential Backoff and
/// Jitter](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), AWS
/// Architecture Blog, 2015.
pub(super) struct Backoff {
    limit: Duration,
}

impl Backoff {
    pub(super) fn new() -> Backoff {
        Backoff { limit: FIRST }
    }

    pub(super) fn next(&mut self) -> Duration {
        let pause = self.limit.mul_f64(rand::random());
        self.limit = (self.limit * 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_stay_below_a_limit_that_doubles_and_ends() {
        for _ in 0..200 {
            let mut backoff = Backoff::new();
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
        let pause = |_| Backoff { limit: LONGEST }.next();
        let pauses: Vec<Duration> = (0..100).map(pause).collect();
        let short = pauses.iter().filter(|pause| **pause < LONGEST / 2).count();
        assert!((20..=80).contains(&short), "{short} of 100 in the lower half");
    }
}
