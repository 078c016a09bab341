//! A service's health and those who ask for it, with every question in the timeline.

use circuit_breakers::BoxError;
use circuit_breakers::health_checks::{Config, Dependency, Health, Report, Seen, Status};
use grading::history::Step;
use grading::{Evidence, Finding, History, SOON, World};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testbed::gate::Gate;

/// Long enough that a busy machine makes nobody late. Checks about slowness set less.
pub(super) const PATIENT: Duration = Duration::from_secs(2);

/// Longer than any check: what is fresh stays so.
pub(super) const AN_HOUR: Duration = Duration::from_secs(3600);

pub(super) const PROBER: &str = "prober";

/// Reports that are good for those only who waited for them.
pub(super) fn at_once(timeout: Duration) -> Config {
    Config { timeout, fresh_for: Duration::ZERO }
}

pub(super) struct Scene<S> {
    pub(super) health: Arc<S>,
    pub(super) history: History,
    config: Config,
}

impl<S: Health> Scene<S> {
    /// A service that is still starting.
    pub(super) fn starting(
        world: &World,
        config: Config,
        dependencies: Vec<Dependency>,
    ) -> Scene<S> {
        let health = Arc::new(S::new(config, dependencies));
        Scene { health, history: world.history().clone(), config }
    }

    /// One that has started.
    pub(super) fn running(
        world: &World,
        config: Config,
        dependencies: Vec<Dependency>,
    ) -> Scene<S> {
        let scene = Scene::<S>::starting(world, config, dependencies);
        scene.health.started();
        scene
    }

    /// Asks whether it is ready. An answer has to come a little after the timeout.
    pub(super) async fn ready(&self) -> Result<Report, Finding> {
        self.ready_within(self.config.timeout + SOON).await
    }

    pub(super) async fn ready_within(&self, patience: Duration) -> Result<Report, Finding> {
        let (call, began) = (self.history.invoke(PROBER, "ready()"), Instant::now());
        match tokio::time::timeout(patience, self.health.ready()).await {
            Ok(report) => {
                call.ok(brief(&report));
                Ok(report)
            }
            Err(_) => {
                let step = call.unknown("no answer");
                let timeout = self.config.timeout;
                let expected = format!("an answer: each dependency has {timeout:?}");
                let saw = format!("none after {:?}", began.elapsed());
                Err(Evidence::new(expected, saw).at(step).into())
            }
        }
    }

    /// Asks, and holds the status to what it must be.
    pub(super) async fn must(&self, status: Status, why: &str) -> Result<Report, Finding> {
        let report = self.ready().await?;
        if report.status == status {
            return Ok(report);
        }
        Err(self.not(format!("{}: {why}", status.name()), &report))
    }

    /// Asks whether it is alive, which it has to be.
    pub(super) fn lives(&self, why: &str) -> Result<(), Finding> {
        let call = self.history.invoke(PROBER, "live()");
        let report = self.health.live();
        let step = call.ok(brief(&report));
        if report.status == Status::Pass {
            return Ok(());
        }
        Err(Evidence::new(format!("pass: {why}"), brief(&report)).at(step).into())
    }

    /// Asks until it is ready, which has to come by itself.
    pub(super) async fn comes_back(&self, after: &str) -> Result<(), Finding> {
        let began = Instant::now();
        loop {
            let report = self.ready().await?;
            if report.status == Status::Pass {
                return Ok(());
            }
            if began.elapsed() > SOON {
                return Err(self.not(format!("pass, soon after {after}"), &report));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) fn not(&self, expected: impl Into<String>, saw: &Report) -> Finding {
        Evidence::new(expected, brief(saw)).at(self.last_answer()).into()
    }

    pub(super) fn last_answer(&self) -> Option<Step> {
        self.history.last(PROBER, "= ")
    }
}

/// A report as the timeline shows it.
pub(super) fn brief(report: &Report) -> String {
    let mut text = report.status.name().to_owned();
    if let Some(output) = report.output {
        text += &format!(" ({output})");
    }
    for seen in report.checks.iter().filter(|seen| seen.status != Status::Pass) {
        text += &format!(", {} {}", seen.name, seen.status.name());
    }
    text
}

/// What a report says of `name`, which has to be there once.
pub(super) fn seen<'a>(report: &'a Report, name: &str) -> Result<&'a Seen, Finding> {
    let mut found = report.checks.iter().filter(|seen| seen.name == name);
    match (found.next(), found.next()) {
        (Some(seen), None) => Ok(seen),
        (first, _) => {
            let saw = if first.is_some() { "more than one" } else { "none" };
            Err(Evidence::new(format!("one line in the report about {name}"), saw).into())
        }
    }
}

/// A dependency that the check can see and rule.
#[derive(Clone)]
pub(super) struct Stand {
    name: &'static str,
    asked: Arc<AtomicUsize>,
    broken: Arc<AtomicBool>,
    /// Whoever asks waits here.
    gate: Gate,
    history: History,
}

impl Stand {
    /// One that answers well, at once.
    pub(super) fn up(world: &World, name: &'static str) -> Stand {
        let stand = Stand::held(world, name, Gate::shut());
        stand.gate.open();
        stand
    }

    /// One that answers well when `gate` is open.
    pub(super) fn held(world: &World, name: &'static str, gate: Gate) -> Stand {
        let history = world.history().clone();
        Stand { name, asked: Arc::default(), broken: Arc::default(), gate, history }
    }

    pub(super) fn critical(&self) -> Dependency {
        let stand = self.clone();
        Dependency::critical(self.name, move || stand.clone().answer())
    }

    pub(super) fn optional(&self) -> Dependency {
        let stand = self.clone();
        Dependency::optional(self.name, move || stand.clone().answer())
    }

    async fn answer(self) -> Result<(), BoxError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.history.note(self.name, "is asked");
        self.gate.pass().await;
        if self.broken.load(Ordering::SeqCst) {
            self.history.note(self.name, "→ an error");
            return Err("connection refused".into());
        }
        self.history.note(self.name, "→ well");
        Ok(())
    }

    /// From now on it answers with an error, or well.
    pub(super) fn breaks(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
        self.history.note(self.name, if broken { "(breaks)" } else { "(is repaired)" });
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Holds that it was asked so often.
    pub(super) fn was_asked(&self, times: usize, why: &str) -> Result<(), Finding> {
        let asked = self.asked.load(Ordering::SeqCst);
        if asked == times {
            return Ok(());
        }
        let last = self.history.last(self.name, "is asked");
        let expected = format!("{} is asked {}: {why}", self.name, often(times));
        Err(Evidence::new(expected, often(asked)).at(last).into())
    }
}

fn often(times: usize) -> String {
    match times {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        _ => format!("{times} times"),
    }
}

/// A Redis, asked by PING on a connection that comes back by itself, and that waits as long as it
/// takes: nobody who writes a check thinks of everything. Behind a proxy, the timeline shows it.
pub(super) fn redis_at(url: &str) -> Result<Dependency, Finding> {
    let connection = connection::open(url, Duration::from_secs(600))?;
    Ok(Dependency::critical("redis", move || {
        let mut connection = connection.clone();
        async move {
            redis::cmd("PING").query_async::<()>(&mut connection).await?;
            Ok(())
        }
    }))
}

/// The same, of a Redis that is a process of its own: no proxy survives what is done to it, so it
/// writes down itself what it asks.
pub(super) fn own_redis_at(world: &World, url: &str) -> Result<Dependency, Finding> {
    let (redis, history) = (redis_at(url)?, world.history().clone());
    Ok(Dependency::critical("redis", move || {
        history.note("redis", "PING");
        let (asking, history) = (redis.ask(), history.clone());
        async move {
            let answer = asking.await;
            history.note("redis", if answer.is_ok() { "→ PONG" } else { "→ an error" });
            answer
        }
    }))
}

/// Well at once, and no line in the timeline.
pub(super) async fn well() -> Result<(), BoxError> {
    Ok(())
}
