//! How a company outside behaves during one call.

use std::time::Duration;

use uuid::Uuid;

/// How a company outside behaves during one call. The caller says it, from its own switches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    /// It works, and takes its usual time.
    #[default]
    Fine,
    /// It works, and takes this much longer than usual.
    Slow(Duration),
    /// It takes its usual time to say no, whatever was asked. Nothing was done.
    Declines,
    /// It answers at once that it is out of order. Nothing was done.
    Errors,
    /// It does what was asked and never answers: **the caller waits for ever**, unless it brought
    /// a timeout. What was done stays done.
    Hangs,
    /// It fails now and then: 30 of 100 calls find it out of order, at once and with nothing done.
    /// Which ones is drawn from the key of the call and the number of calls with that key so far,
    /// so that a repeat may succeed, and the same calls fail each time.
    Flaky,
}

/// Of 100 calls, so many find a flaky company out of order.
pub const FLAKY_PERCENT: u64 = 30;

impl Weather {
    /// Whether the call with this key, the `attempt`th with it, finds the company out of order.
    pub(crate) fn fails(self, key: Uuid, attempt: u32) -> bool {
        match self {
            Self::Errors => true,
            Self::Flaky => draw(key, attempt) % 100 < FLAKY_PERCENT,
            Self::Fine | Self::Slow(_) | Self::Declines | Self::Hangs => false,
        }
    }

    /// How long a call takes that usually takes `usual`.
    pub(crate) fn lengthen(self, usual: Duration) -> Duration {
        match self {
            Self::Slow(longer) => usual + longer,
            Self::Fine | Self::Declines | Self::Errors | Self::Hangs | Self::Flaky => usual,
        }
    }
}

/// A number for the attempt with this key: a step of SplitMix64 (Steele, Lea and Flood, OOPSLA
/// 2014), which needs no state, so the order in which calls come changes nothing.
fn draw(key: Uuid, attempt: u32) -> u64 {
    let (high, low) = key.as_u64_pair();
    let seed = high.rotate_left(32) ^ low;
    let mut z = seed.wrapping_add(u64::from(attempt).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_of_ten_calls_fail_each_by_itself() {
        let fails = |key: u128, attempt| Weather::Flaky.fails(Uuid::from_u128(key), attempt);
        let first: Vec<_> = (0..10_000).map(|key| fails(key, 1)).collect();
        let second: Vec<_> = (0..10_000).map(|key| fails(key, 2)).collect();
        let count = |failed: &[bool]| failed.iter().filter(|failed| **failed).count();
        assert!((2_800..3_200).contains(&count(&first)), "{}", count(&first));
        let twice = first.iter().zip(&second).filter(|(one, two)| **one && **two).count();
        assert!((800..1_000).contains(&twice), "a repeat has the same chance: {twice}");
        assert_eq!(first, (0..10_000).map(|key| fails(key, 1)).collect::<Vec<_>>());
    }
}
