//! Figures as OTLP has them, from what `/metrics` answers: so both say the same, and nothing is counted
//! twice.

use crate::metrics::text::{self, Labels, Malformed, Sample};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, Sum, exemplar, number_data_point,
};
use std::time::{SystemTime, UNIX_EPOCH};

/// From when to when it was counted, in nanoseconds since 1970.
#[derive(Clone, Copy)]
pub(super) struct Time {
    since: u64,
    now: u64,
}

impl Time {
    /// From `since` until now.
    pub(super) fn since(since: SystemTime) -> Time {
        Time { since: nanos(since), now: nanos(SystemTime::now()) }
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// What is said about a family, before its samples.
#[derive(Default)]
struct Family<'a> {
    name: &'a str,
    kind: &'a str,
    help: &'a str,
    unit: &'a str,
}

/// The families of an exposition in OpenMetrics: counters as sums, gauges and infos as gauges,
/// histograms with the exemplars of their buckets.
///
/// # Errors
/// [`Malformed`]: the line that is no sample.
pub(super) fn metrics(exposition: &str, time: Time) -> Result<Vec<Metric>, Malformed> {
    let samples = text::samples(exposition)?;
    let families = families(exposition).into_iter();
    let metrics = families.filter_map(|family| metric(&family, &samples, time));
    Ok(metrics.collect())
}

fn families(exposition: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in exposition.lines() {
        let ["#", word, name, rest] = line.splitn(4, ' ').collect::<Vec<_>>()[..] else { continue };
        if families.last().is_none_or(|family| family.name != name) {
            families.push(Family { name, ..Family::default() });
        }
        let Some(family) = families.last_mut() else { continue };
        match word {
            "TYPE" => family.kind = rest,
            "HELP" => family.help = rest,
            "UNIT" => family.unit = rest,
            _ => {}
        }
    }
    families
}

fn metric(family: &Family<'_>, samples: &[Sample], time: Time) -> Option<Metric> {
    let Family { name, kind, help, unit } = *family;
    let of = |suffix: &str| {
        let whole = format!("{name}{suffix}");
        samples.iter().filter(move |sample| sample.name == whole)
    };
    let cumulative = i32::from(AggregationTemporality::Cumulative);
    let points = |suffix| of(suffix).map(|sample| number(sample, time)).collect::<Vec<_>>();
    let data = match kind {
        "counter" => Data::Sum(Sum {
            data_points: points("_total"),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        "gauge" => Data::Gauge(Gauge { data_points: points("") }),
        "info" => Data::Gauge(Gauge { data_points: points("_info") }),
        "histogram" => {
            let (buckets, sums): (Vec<_>, Vec<_>) = (of("_bucket").collect(), of("_sum").collect());
            let data_points = series(&buckets, &sums, time);
            Data::Histogram(Histogram { data_points, aggregation_temporality: cumulative })
        }
        // Nothing else is registered here.
        _ => return None,
    };
    Some(Metric {
        name: name.to_owned(),
        description: help.to_owned(),
        unit: if unit == "seconds" { "s".to_owned() } else { unit.to_owned() },
        data: Some(data),
        ..Metric::default()
    })
}

fn number(sample: &Sample, time: Time) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(&sample.labels),
        start_time_unix_nano: time.since,
        time_unix_nano: time.now,
        value: Some(number_data_point::Value::AsDouble(sample.value)),
        exemplars: exemplars([sample], time),
        ..NumberDataPoint::default()
    }
}

/// A point for each series: its buckets follow each other, by rising bounds.
fn series(buckets: &[&Sample], sums: &[&Sample], time: Time) -> Vec<HistogramDataPoint> {
    let without_bound = |sample: &Sample| {
        let mut labels = sample.labels.clone();
        labels.remove("le");
        labels
    };
    let mut points = Vec::new();
    for series in buckets.chunk_by(|one, other| without_bound(one) == without_bound(other)) {
        let labels = without_bound(series[0]);
        // Each bucket there holds those below it as well; here it is alone.
        let mut below = 0;
        let alone = series.iter().map(|bucket| {
            let count = whole(bucket.value).saturating_sub(below);
            below += count;
            count
        });
        let bucket_counts: Vec<u64> = alone.collect();
        let bounds = series.iter().filter_map(|bucket| bucket.labels.get("le")?.parse().ok());
        points.push(HistogramDataPoint {
            attributes: attributes(&labels),
            start_time_unix_nano: time.since,
            time_unix_nano: time.now,
            count: below,
            sum: sums.iter().find(|sum| sum.labels == labels).map(|sum| sum.value),
            bucket_counts,
            // The last one has no upper bound, and none is written.
            explicit_bounds: bounds.filter(|bound: &f64| bound.is_finite()).collect(),
            exemplars: exemplars(series.iter().copied(), time),
            ..HistogramDataPoint::default()
        });
    }
    points
}

/// Counts are whole, and below 2⁵³ in a text.
fn whole(count: f64) -> u64 {
    count as u64
}

fn exemplars<'a>(samples: impl IntoIterator<Item = &'a Sample>, time: Time) -> Vec<Exemplar> {
    let named = samples.into_iter().filter_map(|sample| sample.exemplar.as_ref());
    let told = named.map(|named| {
        let mut labels = named.labels.clone();
        let trace = labels.remove("trace_id").and_then(|id| u128::from_str_radix(&id, 16).ok());
        let at = named.at.map(|seconds| whole(seconds * 1e9));
        Exemplar {
            filtered_attributes: attributes(&labels),
            time_unix_nano: at.unwrap_or(time.now),
            trace_id: trace.map(|id| id.to_be_bytes().to_vec()).unwrap_or_default(),
            value: Some(exemplar::Value::AsDouble(named.value)),
            ..Exemplar::default()
        }
    });
    told.collect()
}

fn attributes(labels: &Labels) -> Vec<KeyValue> {
    let text =
        |value: &String| AnyValue { value: Some(any_value::Value::StringValue(value.clone())) };
    let told = labels.iter().map(|(name, value)| KeyValue {
        key: name.clone(),
        value: Some(text(value)),
        ..KeyValue::default()
    });
    told.collect()
}
