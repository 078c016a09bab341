//! All figures of a time.

use serde::Serialize;

use super::full::{
    Breaker, Bulkhead, Cache, Limiter, Orders, Outbox, Places, Pool, Queue, Step, Writers,
    breakers, bulkheads,
};
use super::growth::Growth;
use super::red::{Red, Route, Service, routes};
use super::scrape::Scrape;

/// So many routes are shown.
const SLOWEST: usize = 5;

/// What the shop did between two scrapes, and how full it was at the second.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    /// How much time lies between them: where services differ, the longest.
    pub(crate) seconds: f64,
    pub(crate) services: Vec<Service>,
    /// Those that have become slower, the one first that has most: where to look.
    pub(crate) slower: Vec<Route>,
    /// By their p99.
    pub(crate) slowest: Vec<Route>,
    /// Those that are not closed.
    pub(crate) breakers: Vec<Breaker>,
    /// Those at which somebody waits or was refused.
    pub(crate) bulkheads: Vec<Bulkhead>,
    pub(crate) limiter: Option<Limiter>,
    pub(crate) places: Option<Places>,
    pub(crate) orders: Vec<Orders>,
    pub(crate) outboxes: Vec<Outbox>,
    pub(crate) queues: Vec<Queue>,
    pub(crate) cache: Option<Cache>,
    pub(crate) saga_steps: Vec<Step>,
    pub(crate) databases: Vec<Pool>,
    pub(crate) writers: Vec<Writers>,
}

impl Figures {
    /// Of two scrapes of the same shop.
    pub(crate) fn between(before: &Scrape, now: &Scrape) -> Figures {
        let mut figures = Figures::default();
        for (before, now) in before.0.iter().zip(&now.0) {
            let service = now.service;
            let samples = match &now.samples {
                Ok(samples) => samples,
                Err(why) => {
                    let away = Some(why.clone());
                    figures.services.push(Service { service, away, red: None });
                    continue;
                }
            };
            let took = now.at.saturating_duration_since(before.at);
            figures.seconds = figures.seconds.max(took.as_secs_f64());
            let told = match &before.samples {
                Ok(before) => {
                    let growth = Growth::between(before, samples, took);
                    figures.slowest.extend(routes(service, &growth));
                    figures.take(service, &growth);
                    Some(Red::of(&growth))
                }
                // It has just come: how full it is is known, and no rate yet.
                Err(_) => {
                    figures.take(service, &Growth::between(samples, samples, took));
                    None
                }
            };
            figures.services.push(Service { service, away: None, red: told });
        }
        let slower = figures.slowest.iter().filter_map(|one| Some((one.slower()?, one.clone())));
        let mut slower: Vec<_> = slower.collect();
        slower.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        figures.slower = slower.into_iter().map(|(_, route)| route).take(SLOWEST).collect();
        figures.slowest.sort_by(|one, other| {
            let by_rate = other.requests_a_second.total_cmp(&one.requests_a_second);
            other.p99_ms.total_cmp(&one.p99_ms).then(by_rate)
        });
        figures.slowest.truncate(SLOWEST);
        figures
    }

    fn take(&mut self, service: &'static str, growth: &Growth<'_>) {
        self.breakers.extend(breakers(service, growth));
        self.bulkheads.extend(bulkheads(service, growth));
        self.limiter = self.limiter.take().or_else(|| Limiter::of(growth));
        self.places = self.places.take().or_else(|| Places::of(growth));
        self.orders.extend(Orders::of(growth));
        self.outboxes.extend(Outbox::of(service, growth));
        self.queues.extend(Queue::of(growth));
        self.cache = self.cache.take().or_else(|| Cache::of(growth));
        self.saga_steps.extend(Step::of(growth));
        self.databases.extend(Pool::of(service, growth));
        self.writers.extend(Writers::of(service, growth));
    }
}
