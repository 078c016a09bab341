//! Those who are wrong about how dependencies are asked.

use super::usual::{self, Usual, ask};
use circuit_breakers::health_checks::{Config, Dependency, Seen, Status};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The driver has its own timeouts, surely. Rejected by `hanging_redis`.
pub(super) struct NoTimeout;

impl Usual for NoTimeout {
    async fn ask_all(dependencies: Arc<[Dependency]>, _: Config) -> Vec<Seen> {
        let ask = |one: &Dependency| tokio::spawn(ask::<Self>(one.clone(), Duration::MAX));
        let asked: Vec<_> = dependencies.iter().map(ask).collect();
        let mut seen = Vec::new();
        for (dependency, asked) in dependencies.iter().zip(asked) {
            let lost = |_| Self::failed(dependency, "it panicked".into(), Duration::ZERO);
            seen.push(asked.await.unwrap_or_else(lost));
        }
        seen
    }
}

/// A loop with an await in it. Each dependency is given its time after all those before it.
/// Rejected by `all_at_once`.
pub(super) struct OneAfterTheOther;

impl Usual for OneAfterTheOther {
    async fn ask_all(dependencies: Arc<[Dependency]>, config: Config) -> Vec<Seen> {
        let mut seen = Vec::new();
        for dependency in dependencies.iter() {
            let asked = tokio::spawn(ask::<Self>(dependency.clone(), config.timeout));
            let lost = |_| Self::failed(dependency, "it panicked".into(), Duration::ZERO);
            seen.push(asked.await.unwrap_or_else(lost));
        }
        seen
    }
}

/// Spawned at once, and then each is given a timeout, one after the other: the clock of the second
/// starts when that of the first has run out. Rejected by `hanging_together`.
pub(super) struct OneTimeoutEach;

impl Usual for OneTimeoutEach {
    async fn ask_all(dependencies: Arc<[Dependency]>, config: Config) -> Vec<Seen> {
        let ask = |one: &Dependency| tokio::spawn(ask::<Self>(one.clone(), Duration::MAX));
        let asked: Vec<_> = dependencies.iter().map(ask).collect();
        let mut seen = Vec::new();
        for (dependency, mut asked) in dependencies.iter().zip(asked) {
            let failed = |why: &str| Self::failed(dependency, why.into(), config.timeout);
            seen.push(match tokio::time::timeout(config.timeout, &mut asked).await {
                Ok(answer) => answer.unwrap_or_else(|_| failed("it panicked")),
                Err(_) => {
                    asked.abort();
                    failed("no answer in time")
                }
            });
        }
        seen
    }
}

/// What was found goes into a map, by its name. Of two nodes of a cluster, the one that answered is
/// told in the place of the one that did not. Rejected by `one_name`.
pub(super) struct ByName;

impl Usual for ByName {
    async fn ask_all(dependencies: Arc<[Dependency]>, config: Config) -> Vec<Seen> {
        let seen = usual::ask_all::<Self>(&dependencies, config).await;
        let by_name: HashMap<_, _> = seen.into_iter().map(|seen| (seen.name, seen)).collect();
        by_name.into_values().collect()
    }
}

/// Asks in the task of the round. A check that panics takes the round with it, and with the round
/// what is known of all others: the report is empty, and an empty report is a good one. Rejected by
/// `panicking_check`.
pub(super) struct PanicsToo;

impl Usual for PanicsToo {
    async fn ask_all(dependencies: Arc<[Dependency]>, config: Config) -> Vec<Seen> {
        let mut asked: Vec<_> = dependencies
            .iter()
            .map(|dependency| Box::pin(ask::<Self>(dependency.clone(), config.timeout)))
            .map(Some)
            .collect();
        let mut seen: Vec<Option<Seen>> = asked.iter().map(|_| None).collect();
        std::future::poll_fn(|context| {
            for (asking, seen) in asked.iter_mut().zip(&mut seen) {
                if let Some(future) = asking
                    && let std::task::Poll::Ready(found) = future.as_mut().poll(context)
                {
                    (*seen, *asking) = (Some(found), None);
                }
            }
            match asked.iter().all(Option::is_none) {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            }
        })
        .await;
        seen.into_iter().flatten().collect()
    }
}

/// A limit around the task's handle, which ends the waiting and not the task. For each probe of a
/// database that hangs, one more question hangs. Rejected by `given_up`.
pub(super) struct LeavesThemBehind;

impl Usual for LeavesThemBehind {
    async fn ask_all(dependencies: Arc<[Dependency]>, config: Config) -> Vec<Seen> {
        let until = tokio::time::Instant::now() + config.timeout;
        let ask = |one: &Dependency| tokio::spawn(ask::<Self>(one.clone(), Duration::MAX));
        let asked: Vec<_> = dependencies.iter().map(ask).collect();
        let mut seen = Vec::new();
        for (dependency, asked) in dependencies.iter().zip(asked) {
            let failed = |why: &str| Self::failed(dependency, why.into(), config.timeout);
            seen.push(match tokio::time::timeout_at(until, asked).await {
                Ok(answer) => answer.unwrap_or_else(|_| failed("it panicked")),
                Err(_) => failed("no answer in time"),
            });
        }
        seen
    }
}

/// Looks at the clock when it collects the answers. Who answered at once, and stands behind
/// somebody slow, seems slow. Rejected by `own_time`.
pub(super) struct TimeOfAll;

impl Usual for TimeOfAll {
    async fn ask_all(dependencies: Arc<[Dependency]>, config: Config) -> Vec<Seen> {
        let began = Instant::now();
        let ask = |one: &Dependency| tokio::spawn(ask::<Self>(one.clone(), config.timeout));
        let asked: Vec<_> = dependencies.iter().map(ask).collect();
        let mut seen = Vec::new();
        for (dependency, asked) in dependencies.iter().zip(asked) {
            let lost = |_| Self::failed(dependency, "it panicked".into(), Duration::ZERO);
            let found = asked.await.unwrap_or_else(lost);
            let timed_out = found.status != Status::Pass;
            let took = if timed_out { found.took } else { began.elapsed() };
            seen.push(Seen { took, ..found });
        }
        seen
    }
}

/// As long as the example had it, whatever was configured: the prober has given up by then, and
/// never reads what was wrong. Rejected by `timeout_is_configured`.
pub(super) struct TimeoutOfItsOwn;

impl Usual for TimeoutOfItsOwn {
    async fn ask_all(dependencies: Arc<[Dependency]>, config: Config) -> Vec<Seen> {
        let timeout = Duration::from_millis(800);
        usual::ask_all::<Self>(&dependencies, Config { timeout, ..config }).await
    }
}

/// Adds the timeout to the clock. For ever is more than the clock can hold, and the sum panics, in
/// the task of each round: nobody ever hears of a dependency again. Rejected by `for_ever`.
pub(super) struct SumsTheClock;

impl Usual for SumsTheClock {
    async fn ask_all(dependencies: Arc<[Dependency]>, config: Config) -> Vec<Seen> {
        let until = Instant::now() + config.timeout;
        let timeout = until.saturating_duration_since(Instant::now());
        usual::ask_all::<Self>(&dependencies, Config { timeout, ..config }).await
    }
}
