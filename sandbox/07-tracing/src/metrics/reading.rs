//! What the figures of several instances say together: a rate, a quantile.

use std::time::Duration;

/// What a counter showed, and when: since any moment, but always the same one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When it was scraped.
    pub at: Duration,
    /// What it showed.
    pub value: f64,
}

/// One bucket of a histogram: how many observations were at most `le`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The bound; it belongs to the bucket.
    pub le: f64,
    /// All observations up to it, those of the lower buckets included. After [`since`], those of a
    /// time.
    pub count: f64,
}

// ANCHOR: rate
/// How much a counter grew in a second, from the first of these points to the last; they are in the
/// order of time. `None` where there are not two, or no time lies between them.
///
/// Where it falls, the process was restarted and has counted from zero since. What it had counted
/// after its last scrape is lost: a rate over a restart is too low, never too high.
///
/// It differs from Prometheus' `rate`, which assumes that the counter went on like this up to the
/// edges of the window. This one says what was seen.
pub fn rate(points: &[Point]) -> Option<f64> {
    let (first, last) = (points.first()?, points.last()?);
    let time = last.at.saturating_sub(first.at).as_secs_f64();
    let steps = points.windows(2).map(|step| match step[1].value - step[0].value {
        fell if fell < 0.0 => step[1].value,
        grew => grew,
    });
    (time > 0.0).then(|| steps.sum::<f64>() / time)
}
// ANCHOR_END: rate

/// The buckets of several instances as those of one: added, bound by bound.
///
/// A bound that not all of them have, as in the middle of a deployment that changes the bounds, is
/// left out: nobody knows how many of the others' observations were below it. Who has no buckets has
/// observed nothing.
pub fn merged(instances: &[Vec<Bucket>]) -> Vec<Bucket> {
    let instances: Vec<&Vec<Bucket>> = instances.iter().filter(|all| !all.is_empty()).collect();
    let Some((first, others)) = instances.split_first() else {
        return Vec::new();
    };
    let at = |buckets: &[Bucket], le: f64| {
        buckets.iter().find(|bucket| bucket.le == le).map(|bucket| bucket.count)
    };
    let merged = first.iter().filter_map(|bucket| {
        let counts: Option<Vec<f64>> = others.iter().map(|other| at(other, bucket.le)).collect();
        Some(Bucket { le: bucket.le, count: bucket.count + counts?.iter().sum::<f64>() })
    });
    merged.collect()
}

/// What was observed from `before` to `now`, two scrapes of the same instance; all of `now`, if it
/// was restarted between them.
pub fn since(before: &[Bucket], now: &[Bucket]) -> Vec<Bucket> {
    let same = before.len() == now.len();
    let fell = !same || before.iter().zip(now).any(|(before, now)| now.count < before.count);
    if fell {
        return now.to_vec();
    }
    let grew = before.iter().zip(now);
    grew.map(|(before, now)| Bucket { le: now.le, count: now.count - before.count }).collect()
}

// ANCHOR: quantile
/// The quantile `q` of what these buckets have counted: cumulative, by rising bounds, the last +Inf.
///
/// As Prometheus' `histogram_quantile`: the bucket is exact, and within it all are taken to lie
/// evenly, in the lowest from 0 on. In the bucket +Inf it is the bound before: the truth is above.
/// NaN if nothing was counted, if there is no +Inf and another bucket, or if `q` is NaN; −∞ for a `q`
/// below 0, +∞ above 1. A `q` of 0 is the lower edge of the lowest bucket that has something in it.
pub fn quantile(buckets: &[Bucket], q: f64) -> f64 {
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let [finite @ .., highest, all] = buckets else {
        return f64::NAN;
    };
    if q.is_nan() || all.le != f64::INFINITY || all.count.is_nan() || all.count <= 0.0 {
        return f64::NAN;
    }
    let rank = q * all.count;
    let holds = |bucket: &Bucket| bucket.count >= rank && bucket.count > 0.0;
    let Some(at) = buckets[..=finite.len()].iter().position(holds) else {
        return highest.le;
    };
    let Bucket { le: upper, count: up_to } = buckets[at];
    let (lower, below) = match at.checked_sub(1) {
        Some(lower) => (buckets[lower].le, buckets[lower].count),
        // Of what may be negative the lowest bucket has no lower edge.
        None if upper <= 0.0 => return upper,
        None => (0.0, 0.0),
    };
    lower + (upper - lower) * ((rank - below) / (up_to - below))
}
// ANCHOR_END: quantile
