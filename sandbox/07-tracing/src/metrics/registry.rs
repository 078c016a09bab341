//! All that a process counts, and how it is asked for it.

use super::exposition::{self, Exposition};
use super::family::{Bounded, Counters, Gauges, Histograms, Labels, Make};
use super::pool::{Families as Pools, Pool};
use super::red::{MeasureLayer, Red};
use super::{LIMIT, Sources};
use crate::around::Surrounded;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry as Families, Unit};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use tower_layer::Layer;

/// The families of one process. A clone is the same registry.
///
/// The families of [`Registry::layer`] and [`Registry::pool`] are its own: nobody else can take their
/// names once they are used. A family is not shown before something was counted in it.
/// `metrics_series_refused_total` is there from the beginning, and tells of each family how often
/// something new had no place in it and went to the series for the rest.
#[derive(Clone)]
pub struct Registry {
    all: Arc<All>,
}

struct All {
    families: RwLock<Families>,
    names: Mutex<BTreeSet<String>>,
    refused: Family<Labels<1>, Counter>,
    sources: Sources,
    limit: usize,
    red: OnceLock<Red>,
    pools: OnceLock<Pools>,
}

impl Registry {
    /// A registry of the service of this name, which stands in `target_info`.
    pub fn new(service: &str, sources: Sources) -> Registry {
        Registry::limited(service, sources, LIMIT)
    }

    /// With another limit than [`LIMIT`] series a family.
    pub fn limited(service: &str, sources: Sources, limit: usize) -> Registry {
        let mut families = Families::default();
        let target = Labels::new(["service_name"], [service]);
        families.register("target", "What this process is", Info::new(target));
        let refused = Family::<Labels<1>, Counter>::default();
        let help = "How often a new series had no place in its family";
        families.register("metrics_series_refused", help, refused.clone());
        let all = All {
            families: RwLock::new(families),
            names: Mutex::new(BTreeSet::from(["target".into(), "metrics_series_refused".into()])),
            refused,
            sources,
            limit,
            red: OnceLock::new(),
            pools: OnceLock::new(),
        };
        Registry { all: Arc::new(all) }
    }

    /// A family of counters. Scraped, its name ends in `_total`.
    ///
    /// # Panics
    /// If a name is not legal, or taken: names are constants of the program, and are found wrong when
    /// it is first started.
    pub fn counters<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> Counters<N> {
        let name = name.strip_suffix("_total").unwrap_or(name);
        self.family(name, help, None, labels, Make::by(Counter::default))
    }

    /// A family of gauges.
    ///
    /// # Panics
    /// As [`Registry::counters`].
    pub fn gauges<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> Gauges<N> {
        self.family(name, help, None, labels, Make::by(Gauge::default))
    }

    /// A family of histograms. Its name ends in its unit, which is added if it is not there. `bounds`
    /// are the upper ones of the buckets, in that unit, rising, without +Inf.
    ///
    /// # Panics
    /// As [`Registry::counters`], and if the bounds do not rise.
    pub fn histograms<const N: usize>(
        &self,
        name: &'static str,
        help: &'static str,
        unit: Unit,
        bounds: &[f64],
        labels: [&'static str; N],
    ) -> Histograms<N> {
        assert!(bounds.is_sorted_by(|one, next| one < next), "{name}: {bounds:?} do not rise");
        let bounds: Arc<[f64]> = bounds.into();
        let make = Make::by(move || HistogramWithExemplars::new(bounds.iter().copied()));
        let suffix = format!("_{}", unit.as_str());
        let name = name.strip_suffix(&suffix).unwrap_or(name);
        let series = self.family(name, help, Some(unit), labels, make);
        Histograms { series, trace: self.all.sources.trace }
    }

    /// A pool of `size` places, whose use is counted under the label `pool`.
    pub fn pool(&self, name: &str, size: usize) -> Pool {
        let families = self.all.pools.get_or_init(|| Pools::of(self));
        Pool::new(families, name, size, self.all.sources.clock.clone())
    }

    /// What measures the requests of a server. With axum it belongs on the router, by
    /// `Router::layer`, after all routes and the fallback are there: around the router, no route is
    /// known yet, and all of them are one.
    pub fn layer(&self) -> MeasureLayer {
        MeasureLayer::new(self.red().clone(), self.all.sources.route)
    }

    /// `service` with [`Registry::layer`] around it.
    pub fn measured<S>(&self, service: S) -> Surrounded<S, MeasureLayer> {
        self.layer().layer(service)
    }

    pub(super) fn red(&self) -> &Red {
        self.all.red.get_or_init(|| Red::of(self, self.all.sources.clock.clone()))
    }

    /// All of it, in the best form that the one who asks understands; `accept` is the header of
    /// that name. Only OpenMetrics has exemplars.
    pub fn text(&self, accept: Option<&str>) -> Exposition {
        exposition::answer(accept, self.open_metrics())
    }

    /// The answer to `GET /metrics`, by the headers of the request.
    pub fn answer(&self, asked: &HeaderMap) -> Response<String> {
        let accepts: Vec<&str> =
            asked.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok()).collect();
        let exposition = self.text(Some(&accepts.join(",")));
        let mut response = Response::new(exposition.text);
        let content_type = HeaderValue::from_static(exposition.content_type);
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    }

    pub(super) fn open_metrics(&self) -> String {
        let mut text = String::new();
        let families = self.all.families.read().unwrap_or_else(PoisonError::into_inner);
        encode(&mut text, &families).expect("a string has room");
        text
    }

    fn family<M, const N: usize>(
        &self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        labels: [&'static str; N],
        make: Make<M>,
    ) -> Bounded<M, N>
    where
        Family<Labels<N>, M, Make<M>>: Metric,
    {
        assert_legal(name, &labels);
        let full = [Some(name), unit.as_ref().map(Unit::as_str)];
        let full = full.into_iter().flatten().collect::<Vec<_>>().join("_");
        let refused = self.all.refused.get_or_create_owned(&Labels::new(["metric"], [&full]));
        let bounded = Bounded::new(labels, make, self.all.limit, refused);
        self.register(name, &full, help, unit, bounded.family.clone());
        bounded
    }

    /// A family that is no [`Bounded`] one, for the topic's own use.
    pub(super) fn register(
        &self,
        name: &str,
        full: &str,
        help: &str,
        unit: Option<Unit>,
        metric: impl Metric,
    ) {
        let mut names = self.all.names.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(names.insert(full.to_owned()), "{full} is registered already");
        drop(names);
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let mut families = self.all.families.write().unwrap_or_else(PoisonError::into_inner);
        match unit {
            None => families.register(name, help, metric),
            Some(unit) => families.register_with_unit(name, help, unit, metric),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// What Prometheus reads without quoting: a letter or `_`, then these and digits.
fn assert_legal(name: &str, labels: &[&'static str]) {
    let plain = |name: &str| {
        let first = name.chars().next().is_some_and(|first| !first.is_ascii_digit());
        first && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    assert!(plain(name), "`{name}` is no name of a metric");
    for label in labels {
        // `le` is that of the buckets, and what begins with two underscores is Prometheus' own.
        let is_free = *label != "le" && !label.starts_with("__");
        assert!(plain(label) && is_free, "`{label}` is no name of a label of {name}");
    }
}
