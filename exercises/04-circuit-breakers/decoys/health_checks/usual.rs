//! What the wrong answers do right: each replaces one step of this.

use circuit_breakers::health_checks::{
    Config, Dependency, Drained, Health, Report, Seen, Status, masked,
};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use std::future::Future;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What is said of who did not answer.
pub(super) const LATE: &str = "no answer in time";

/// The steps.
pub trait Usual: Sized + Send + Sync + 'static {
    fn live(_: &Usually<Self>) -> Report {
        Report::pass()
    }

    fn started(health: &Usually<Self>) {
        health.started.store(true, Ordering::SeqCst);
    }

    fn drain(health: &Usually<Self>) {
        health.draining.store(true, Ordering::SeqCst);
        health.flow.send_modify(Flow::begin_drain);
    }

    fn away(health: &Usually<Self>) -> Option<Report> {
        if health.is_draining() {
            return Some(Report::fail("draining"));
        }
        (!health.has_started()).then(|| Report::fail("starting"))
    }

    fn ready(health: &Usually<Self>) -> impl Future<Output = Report> + Send {
        async {
            if let Some(away) = Self::away(health) {
                return away;
            }
            let seen = Self::share(health).await;
            Self::away(health).unwrap_or_else(|| Report::of(seen))
        }
    }

    fn share(health: &Usually<Self>) -> impl Future<Output = Vec<Seen>> + Send {
        health.latest()
    }

    fn still_good(found: &Found, fresh_for: Duration) -> bool {
        found.at.elapsed() < fresh_for
    }

    /// From when on a report is as old as it is.
    fn good_from(_began: Instant, ended: Instant) -> Instant {
        ended
    }

    fn ask_all(
        dependencies: Arc<[Dependency]>,
        config: Config,
    ) -> impl Future<Output = Vec<Seen>> + Send {
        async move { ask_all::<Self>(&dependencies, config).await }
    }

    fn failed(dependency: &Dependency, why: String, took: Duration) -> Seen {
        let status = if dependency.is_critical() { Status::Fail } else { Status::Warn };
        Seen { name: dependency.name(), status, took, output: Some(why) }
    }

    fn told(error: &str) -> String {
        masked(error)
    }

    fn answer(report: &Report) -> Response<String> {
        answer(report)
    }

    fn leave(flow: &mut Flow) {
        flow.leave();
    }

    fn drained(health: &Usually<Self>, within: Duration) -> impl Future<Output = Drained> + Send {
        async move {
            Self::drain(health);
            let mut flow = health.flow.subscribe();
            let empty = flow.wait_for(|flow| flow.under_way == 0);
            let _ = tokio::time::timeout(within, empty).await;
            let flow = *health.flow.borrow();
            Drained { finished: flow.finished, lost: flow.under_way }
        }
    }
}

/// The health that these steps make.
pub struct Usually<M> {
    pub(super) config: Config,
    pub(super) dependencies: Arc<[Dependency]>,
    started: AtomicBool,
    draining: AtomicBool,
    /// For who has one state only.
    pub(super) state: AtomicU8,
    pub(super) latest: Mutex<Option<Round>>,
    /// For who takes turns.
    pub(super) turn: tokio::sync::Mutex<Option<Found>>,
    pub(super) flow: watch::Sender<Flow>,
    steps: PhantomData<fn() -> M>,
}

pub(super) type Round = watch::Receiver<Option<Found>>;

#[derive(Clone)]
pub struct Found {
    pub(super) at: Instant,
    pub(super) seen: Vec<Seen>,
}

#[derive(Clone, Copy, Default)]
pub struct Flow {
    draining: bool,
    pub(super) under_way: usize,
    pub(super) finished: usize,
    /// Since the process began.
    pub(super) ever: usize,
}

impl Flow {
    fn begin_drain(&mut self) {
        self.draining = true;
    }

    pub(super) fn leave(&mut self) {
        self.under_way -= 1;
        self.ever += 1;
        self.finished += usize::from(self.draining);
    }
}

pub struct Ticket<M: Usual> {
    flow: watch::Sender<Flow>,
    steps: PhantomData<fn() -> M>,
}

impl<M: Usual> Drop for Ticket<M> {
    fn drop(&mut self) {
        self.flow.send_modify(M::leave);
    }
}

impl<M: Usual> Usually<M> {
    pub(super) fn has_started(&self) -> bool {
        self.started.load(Ordering::SeqCst)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// What the last round has found, however old.
    pub(super) fn last(&self) -> Option<Vec<Seen>> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let found = latest.as_ref()?.borrow();
        found.as_ref().map(|found| found.seen.clone())
    }

    pub(super) async fn latest(&self) -> Vec<Seen> {
        let mut round = self.join();
        let found = round.wait_for(Option::is_some).await;
        found
            .ok()
            .and_then(|found| found.as_ref().map(|found| found.seen.clone()))
            .unwrap_or_default()
    }

    pub(super) fn join(&self) -> Round {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let good = |round: &Round| match &*round.borrow() {
            Some(found) => M::still_good(found, self.config.fresh_for),
            None => round.has_changed().is_ok(),
        };
        if let Some(round) = latest.as_ref().filter(|round| good(round)) {
            return round.clone();
        }
        let (tell, round) = watch::channel(None);
        let asking = M::ask_all(Arc::clone(&self.dependencies), self.config);
        let began = Instant::now();
        tokio::spawn(async move {
            let seen = asking.await;
            let at = M::good_from(began, Instant::now());
            tell.send_replace(Some(Found { at, seen }));
        });
        *latest = Some(round.clone());
        round
    }
}

impl<M: Usual> Health for Usually<M> {
    type UnderWay = Ticket<M>;

    fn new(config: Config, dependencies: Vec<Dependency>) -> Self {
        Usually {
            config,
            dependencies: dependencies.into(),
            started: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            state: AtomicU8::new(0),
            latest: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            flow: watch::Sender::new(Flow::default()),
            steps: PhantomData,
        }
    }

    fn started(&self) {
        M::started(self);
    }

    fn live(&self) -> Report {
        M::live(self)
    }

    async fn ready(&self) -> Report {
        M::ready(self).await
    }

    fn answer(report: &Report) -> Response<String> {
        M::answer(report)
    }

    fn enter(&self) -> Ticket<M> {
        self.flow.send_modify(|flow| flow.under_way += 1);
        Ticket { flow: self.flow.clone(), steps: PhantomData }
    }

    fn drain(&self) {
        M::drain(self);
    }

    async fn drained(&self, within: Duration) -> Drained {
        M::drained(self, within).await
    }
}

pub(super) async fn ask_all<M: Usual>(dependencies: &[Dependency], config: Config) -> Vec<Seen> {
    let asked: Vec<_> = dependencies
        .iter()
        .map(|dependency| tokio::spawn(ask::<M>(dependency.clone(), config.timeout)))
        .collect();
    let mut seen = Vec::new();
    for (dependency, asked) in dependencies.iter().zip(asked) {
        let panicked = |_| M::failed(dependency, "the check panicked".into(), Duration::ZERO);
        seen.push(asked.await.unwrap_or_else(panicked));
    }
    seen
}

/// Asks one, for at most so long.
pub(super) async fn ask<M: Usual>(dependency: Dependency, timeout: Duration) -> Seen {
    let began = Instant::now();
    match tokio::time::timeout(timeout, async { dependency.ask().await }).await {
        Ok(Ok(())) => {
            let (name, took) = (dependency.name(), began.elapsed());
            Seen { name, status: Status::Pass, took, output: None }
        }
        Ok(Err(error)) => M::failed(&dependency, M::told(&error.to_string()), began.elapsed()),
        Err(_) => M::failed(&dependency, LATE.into(), timeout),
    }
}

pub(super) fn answer(report: &Report) -> Response<String> {
    let mut response = Response::new(report.json());
    if report.status == Status::Fail {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    let kind = HeaderValue::from_static("application/health+json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
