//! What a service counts, as Prometheus reads it: `GET /metrics`.
//!
//! Requests are counted as they come. What others count already (breakers, retries, bulkheads, rows
//! that wait) is read when somebody asks for it: twice counted would be once wrong.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::MatchedPath;
use axum::routing::get;
use http::HeaderMap;
use observability::metrics::{MeasureLayer, Registry, Sources};
use observability::telemetry::{self, Telemetry};
use shop_calls::Calls;
use tokio::time::{Instant, timeout_at};

mod on_demand;

/// How long all looks together may take. Who scrapes waits for longer.
const LOOK: Duration = Duration::from_secs(1);

/// Brings what is read on demand up to date.
type Look = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The meters of one service.
#[derive(Clone)]
pub(crate) struct Meters {
    registry: Registry,
    looks: Arc<Mutex<Vec<Look>>>,
}

impl Meters {
    /// Of the service `name`.
    pub(crate) fn new(name: &str) -> Meters {
        let sources = Sources {
            trace: telemetry::recorded,
            route: |found| found.get::<MatchedPath>().map(MatchedPath::as_str),
            ..Sources::default()
        };
        Meters { registry: Registry::new(name, sources), looks: Arc::default() }
    }

    /// Counts the requests of a router.
    pub(crate) fn layer(&self) -> MeasureLayer {
        self.registry.layer()
    }

    /// The families that this service has, to be filled by [`Meters::looking`].
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Has this done before it answers.
    pub(crate) fn looking<F>(&self, look: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.push(Arc::new(move || Box::pin(look())));
    }

    /// Has this done before all that is there already: what asks a database would be found at work in
    /// it.
    pub(crate) fn looking_first(&self, look: impl Fn() + Send + Sync + 'static) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let look = move || {
            look();
            Box::pin(std::future::ready(())) as Pin<Box<dyn Future<Output = ()> + Send>>
        };
        looks.insert(0, Arc::new(look));
    }

    /// Tells what stands around the calls to others: topic 04.
    pub(crate) fn around(&self, calls: &Calls) {
        let (registry, calls) = (self.registry.clone(), calls.clone());
        let counters = |name, help| registry.counters(name, help, ["to"]);
        let gauges = |name, help| registry.gauges(name, help, ["to"]);
        let labels = ["to", "method", "state"];
        let state = registry.gauges("breaker_state", "1 for the state that it is in", labels);
        let outcome = registry.counters(
            "breaker_calls_total",
            "Calls, by what came of them: ok, failed, or refused without being made",
            ["to", "method", "outcome"],
        );
        let opened =
            registry.counters("breaker_opened_total", "How often it opened", ["to", "method"]);
        let retried = counters("retry_attempts_total", "Attempts beyond the first");
        let denied = counters("retry_denied_total", "Those that there was no budget for");
        let inside = gauges("bulkhead_in_use", "Calls that have a place");
        let waiting = gauges("bulkhead_waiting", "Calls that wait for one");
        let refused = counters("bulkhead_refused_total", "Calls that got none");
        self.looking(move || {
            let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            for line in calls.book().0 {
                let to = line.to.as_str();
                for (method, breaker) in &line.breakers {
                    for name in ["closed", "open", "half-open"] {
                        let is_it = i64::from(breaker.state == name);
                        state.with([to, method, name]).set(is_it);
                    }
                    let ok = breaker.calls.saturating_sub(breaker.failed);
                    for (name, count) in
                        [("ok", ok), ("failed", breaker.failed), ("refused", breaker.refused)]
                    {
                        outcome.with([to, method, name]).inner().store(count, Ordering::Relaxed);
                    }
                    opened.with([to, method]).inner().store(breaker.opened, Ordering::Relaxed);
                }
                retried.with([to]).inner().store(line.retry.retried, Ordering::Relaxed);
                denied.with([to]).inner().store(line.retry.denied, Ordering::Relaxed);
                inside.with([to]).set(whole(line.bulkhead.inside));
                waiting.with([to]).set(whole(line.bulkhead.waiting));
                refused.with([to]).inner().store(line.bulkhead.refused, Ordering::Relaxed);
            }
            std::future::ready(())
        });
    }

    /// Has a collector read them, too, if there is one.
    pub(crate) fn told_to(&self, telemetry: Option<&Telemetry>, name: &'static str) {
        let Some(telemetry) = telemetry else { return };
        let this = self.clone();
        telemetry.measures(name, move || {
            let this = this.clone();
            async move {
                this.look().await;
                this.registry.text(Some("application/openmetrics-text")).text
            }
        });
    }

    async fn look(&self) {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let until = Instant::now() + LOOK;
        for look in looks {
            // What hangs leaves the last figures, and hides nobody else's.
            let _ = timeout_at(until, look()).await;
        }
    }

    /// The route by which they are read.
    pub(crate) fn routes(&self) -> Router {
        let this = self.clone();
        let answer = async move |headers: HeaderMap| {
            this.look().await;
            this.registry.answer(&headers)
        };
        Router::new().route("/metrics", get(answer))
    }
}
