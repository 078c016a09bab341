//! How full everything is that there is only so much of, and who stands in between.

use observability::metrics::text::Labels;
use serde::Serialize;

use super::growth::Growth;

/// A breaker that is not closed.
#[derive(Debug, Serialize)]
pub(crate) struct Breaker {
    pub(crate) from: &'static str,
    pub(crate) to: String,
    pub(crate) method: String,
    /// `open` or `half-open`.
    pub(crate) state: String,
    pub(crate) refused_a_second: f64,
}

/// A bulkhead at which somebody waits or was refused.
#[derive(Debug, Serialize)]
pub(crate) struct Bulkhead {
    pub(crate) from: &'static str,
    pub(crate) to: String,
    pub(crate) in_use: u64,
    pub(crate) waiting: u64,
    pub(crate) refused_a_second: f64,
}

/// The limiter at the door.
#[derive(Debug, Serialize)]
pub(crate) struct Limiter {
    pub(crate) allowed_a_second: f64,
    pub(crate) refused_a_second: f64,
    /// Of both: decided without knowing.
    pub(crate) by_outage_a_second: f64,
}

/// The gateway's places for requests.
#[derive(Debug, Serialize)]
pub(crate) struct Places {
    pub(crate) taken: u64,
    pub(crate) all: u64,
    pub(crate) waiting: u64,
}

/// Orders in one state.
#[derive(Debug, Serialize)]
pub(crate) struct Orders {
    pub(crate) state: String,
    pub(crate) orders: u64,
    /// How many more there are than a second ago; fewer, where it is below zero.
    pub(crate) more_a_second: f64,
}

/// Events that a service has not said yet.
#[derive(Debug, Serialize)]
pub(crate) struct Outbox {
    pub(crate) service: &'static str,
    pub(crate) waiting: u64,
}

/// A queue of the bus.
#[derive(Debug, Serialize)]
pub(crate) struct Queue {
    pub(crate) queue: String,
    pub(crate) waiting: u64,
    pub(crate) dead: u64,
}

/// Reads through the cache.
#[derive(Debug, Serialize)]
pub(crate) struct Cache {
    pub(crate) reads_a_second: f64,
    /// None without a read.
    pub(crate) hits_percent: Option<f64>,
}

/// Attempts of a saga's step, with one outcome.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) step: String,
    pub(crate) what: String,
    pub(crate) outcome: String,
    pub(crate) attempts_a_second: f64,
}

/// A service's connections to its database.
#[derive(Debug, Serialize)]
pub(crate) struct Pool {
    pub(crate) service: &'static str,
    pub(crate) pool: String,
    pub(crate) in_use: u64,
    pub(crate) most: u64,
}

/// Changes that wait in a service for their turn.
#[derive(Debug, Serialize)]
pub(crate) struct Writers {
    pub(crate) service: &'static str,
    pub(crate) waiting: u64,
}

/// A gauge of things.
pub(crate) fn whole(shown: f64) -> u64 {
    shown.max(0.0).round() as u64
}

fn value(labels: &Labels, name: &str) -> String {
    labels.get(name).cloned().unwrap_or_default()
}

/// Those labels whose `name` says `wanted`.
fn says<'a>(name: &'a str, wanted: &'a str) -> impl Fn(&Labels) -> bool + 'a {
    move |labels| labels.get(name).is_some_and(|found| found == wanted)
}

pub(crate) fn breakers(from: &'static str, growth: &Growth<'_>) -> Vec<Breaker> {
    let states = growth.series("breaker_state");
    let states = states.filter(|state| state.value > 0.0);
    let told = states.map(|sample| {
        let label = |name| value(&sample.labels, name);
        let (to, method, state) = (label("to"), label("method"), label("state"));
        let refused = |labels: &Labels| {
            says("to", &to)(labels)
                && says("method", &method)(labels)
                && says("outcome", "refused")(labels)
        };
        let refused_a_second = growth.rate("breaker_calls_total", refused);
        Breaker { from, to, method, state, refused_a_second }
    });
    told.filter(|breaker| breaker.state != "closed").collect()
}

pub(crate) fn bulkheads(from: &'static str, growth: &Growth<'_>) -> Vec<Bulkhead> {
    let told = growth.series("bulkhead_in_use").map(|sample| {
        let to = value(&sample.labels, "to");
        let waiting = whole(growth.shown("bulkhead_waiting", says("to", &to)));
        let refused_a_second = growth.rate("bulkhead_refused_total", says("to", &to));
        Bulkhead { from, to, in_use: whole(sample.value), waiting, refused_a_second }
    });
    told.filter(|bulkhead| bulkhead.waiting > 0 || bulkhead.refused_a_second > 0.0).collect()
}

impl Limiter {
    pub(crate) fn of(growth: &Growth<'_>) -> Option<Limiter> {
        let name = "limiter_decisions_total";
        growth.series(name).next()?;
        let rate = |decision| growth.rate(name, says("decision", decision));
        Some(Limiter {
            allowed_a_second: rate("allowed"),
            refused_a_second: rate("refused"),
            by_outage_a_second: rate("by_outage"),
        })
    }
}

impl Places {
    pub(crate) fn of(growth: &Growth<'_>) -> Option<Places> {
        let name = "gateway_places";
        growth.series(name).next()?;
        let shown = |state| whole(growth.shown(name, says("state", state)));
        let taken = shown("taken");
        Some(Places { taken, all: taken + shown("free"), waiting: shown("waiting") })
    }
}

impl Orders {
    pub(crate) fn of(growth: &Growth<'_>) -> Vec<Orders> {
        let told = growth.series("orders").map(|sample| Orders {
            state: value(&sample.labels, "state"),
            orders: whole(sample.value),
            more_a_second: growth.change_of(sample),
        });
        told.collect()
    }
}

impl Outbox {
    pub(crate) fn of(service: &'static str, growth: &Growth<'_>) -> Option<Outbox> {
        let waiting = growth.series("outbox_waiting").next()?;
        Some(Outbox { service, waiting: whole(waiting.value) })
    }
}

impl Queue {
    pub(crate) fn of(growth: &Growth<'_>) -> Vec<Queue> {
        let told = growth.series("queue_depth").map(|sample| {
            let queue = value(&sample.labels, "queue");
            let dead = whole(growth.shown("queue_dead", says("queue", &queue)));
            Queue { queue, waiting: whole(sample.value), dead }
        });
        told.collect()
    }
}

impl Cache {
    pub(crate) fn of(growth: &Growth<'_>) -> Option<Cache> {
        let name = "cache_reads_total";
        growth.series(name).next()?;
        let reads = growth.rate(name, |_| true);
        let hits = growth.rate(name, says("outcome", "hit"));
        let hits_percent = (reads > 0.0).then(|| hits / reads * 100.0);
        Some(Cache { reads_a_second: reads, hits_percent })
    }
}

impl Step {
    pub(crate) fn of(growth: &Growth<'_>) -> Vec<Step> {
        let told = growth.series("saga_steps_total").map(|sample| Step {
            step: value(&sample.labels, "step"),
            what: value(&sample.labels, "what"),
            outcome: value(&sample.labels, "outcome"),
            attempts_a_second: growth.rate_of(sample),
        });
        told.collect()
    }
}

impl Pool {
    pub(crate) fn of(service: &'static str, growth: &Growth<'_>) -> Vec<Pool> {
        let told = growth.series("database_connections_in_use").map(|sample| {
            let pool = value(&sample.labels, "pool");
            let most = whole(growth.shown("database_connections_most", says("pool", &pool)));
            Pool { service, pool, in_use: whole(sample.value), most }
        });
        told.collect()
    }
}

impl Writers {
    pub(crate) fn of(service: &'static str, growth: &Growth<'_>) -> Option<Writers> {
        let waiting = growth.series("database_waiting").next()?;
        Some(Writers { service, waiting: whole(waiting.value) })
    }
}
