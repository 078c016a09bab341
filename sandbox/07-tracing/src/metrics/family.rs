//! Families of series: one for each combination of label values, up to a limit.
//!
//! Every series is held for as long as the process lives: here, in each scrape, and in the server
//! that stores them. A label whose values strangers choose, such as a user's id, makes the monitoring
//! fail before the service does. So a family has a limit, and what comes then is counted together.

use super::OTHER;
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Label names and their values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Labels<const N: usize> {
    names: [&'static str; N],
    values: [String; N],
}

impl<const N: usize> Labels<N> {
    pub(super) fn new(names: [&'static str; N], values: [&str; N]) -> Labels<N> {
        Labels { names, values: values.map(str::to_owned) }
    }
}

impl<const N: usize> EncodeLabelSet for Labels<N> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        for (name, value) in self.names.iter().zip(&self.values) {
            // This escapes what has to be: quotes, backslashes, line breaks.
            (*name, value.as_str()).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

/// How a new series begins.
pub(super) struct Make<M>(Arc<dyn Fn() -> M + Send + Sync>);

impl<M> Make<M> {
    pub(super) fn by(make: impl Fn() -> M + Send + Sync + 'static) -> Make<M> {
        Make(Arc::new(make))
    }
}

impl<M> Clone for Make<M> {
    fn clone(&self) -> Make<M> {
        Make(Arc::clone(&self.0))
    }
}

impl<M> MetricConstructor<M> for Make<M> {
    fn new_metric(&self) -> M {
        (self.0)()
    }
}

/// A family of `N` labels, which has at most so many series, and one more for the rest. A clone is the
/// same family.
pub struct Bounded<M, const N: usize> {
    names: [&'static str; N],
    pub(super) family: Family<Labels<N>, M, Make<M>>,
    known: Arc<Mutex<usize>>,
    limit: usize,
    refused: Counter,
}

/// Counters: they only grow, and begin at zero in each process.
pub type Counters<const N: usize> = Bounded<Counter, N>;

/// Gauges: how much there is now. They go up and down, and what was between two scrapes is lost.
pub type Gauges<const N: usize> = Bounded<Gauge, N>;

impl<M, const N: usize> Bounded<M, N> {
    /// An empty family. `refused` counts what went to the series for the rest.
    pub(super) fn new(
        names: [&'static str; N],
        make: Make<M>,
        limit: usize,
        refused: Counter,
    ) -> Bounded<M, N> {
        let family = Family::new_with_constructor(make);
        Bounded { names, family, known: Arc::default(), limit, refused }
    }
}

impl<M: Clone, const N: usize> Bounded<M, N> {
    // ANCHOR: with
    /// The series of these label values; it is made if it is new and there is a place for it.
    /// Otherwise the one all labels of which are [`OTHER`]. What is returned counts into the same
    /// series for ever, and may be kept where the labels are always the same.
    pub fn with(&self, values: [&str; N]) -> M {
        let labels = Labels::new(self.names, values);
        if let Some(series) = self.family.get(&labels) {
            return series.clone();
        }
        // One at a time: two who look at the last place would both find it free.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if self.family.get(&labels).is_none() {
            if *known >= self.limit {
                self.refused.inc();
                return self.family.get_or_create_owned(&Labels::new(self.names, [OTHER; N]));
            }
            *known += 1;
        }
        self.family.get_or_create_owned(&labels)
    }
    // ANCHOR_END: with
}

impl<M, const N: usize> Clone for Bounded<M, N> {
    fn clone(&self) -> Bounded<M, N> {
        Bounded {
            names: self.names,
            family: self.family.clone(),
            known: Arc::clone(&self.known),
            limit: self.limit,
            refused: self.refused.clone(),
        }
    }
}

impl<M, const N: usize> Debug for Bounded<M, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded").field("names", &self.names).finish_non_exhaustive()
    }
}

/// The labels of an exemplar.
pub(super) type Exemplified = Labels<1>;

/// OpenMetrics allows an exemplar's label names and values so many characters together.
const LONGEST: usize = 128;
const TRACE_ID: &str = "trace_id";

/// Histograms of `N` labels, whose buckets name the last trace that was observed in them.
#[derive(Clone, Debug)]
pub struct Histograms<const N: usize> {
    pub(super) series: Bounded<HistogramWithExemplars<Exemplified>, N>,
    pub(super) trace: fn() -> Option<Arc<str>>,
}

impl<const N: usize> Histograms<N> {
    // ANCHOR: observe
    /// Observes `value`, in the histogram's unit, in the series of these labels.
    ///
    /// What is not finite is not observed: one NaN would make the sum NaN for ever.
    pub fn observe(&self, labels: [&str; N], value: f64) {
        if !value.is_finite() {
            return;
        }
        // Asked before anything is locked: it is somebody else's code.
        let trace = (self.trace)().filter(|id| TRACE_ID.len() + id.chars().count() <= LONGEST);
        let exemplar = trace.map(|id| Labels::new([TRACE_ID], [&id]));
        // An exemplar stays until the next one. Its time tells whether it is of today.
        let now = exemplar.is_some().then(SystemTime::now);
        self.series.with(labels).observe(value, exemplar, now);
    }
    // ANCHOR_END: observe
}
