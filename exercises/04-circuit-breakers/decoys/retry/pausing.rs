//! Wrong pauses.

use super::usual::{Told, Usual, ceiling};
use circuit_breakers::retry::Config;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::Duration;

/// Exponential backoff as it stands in most textbooks. Whoever failed together comes back together,
/// each time. Rejected by `full_jitter`.
pub(super) struct NoJitter;

impl Usual for NoJitter {
    fn jitter(config: &Config, nth: u32, _: &mut StdRng) -> Duration {
        ceiling(config, nth)
    }
}

/// Half of the pause is sure, half is drawn, and it is called full. All the work of the first half
/// is done in the second. Rejected by `full_jitter`.
pub(super) struct EqualJitter;

impl Usual for EqualJitter {
    fn jitter(config: &Config, nth: u32, random: &mut StdRng) -> Duration {
        let half = ceiling(config, nth) / 2;
        half + random.random_range(Duration::ZERO..=half)
    }
}

/// The pause, and some noise on top, as libraries do it. Rejected by `full_jitter`.
pub(super) struct AddsNoise;

impl Usual for AddsNoise {
    fn jitter(config: &Config, nth: u32, random: &mut StdRng) -> Duration {
        ceiling(config, nth).mul_f64(random.random_range(0.8..1.2))
    }
}

/// Makes its generator anew for each call, from the seed that it was given: all calls draw the same
/// pause. Rejected by `full_jitter`.
pub(super) struct SeededForEachCall;

impl Usual for SeededForEachCall {
    const SEEDED_FOR_EACH_CALL: bool = true;
}

/// Draws first and cuts off then. What lies above the longest pause comes at its end, all of it at
/// once. Rejected by `full_jitter`.
pub(super) struct CapsAfterDrawing;

impl Usual for CapsAfterDrawing {
    fn jitter(config: &Config, nth: u32, random: &mut StdRng) -> Duration {
        let ceiling = config.first.saturating_mul(2_u32.saturating_pow(nth - 1));
        random.random_range(Duration::ZERO..=ceiling).min(config.longest)
    }
}

/// Draws the first pause, and waits for the whole ceiling after that: by then they are spread, it
/// says. Rejected by `ceiling_doubles`.
pub(super) struct DrawsOnce;

impl Usual for DrawsOnce {
    fn jitter(config: &Config, nth: u32, random: &mut StdRng) -> Duration {
        match nth {
            1 => random.random_range(Duration::ZERO..=ceiling(config, nth)),
            _ => ceiling(config, nth),
        }
    }
}

/// `pause *= 2`, of what it drew at first. Each pause by itself looks well; but who was close to
/// another once is so each time. Rejected by `ceiling_doubles`.
pub(super) struct DoublesItsDraw;

impl Usual for DoublesItsDraw {
    fn draws(config: &Config, nth: u32, random: &mut StdRng, before: Duration) -> Duration {
        match nth {
            1 => Self::jitter(config, nth, random),
            _ => before.mul_f64(ceiling(config, nth).div_duration_f64(ceiling(config, nth - 1))),
        }
    }
}

/// Once, twice, three times the first pause. Ten thousand clients need more room than that.
/// Rejected by `ceiling_doubles`.
pub(super) struct Linear;

impl Usual for Linear {
    fn jitter(config: &Config, nth: u32, random: &mut StdRng) -> Duration {
        let ceiling = config.first.saturating_mul(nth).min(config.longest);
        random.random_range(Duration::ZERO..=ceiling)
    }
}

/// Forgets the longest pause: the tenth is up to 512 times the first. Rejected by
/// `ceiling_doubles`.
pub(super) struct NoCeiling;

impl Usual for NoCeiling {
    fn jitter(config: &Config, nth: u32, random: &mut StdRng) -> Duration {
        let ceiling = config.first.saturating_mul(2_u32.saturating_pow(nth - 1));
        random.random_range(Duration::ZERO..=ceiling)
    }
}

/// `1 << n`, which is right for thirty-two attempts. Then it panics, or begins again at nothing.
/// Rejected by `ceiling_doubles`.
pub(super) struct ShiftsTooFar;

impl Usual for ShiftsTooFar {
    fn jitter(config: &Config, nth: u32, random: &mut StdRng) -> Duration {
        let ceiling = config.first.saturating_mul(1_u32 << (nth - 1)).min(config.longest);
        random.random_range(Duration::ZERO..=ceiling)
    }
}

/// Seeds its generator with a constant, so that tests are easy. All servers of a fleet draw the same
/// pauses: no jitter at all. Rejected by `seeds_draw_the_pauses`.
pub(super) struct OneSeedForAll;

impl Usual for OneSeedForAll {
    fn seed(_: u64) -> u64 {
        42
    }
}

/// Draws from the system, whatever seed it is given. Good pauses; and a failure that nobody can play
/// again. Rejected by `seeds_draw_the_pauses`.
pub(super) struct NeverTheSame;

impl Usual for NeverTheSame {
    fn seed(_: u64) -> u64 {
        rand::random()
    }
}

/// Its own pause is as good as any. Rejected by `retry_after_is_kept`.
pub(super) struct IgnoresRetryAfter;

impl Usual for IgnoresRetryAfter {
    fn pause(_: Option<Duration>, jitter: Duration, _: &Config) -> Option<Duration> {
        Some(jitter)
    }
}

/// Waits as long as it may, and comes too early. Rejected by `retry_after_is_kept`.
pub(super) struct CutsItShort;

impl Usual for CutsItShort {
    fn pause(told: Option<Duration>, jitter: Duration, config: &Config) -> Option<Duration> {
        Some(told.unwrap_or_default().min(config.longest) + jitter)
    }
}

/// Waits for as long as it was told. One server that says "in a day" holds every caller for a day.
/// Rejected by `retry_after_is_kept`.
pub(super) struct WaitsForADay;

impl Usual for WaitsForADay {
    fn pause(told: Option<Duration>, jitter: Duration, _: &Config) -> Option<Duration> {
        Some(told.unwrap_or_default().saturating_add(jitter))
    }
}

/// Comes exactly when it was told to. So does everybody else. Rejected by `retry_after_is_kept`.
pub(super) struct NoJitterOnTop;

impl Usual for NoJitterOnTop {
    fn pause(told: Option<Duration>, jitter: Duration, config: &Config) -> Option<Duration> {
        let told = told.filter(|told| !told.is_zero());
        (told.unwrap_or_default() <= config.longest).then(|| told.unwrap_or(jitter))
    }
}

/// What it was told, and a few milliseconds of noise, whatever the ceiling is. Rejected by
/// `retry_after_is_kept`.
pub(super) struct LittleOnTop;

impl Usual for LittleOnTop {
    fn pause(told: Option<Duration>, jitter: Duration, config: &Config) -> Option<Duration> {
        let noise = if told.is_some() { jitter / 4 } else { jitter };
        let told = told.unwrap_or_default();
        (told <= config.longest).then(|| told + noise)
    }
}

/// Has a longest wait of its own, ten seconds, whatever is configured. Rejected by
/// `retry_after_is_kept`.
pub(super) struct OwnLongest;

impl Usual for OwnLongest {
    fn pause(told: Option<Duration>, jitter: Duration, _: &Config) -> Option<Duration> {
        let told = told.unwrap_or_default();
        (told <= Duration::from_secs(10)).then(|| told + jitter)
    }
}

/// What it cannot read was not said: it comes at once to whoever asked it not to. Rejected by
/// `retry_after_is_kept`.
pub(super) struct DateIsNow;

impl Usual for DateIsNow {
    fn failed(status: StatusCode, told: Told) -> Option<Option<Duration>> {
        match (status.as_u16(), told) {
            (429 | 502 | 503 | 504, Told::Wait(wait)) => Some(Some(wait)),
            (502..=504, _) => Some(None),
            _ => None,
        }
    }
}

/// A tenth of the ceiling, or two, or three: evenly spread, and a tenth of all clients come in the
/// same millisecond. Rejected by `full_jitter`.
pub(super) struct TenSteps;

impl Usual for TenSteps {
    fn jitter(config: &Config, nth: u32, random: &mut StdRng) -> Duration {
        ceiling(config, nth) * random.random_range(0..10) / 10
    }
}

/// A generator of its own, which begins with the seed as it is. From 1, 2 and 3 its first numbers are
/// all small, and from 0 all of them are 0. Rejected by `seeds_draw_the_pauses`.
pub(super) struct Unmixed;

impl Usual for Unmixed {
    const UNMIXED: bool = true;
}

/// Keeps what it was told, and waits for that after the next failure as well. Rejected by
/// `told_at_any_attempt`.
pub(super) struct RemembersWhatItWasTold;

impl Usual for RemembersWhatItWasTold {
    const REMEMBERS_WHAT_IT_WAS_TOLD: bool = true;
}

/// What it was told, and on top the jitter of the first pause, the how many-eth it is. Rejected by
/// `told_at_any_attempt`.
pub(super) struct BusyIsTheFirst;

impl Usual for BusyIsTheFirst {
    const BUSY_IS_THE_FIRST: bool = true;
}

/// Cuts the whole pause at the longest, jitter and all: who is told exactly that comes at the same
/// moment as all others. Rejected by `told_at_any_attempt`.
pub(super) struct CapsTheSum;

impl Usual for CapsTheSum {
    fn pause(told: Option<Duration>, jitter: Duration, config: &Config) -> Option<Duration> {
        let told = told.unwrap_or_default();
        (told <= config.longest).then(|| (told + jitter).min(config.longest))
    }
}

/// Compares seconds, as they stand in the header, with the longest wait rounded down. Rejected by
/// `called_without_http`.
pub(super) struct ComparesSeconds;

impl Usual for ComparesSeconds {
    fn pause(told: Option<Duration>, jitter: Duration, config: &Config) -> Option<Duration> {
        let told = told.unwrap_or_default();
        (told.as_secs() <= config.longest.as_secs()).then(|| told.saturating_add(jitter))
    }
}

/// `to_str().ok()`, and what is no text was not said. Rejected by `retry_after_is_kept`.
pub(super) struct NoTextIsNothing;

impl Usual for NoTextIsNothing {
    fn reads(headers: &mut HeaderMap) -> Option<HeaderValue> {
        headers.get(RETRY_AFTER).filter(|value| value.to_str().is_ok()).cloned()
    }
}

/// Adds up the pause, and looks then whether that is too long. Who is told to stay away for ever meets
/// an overflow. Rejected by `limits_at_their_ends`.
pub(super) struct AddsUpFirst;

impl Usual for AddsUpFirst {
    fn pause(told: Option<Duration>, jitter: Duration, config: &Config) -> Option<Duration> {
        let told = told.unwrap_or_default();
        let pause = told + jitter;
        (told <= config.longest).then_some(pause)
    }
}

/// Draws from `0..ceiling`, which has nothing in it where no pause is wanted. Rejected by
/// `limits_at_their_ends`.
pub(super) struct EmptyRange;

impl Usual for EmptyRange {
    fn jitter(config: &Config, nth: u32, random: &mut StdRng) -> Duration {
        random.random_range(Duration::ZERO..ceiling(config, nth))
    }
}
