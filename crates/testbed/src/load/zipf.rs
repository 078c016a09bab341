//! Keys of which few are asked for often.

use std::sync::Arc;

/// A Zipf distribution over the keys `0..n`: key `k` is asked for in proportion to
/// `1 / (k + 1)^exponent`. At 0 all are alike; at 1, as in the traffic of web caches
/// (Breslau et al., "Web Caching and Zipf-like Distributions", INFOCOM 1999, found 0.64 to
/// 0.83), the first of 1,000 gets 13 % of the requests.
#[derive(Debug, Clone)]
pub struct Zipf {
    /// The probability of a key up to this one. Exact, where rejection samplers are for `n`
    /// too large to tabulate.
    cumulative: Arc<[f64]>,
}

impl Zipf {
    /// Over `n` keys.
    ///
    /// # Panics
    /// If `n` is 0, or `exponent` is negative or not a number.
    pub fn new(n: usize, exponent: f64) -> Self {
        assert!(n > 0, "a load needs a key");
        assert!(exponent >= 0.0, "an exponent below zero would favour the last key");
        let mut sum = 0.0;
        let mut cumulative: Vec<f64> = (1..=n)
            .map(|rank| {
                sum += (rank as f64).powf(-exponent);
                sum
            })
            .collect();
        for share in &mut cumulative {
            *share /= sum;
        }
        Self { cumulative: cumulative.into() }
    }

    /// How many keys there are.
    pub fn keys(&self) -> usize {
        self.cumulative.len()
    }

    /// How often `key` is asked for, as a part of 1; 0 for a key that there is not.
    pub fn probability(&self, key: usize) -> f64 {
        let up_to = |key: usize| self.cumulative.get(key).copied();
        let before = key.checked_sub(1).and_then(up_to).unwrap_or(0.0);
        up_to(key).map_or(0.0, |share| share - before)
    }

    /// The key at `uniform`, which is from 0 up to, but not including, 1.
    pub fn at(&self, uniform: f64) -> usize {
        let key = self.cumulative.partition_point(|share| *share <= uniform);
        key.min(self.cumulative.len() - 1)
    }
}
