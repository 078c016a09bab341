//! What Prometheus was told, and whether that is right.

use grading::history::Step;
use grading::{Evidence, Finding, History};
use observability::metrics::text::{self, Sample};
use observability::metrics::{Bucket, DURATION};
use std::collections::BTreeSet;

pub(super) struct Scrape {
    pub(super) text: String,
    pub(super) samples: Vec<Sample>,
    step: Option<Step>,
    history: History,
}

pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Scrape {
    pub(super) fn read(
        text: String,
        step: Option<Step>,
        history: History,
    ) -> Result<Scrape, Finding> {
        match text::samples(&text) {
            Ok(samples) => Ok(Scrape { text, samples, step, history }),
            Err(odd) => {
                // Its labels are what is interesting, and not the long name before them.
                let line = odd.text.replace(DURATION, "…");
                let line: String = line.escape_debug().take(60).collect();
                let saw = format!("line {}: {line}", odd.line);
                Err(Evidence::new("lines that can be read", saw).at(step).into())
            }
        }
    }

    /// A line of this scrape in the timeline.
    pub(super) fn says(&self, line: impl Into<String>) -> Step {
        self.history.note("prometheus", line)
    }

    /// All samples of this name that carry these labels.
    pub(super) fn of<'a>(
        &'a self,
        name: &'a str,
        labels: Labels<'a>,
    ) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| {
            let carries = |(label, value): &(&str, &str)| {
                sample.labels.get(*label).is_some_and(|found| found == value)
            };
            sample.name == name && labels.iter().all(carries)
        })
    }

    /// Their sum; nothing is zero.
    pub(super) fn sum(&self, name: &str, labels: Labels<'_>) -> f64 {
        // Of nothing the sum is −0, which nobody should have to read.
        self.of(name, labels).map(|sample| sample.value).sum::<f64>() + 0.0
    }

    /// So many requests with these labels were counted.
    pub(super) fn counted(&self, labels: Labels<'_>) -> f64 {
        self.sum(&format!("{DURATION}_count"), labels)
    }

    /// Their seconds.
    pub(super) fn seconds(&self, labels: Labels<'_>) -> f64 {
        self.sum(&format!("{DURATION}_sum"), labels)
    }

    /// So many of their buckets have an exemplar.
    pub(super) fn exemplars(&self) -> usize {
        let buckets = format!("{DURATION}_bucket");
        self.of(&buckets, &[]).filter(|sample| sample.exemplar.is_some()).count()
    }

    pub(super) fn buckets(&self, labels: Labels<'_>) -> Vec<Bucket> {
        text::buckets(&self.samples, DURATION, labels)
    }

    /// All values that this label of the requests has.
    pub(super) fn values(&self, label: &str) -> BTreeSet<String> {
        let name = format!("{DURATION}_count");
        let all = self.of(&name, &[]).filter_map(|sample| sample.labels.get(label).cloned());
        all.collect()
    }

    /// So many series the requests have.
    pub(super) fn series(&self) -> usize {
        self.of(&format!("{DURATION}_count"), &[]).count()
    }

    /// This is so many, or `what` is not true.
    pub(super) fn is(&self, what: &str, expected: f64, saw: f64) -> Result<(), Finding> {
        if (expected - saw).abs() <= 1e-6 * expected.abs().max(1.0) {
            return Ok(());
        }
        let step = self.says(format!("{what}: {saw}"));
        Err(Evidence::new(format!("{what}: {expected}"), format!("{saw}")).at(step).into())
    }

    /// Something else is wrong.
    pub(super) fn is_wrong(&self, expected: impl Into<String>, saw: impl Into<String>) -> Finding {
        let saw = saw.into();
        let step = self.says(saw.chars().take(60).collect::<String>());
        Evidence::new(expected, saw).at(self.step).at(step).into()
    }
}

/// A bound as it is written: `0.005`, `+Inf`.
pub(super) fn bound(le: f64) -> String {
    if le == f64::INFINITY { "+Inf".to_owned() } else { le.to_string() }
}
