//! When to refresh before the end, without asking anybody.
//!
//! An entry that everybody reads expires for everybody at once. If instead each reader throws a
//! die that is weighted by how near the end is, one of them refreshes a little before it, and most
//! likely only one: the nearer the end and the slower the load, the sooner somebody does.
//!
//! The rule is XFetch, from Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic Cache
//! Stampede Prevention", VLDB 2015. They prove the exponential distribution to be the best choice:
//!
//! ```text
//! refresh if  remaining <= load_took * beta * -ln(dice)      dice uniform in (0, 1]
//! P(refresh) = exp(-remaining / (beta * load_took))
//! ```

use std::time::Duration;

/// XFetch: whether a reader should refresh an entry that expires after `remaining` and whose last
/// load took `load_took`.
///
/// `beta` is the eagerness: 1 is the optimum of the paper, more refreshes earlier, 0 never
/// refreshes before the end. `dice` is uniform in (0, 1]; what lies outside is clamped.
pub fn refresh_early(remaining: Duration, load_took: Duration, beta: f64, dice: f64) -> bool {
    // ANCHOR: xfetch
    // The logarithm of 0 would be infinite: an unlucky reader in 2^53 would refresh at once.
    let dice = dice.clamp(f64::MIN_POSITIVE, 1.0);
    let head_start = load_took.as_secs_f64() * beta.max(0.0) * -dice.ln();
    remaining.as_secs_f64() <= head_start
    // ANCHOR_END: xfetch
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_share_of_readers_that_refresh_is_the_papers() {
        const THROWS: u32 = 100_000;
        for (remaining, beta) in [(0.5, 1.0), (1.0, 1.0), (3.0, 1.0), (2.0, 2.0), (0.1, 0.5)] {
            let refreshed = (1..=THROWS)
                .map(|throw| f64::from(throw) / f64::from(THROWS))
                .filter(|dice| refresh_early(SECOND.mul_f64(remaining), SECOND, beta, *dice))
                .count();
            let share = refreshed as f64 / f64::from(THROWS);
            let expected = (-remaining / beta).exp();
            assert!((share - expected).abs() < 1e-4, "{share} instead of {expected}");
        }
    }

    #[test]
    fn nothing_is_left_to_refresh_early_at_the_end_and_nothing_is_forced_before_it() {
        assert!(refresh_early(Duration::ZERO, SECOND, 1.0, 1.0));
        assert!(refresh_early(Duration::ZERO, Duration::ZERO, 0.0, 0.5));
        assert!(!refresh_early(SECOND, SECOND, 0.0, 1e-300));
        assert!(!refresh_early(SECOND, Duration::ZERO, 1.0, 1e-300));
        assert!(!refresh_early(Duration::from_secs(3_600), SECOND, 1.0, 0.0));
    }
}
