//! What several instances say together, as the contract has it.

use observability::metrics::{Bucket, Point};

/// How much a counter grew between two points.
pub fn grew(pair: &[Point]) -> f64 {
    match pair[1].value - pair[0].value {
        fell if fell < 0.0 => pair[1].value,
        grew => grew,
    }
}

/// From the first to the last, if some time is between them.
pub fn time(points: &[Point]) -> Option<f64> {
    let time = points.last()?.at.saturating_sub(points.first()?.at).as_secs_f64();
    (time > 0.0).then_some(time)
}

pub fn rate(points: &[Point]) -> Option<f64> {
    Some(points.windows(2).map(grew).sum::<f64>() / time(points)?)
}

pub fn added(instances: &[Vec<Bucket>]) -> Vec<Bucket> {
    let mut sum: Vec<Bucket> = Vec::new();
    for instance in instances {
        match sum.is_empty() {
            true => sum.clone_from(instance),
            false => sum.iter_mut().zip(instance).for_each(|(sum, one)| sum.count += one.count),
        }
    }
    sum
}

/// As the contract says, if `q` is from 0 to 1 and something was counted.
pub fn quantile(q: f64, buckets: &[Bucket]) -> f64 {
    let count = buckets.last().map_or(0.0, |all| all.count);
    match q {
        _ if q < 0.0 => f64::NEG_INFINITY,
        _ if q > 1.0 => f64::INFINITY,
        _ if q.is_nan() || count == 0.0 => f64::NAN,
        _ => {
            let rank = q * count;
            let (at, share) = found(rank, buckets);
            let lower = if at == 0 { 0.0 } else { buckets[at - 1].le };
            match buckets[at].le {
                f64::INFINITY => lower,
                upper => lower + (upper - lower) * share,
            }
        }
    }
}

/// In which bucket, and how far into it.
pub fn found(rank: f64, buckets: &[Bucket]) -> (usize, f64) {
    let holds = |bucket: &Bucket| bucket.count > 0.0 && bucket.count >= rank;
    let at = buckets.iter().position(holds).unwrap_or(buckets.len() - 1);
    let below = if at == 0 { 0.0 } else { buckets[at - 1].count };
    (at, (rank - below) / (buckets[at].count - below))
}
