//! Those who calculate something else with what was shown.

use super::figures::{added, found, grew, quantile, rate, time};
use super::right::Part;
use observability::metrics::{Bucket, Point};

/// A decoy, by the rate of one instance.
macro_rules! rates {
    ($decoy:ident: |$points:ident| $body:expr) => {
        impl Part for $decoy {
            fn rate(instances: &[Vec<Point>]) -> Option<f64> {
                let one = |$points: &[Point]| -> Option<f64> { $body };
                instances.iter().filter_map(|points| one(points)).reduce(|sum, one| sum + one)
            }
        }
    };
}

/// The last minus the first. After a restart the shop has sold less than nothing. Rejected by
/// `restarted`.
pub struct LastMinusFirst;

rates!(LastMinusFirst: |points| {
    Some((points.last()?.value - points.first()?.value) / time(points)?)
});

/// Where it falls it has not grown. What was counted since the restart is lost as well. Rejected by
/// `restarted`.
pub struct ClampsAtZero;

rates!(ClampsAtZero: |points| {
    let steps = points.windows(2).map(|pair| (pair[1].value - pair[0].value).max(0.0));
    Some(steps.sum::<f64>() / time(points)?)
});

/// Looks only at what came after the last restart. Who restarts every minute has no past. Rejected
/// by `restarted`.
pub struct SinceTheRestart;

rates!(SinceTheRestart: |points| {
    let fell = points.windows(2).rposition(|pair| pair[1].value < pair[0].value);
    let points = &points[fell.map_or(0, |at| at + 1)..];
    rate(points)
});

/// A counter as if it were a gauge: what it shows, by the time. All that was counted before anybody
/// looked is in it. Rejected by `restarted`.
pub struct AGauge;

rates!(AGauge: |points| Some(points.last()?.value / time(points)?));

/// Adds the counters, and takes the rate of the sum. There, one restart is a fall, and all that the
/// other had ever counted is new. Rejected by `rates_added`.
pub struct SumThenRate;

impl Part for SumThenRate {
    fn rate(instances: &[Vec<Point>]) -> Option<f64> {
        let mut times: Vec<_> = instances.iter().flatten().map(|point| point.at).collect();
        times.sort();
        times.dedup();
        let at = |time| {
            let shown = instances.iter().filter_map(|all| all.iter().rfind(|one| one.at <= time));
            Point { at: time, value: shown.map(|point| point.value).sum() }
        };
        rate(&times.into_iter().map(at).collect::<Vec<_>>())
    }
}

/// The average of the instances. With twice as many, a shop serves the same. Rejected by
/// `rates_added`.
pub struct AverageRate;

impl Part for AverageRate {
    fn rate(instances: &[Vec<Point>]) -> Option<f64> {
        let rates: Vec<f64> = instances.iter().filter_map(|points| rate(points)).collect();
        (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / rates.len() as f64)
    }
}

/// Nothing known is nothing done. An alert for "no traffic" rings at every deployment. Rejected by
/// `rates_added`.
pub struct ZeroForNone;

impl Part for ZeroForNone {
    fn rate(instances: &[Vec<Point>]) -> Option<f64> {
        Some(instances.iter().filter_map(|points| rate(points)).sum())
    }
}

/// Of each instance its quantile, and then their average: half of the customers then waited as long as
/// nobody did. Rejected by `quantile_of_all`.
pub struct Averaged;

impl Part for Averaged {
    fn quantile(q: f64, instances: &[Vec<Bucket>]) -> f64 {
        let all: Vec<f64> = instances.iter().map(|one| quantile(q, one)).collect();
        all.iter().sum::<f64>() / all.len() as f64
    }
}

/// The same, by how many requests each has had. It is no better. Rejected by `quantile_of_all`.
pub struct Weighted;

impl Part for Weighted {
    fn quantile(q: f64, instances: &[Vec<Bucket>]) -> f64 {
        let count = |one: &[Bucket]| one.last().map_or(0.0, |all| all.count);
        let all: f64 = instances.iter().map(|one| count(one)).sum();
        instances.iter().map(|one| quantile(q, one) * count(one) / all).sum()
    }
}

/// The worst instance, to be on the safe side. Its one customer is then everybody. Rejected by
/// `quantile_of_all`.
pub struct Highest;

impl Part for Highest {
    fn quantile(q: f64, instances: &[Vec<Bucket>]) -> f64 {
        instances.iter().map(|one| quantile(q, one)).fold(f64::NEG_INFINITY, f64::max)
    }
}

/// A decoy, by the place within the bucket: its bounds, and how far into it.
macro_rules! places {
    ($decoy:ident: |$lower:ident, $upper:ident| $body:expr) => {
        impl Part for $decoy {
            fn quantile(q: f64, instances: &[Vec<Bucket>]) -> f64 {
                let all = added(instances);
                let right = quantile(q, &all);
                if !right.is_finite() {
                    return right;
                }
                let rank = q * all[all.len() - 1].count;
                let (at, _) = found(rank, &all);
                let $lower = if at == 0 { 0.0 } else { all[at - 1].le };
                let $upper = all[at].le;
                $body
            }
        }
    };
}

/// The bound of the bucket: nobody took longer. As its p99 every service has one of fourteen figures.
/// Rejected by `edges`.
pub struct UpperBound;

places!(UpperBound: |lower, upper| if upper.is_finite() { upper } else { lower });

/// The bound below. Rejected by `edges`.
pub struct LowerBound;

places!(LowerBound: |lower, upper| lower.min(upper));

/// Above the highest bound is infinity. No axis has a place for it. Rejected by `edges`.
pub struct InfinityAbove;

impl Part for InfinityAbove {
    fn quantile(q: f64, instances: &[Vec<Bucket>]) -> f64 {
        let all = added(instances);
        let right = quantile(q, &all);
        let above = |rank: f64| found(rank, &all).0 + 1 == all.len();
        match all.last() {
            Some(last) if right.is_finite() && above(q * last.count) => f64::INFINITY,
            _ => right,
        }
    }
}

/// Of no requests the slowest took no time. A service that is down is the fastest. Rejected by
/// `edges`.
pub struct EmptyIsZero;

impl Part for EmptyIsZero {
    fn quantile(q: f64, instances: &[Vec<Bucket>]) -> f64 {
        let right = quantile(q, &added(instances));
        if right.is_nan() && !q.is_nan() { 0.0 } else { right }
    }
}

/// `clamp(0.0, 1.0)`: who asks for the quantile 99 instead of 0.99 gets the slowest one, and
/// believes it. Rejected by `edges`.
pub struct ClampsTheQuantile;

impl Part for ClampsTheQuantile {
    fn quantile(q: f64, instances: &[Vec<Bucket>]) -> f64 {
        quantile(q.clamp(0.0, 1.0), &added(instances))
    }
}

/// `as_secs()`, for scrapes come every fifteen of them. Of half a second nothing is left, and 2.9 are
/// two. Rejected by `restarted`.
pub struct WholeSeconds;

rates!(WholeSeconds: |points| {
    let time = points.last()?.at.as_secs().saturating_sub(points.first()?.at.as_secs());
    (time > 0).then(|| points.windows(2).map(grew).sum::<f64>() / time as f64)
});

/// The nearest rank: the quantile is that of a request, and those are counted in whole ones. Prometheus
/// does not, and of a rate of 0.4 a second the nearest rank is one. Rejected by `edges`.
pub struct NearestRank;

impl Part for NearestRank {
    fn quantile(q: f64, instances: &[Vec<Bucket>]) -> f64 {
        let all = added(instances);
        let count = all.last().map_or(0.0, |last| last.count);
        let nearest = (q * count).ceil() / count;
        quantile(if nearest.is_finite() && q <= 1.0 { nearest } else { q }, &all)
    }
}

/// How many there are is a whole number: `as u64`. Of rates nothing is left. Rejected by `edges`.
pub struct WholeCounts;

impl Part for WholeCounts {
    fn quantile(q: f64, instances: &[Vec<Bucket>]) -> f64 {
        let mut all = added(instances);
        all.iter_mut().for_each(|bucket| bucket.count = bucket.count.floor());
        quantile(q, &all)
    }
}

/// The first two, as in the example. The third instance is the one that is slow. Rejected by
/// `rates_added`.
pub struct FirstTwo;

impl Part for FirstTwo {
    fn rate(instances: &[Vec<Point>]) -> Option<f64> {
        let two = instances.iter().take(2);
        two.filter_map(|points| rate(points)).reduce(|sum, one| sum + one)
    }
}
