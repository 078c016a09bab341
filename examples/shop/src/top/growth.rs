//! What one service counted between two scrapes.

use std::collections::BTreeMap;
use std::time::Duration;

use observability::metrics::text::{Exemplar, Labels, Sample, buckets};
use observability::metrics::{Bucket, Point, rate, since};

/// Two scrapes of one service, and the time between them.
pub(crate) struct Growth<'a> {
    before: &'a [Sample],
    now: &'a [Sample],
    pub(crate) took: Duration,
    /// What each series showed before.
    was: BTreeMap<(&'a str, &'a Labels), &'a Sample>,
}

impl<'a> Growth<'a> {
    pub(crate) fn between(before: &'a [Sample], now: &'a [Sample], took: Duration) -> Growth<'a> {
        let was = before.iter().map(|sample| ((sample.name.as_str(), &sample.labels), sample));
        Growth { before, now, took, was: was.collect() }
    }

    /// The series of a name, as they are now, by their labels: a registry tells them in any order, and
    /// a line must not change its place from look to look.
    pub(crate) fn series(&self, name: &str) -> impl Iterator<Item = &'a Sample> + use<'a> {
        let named = self.now.iter().filter(|sample| sample.name == name);
        let mut series: Vec<_> = named.collect();
        series.sort_by(|one, other| one.labels.cmp(&other.labels));
        series.into_iter()
    }

    /// How much one of them grew in a second. One that is new began at zero.
    pub(crate) fn rate_of(&self, sample: &Sample) -> f64 {
        let was = self.was.get(&(sample.name.as_str(), &sample.labels));
        let first = Point { at: Duration::ZERO, value: was.map_or(0.0, |was| was.value) };
        rate(&[first, Point { at: self.took, value: sample.value }]).unwrap_or(0.0)
    }

    /// How much a gauge changed in a second, up or down.
    pub(crate) fn change_of(&self, sample: &Sample) -> f64 {
        let was = self.was.get(&(sample.name.as_str(), &sample.labels));
        let took = self.took.as_secs_f64();
        was.filter(|_| took > 0.0).map_or(0.0, |was| (sample.value - was.value) / took)
    }

    /// How much those of a name that are `wanted` grew in a second, together.
    pub(crate) fn rate(&self, name: &str, wanted: impl Fn(&Labels) -> bool) -> f64 {
        let wanted = self.series(name).filter(|sample| wanted(&sample.labels));
        sum(wanted.map(|sample| self.rate_of(sample)))
    }

    /// What those of a name that are `wanted` show now, together.
    pub(crate) fn shown(&self, name: &str, wanted: impl Fn(&Labels) -> bool) -> f64 {
        let wanted = self.series(name).filter(|sample| wanted(&sample.labels));
        sum(wanted.map(|sample| sample.value))
    }

    /// The buckets of this time, of all series with these labels.
    pub(crate) fn buckets(&self, name: &str, labels: &[(&str, &str)]) -> Vec<Bucket> {
        self.before_and_now(name, labels).1
    }

    /// The buckets of all that was before this time, and those of this time.
    pub(crate) fn before_and_now(
        &self,
        name: &str,
        labels: &[(&str, &str)],
    ) -> (Vec<Bucket>, Vec<Bucket>) {
        let before = buckets(self.before, name, labels);
        let now = since(&before, &buckets(self.now, name, labels));
        (before, now)
    }

    /// Of those that were observed in this time under these labels, and are named, the one in the
    /// highest bucket. An exemplar stays where it is until the next one comes, so one that was there
    /// before is of another time.
    pub(crate) fn exemplar(&self, name: &str, labels: &[(&str, &str)]) -> Option<&'a Exemplar> {
        let bucket = format!("{name}_bucket");
        let carries = |sample: &&Sample| {
            let found = |(name, value): &(&str, &str)| {
                sample.labels.get(*name).is_some_and(|found| found == value)
            };
            labels.iter().all(found)
        };
        let fresh = self.series(&bucket).filter(carries).filter_map(|sample| {
            let was = self.was.get(&(sample.name.as_str(), &sample.labels));
            let was = was.and_then(|was| was.exemplar.as_ref());
            sample.exemplar.as_ref().filter(|exemplar| Some(*exemplar) != was)
        });
        // A bucket names one that it counts: the largest value lies in the highest.
        fresh.max_by(|one, other| one.value.total_cmp(&other.value))
    }
}

/// Of nothing it is 0, and not −0 as `Iterator::sum` has it.
pub(crate) fn sum(numbers: impl Iterator<Item = f64>) -> f64 {
    numbers.fold(0.0, |sum, number| sum + number)
}
