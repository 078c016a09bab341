//! 04.9 · Health checks: what a service says of itself, and how it leaves.
//!
//! Somebody outside asks a service how it is, and acts on the answer without thinking: Kubernetes,
//! a load balancer, a supervisor. There are two questions, because there are two things to do:
//!
//! | question | who fails it | what is done then |
//! | --- | --- | --- |
//! | live? | who has to be killed: nothing else would help | the process is restarted |
//! | ready? | who cannot serve just now: starting, leaving, without its database | no requests are sent |
//!
//! Answer the first by asking a database, and a database that is slow for a minute restarts every
//! process that uses it: they come back with cold caches, all at once, to a database that is slow.
//!
//! The contract [`Health`] names the promises, [`Vitals`] keeps them:
//!
//! | promise | how |
//! | --- | --- |
//! | Nobody is restarted for the fault of another | [`Health::live`] is a plain function: it has no way to ask |
//! | A probe always gets an answer | each dependency has [`Config::timeout`], and all are asked at once |
//! | Probes are no load | many at once share one round, and for [`Config::fresh_for`] its result |
//! | What is back is back | nothing is remembered for longer than that |
//! | A dependency that only helps takes nobody out | [`Dependency::optional`]: `warn`, and still 200 |
//! | Who leaves loses nothing | readiness fails first, and what is under way is counted to its end |
//!
//! What it does not promise:
//!
//! - **That the service works.** It says that its dependencies answered a moment ago. Whether
//!   customers are served is seen in the answers that they get.
//! - **Safety from a shared dependency.** If all instances need one database and it fails, all of
//!   them leave at once, and nobody is left to say so politely. [`Dependency::critical`] is for what
//!   nothing at all can be answered without.
//!
//! Sources: D. Yanacek, [Implementing health checks], Amazon Builders' Library; Kubernetes, [probes]
//! and [termination of pods]; I. Nadareishvili, [draft-inadarei-api-health-check-06], which
//! expired in 2022 and never became an RFC, but is the shape that tools know.
//!
//! [Implementing health checks]: https://aws.amazon.com/builders-library/implementing-health-checks/
//! [probes]: https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
//! [termination of pods]: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
//! [draft-inadarei-api-health-check-06]: https://datatracker.ietf.org/doc/html/draft-inadarei-api-health-check-06

mod report;
mod round;
mod under_way;

use crate::BoxError;
use http::Response;
use round::Rounds;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use report::{Report, Seen, Status, masked};
pub use under_way::{Counted, DrainLayer, Drained, Draining, Ticket};

use under_way::UnderWay;

// ANCHOR: contract
/// The contract: the health of one process, and its way out.
pub trait Health: Send + Sync + Sized + 'static {
    /// A request that is under way. It is so until this is dropped, however it ends: answered, in
    /// a panic, or because its client hung up.
    type UnderWay: Send + 'static;

    /// Of a process that is still starting.
    fn new(config: Config, dependencies: Vec<Dependency>) -> Self;

    /// From now on it can serve: caches are warm, migrations done. Said after [`Health::drain`], it
    /// changes nothing.
    fn started(&self);

    /// Whether the process should go on living: `pass`, from its first moment to its last, while it
    /// can answer at all. Asks no dependency, and starts nothing that would.
    fn live(&self) -> Report;

    /// Whether requests should be sent here.
    ///
    /// Before [`Health::started`] and after [`Health::drain`]: `fail` at once, and nobody is asked.
    /// That holds for the moment of the answer: who asked before a drain and is answered after it
    /// is told that it drains.
    ///
    /// In between, each dependency is asked, all at the same time, each for at most
    /// [`Config::timeout`]; what has not answered by then has failed, and is given up: dropped. One
    /// that panics has failed, and is asked again the next time. The report names each with its
    /// own time and, by [`masked`], what was wrong: `fail` for what is critical, `warn` for what is
    /// optional. Its status is the worst of them. Two may have one name, as the nodes of a cluster
    /// do: both are asked, and both are named.
    ///
    /// Many who ask at once get one report, and whoever asks within [`Config::fresh_for`] of its
    /// end gets the same. Nobody gets one that is older. Who stops waiting (a probe that hangs up)
    /// takes nothing from the others.
    fn ready(&self) -> impl Future<Output = Report> + Send;

    /// The answer over HTTP, as load balancers read it: 200 for `pass` and `warn`, 503 for `fail`.
    /// They look at nothing else. For people there is the body: [`Report::json`], as
    /// `application/health+json`.
    fn answer(report: &Report) -> Response<String>;

    /// A request begins. During a drain as well: until the listener is closed, those who have not
    /// heard of it still come, and are served.
    fn enter(&self) -> Self::UnderWay;

    /// The process is going to leave: it is not ready from now on, and stays alive. A second time
    /// changes nothing.
    fn drain(&self);

    /// Waits until nothing is under way, for at most `within`, and says what became of what was:
    /// how many came to their end since [`Health::drain`], and how many had not by now. Drains, if
    /// nobody has. Several may wait, each for as long as it likes.
    fn drained(&self, within: Duration) -> impl Future<Output = Drained> + Send;
}

/// How dependencies are asked. [`Duration::MAX`] is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long a dependency has to answer. Less than the prober waits, which in Kubernetes is one
    /// second where nobody says otherwise: or it never reads what was wrong.
    pub timeout: Duration,
    /// How long a report is good. Zero: for those only who were waiting for it.
    pub fresh_for: Duration,
}

/// What a service leans on, and how to ask it.
#[derive(Clone)]
pub struct Dependency {
    name: &'static str,
    critical: bool,
    check: Arc<dyn Fn() -> Asking + Send + Sync>,
}

/// A question to a dependency, under way.
pub type Asking = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;
// ANCHOR_END: contract

impl Default for Config {
    /// 800 ms, and good for one second: within the second that Kubernetes waits.
    fn default() -> Config {
        Config { timeout: Duration::from_millis(800), fresh_for: Duration::from_secs(1) }
    }
}

impl Dependency {
    /// Without it nothing can be answered. Before you say so of what all instances share: do you
    /// want all of them to go at once?
    pub fn critical<C, F>(name: &'static str, check: C) -> Dependency
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        Dependency { name, critical: true, check: Arc::new(move || Box::pin(check())) }
    }

    /// Without it the service goes on, slower or with less. It is reported, and takes nobody out.
    pub fn optional<C, F>(name: &'static str, check: C) -> Dependency
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        Dependency { critical: false, ..Dependency::critical(name, check) }
    }

    /// Its name, as reports have it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the service can do nothing without it.
    pub fn is_critical(&self) -> bool {
        self.critical
    }

    /// Asks it how it is. It may take for ever, and it may panic: here, or when it is polled.
    pub fn ask(&self) -> Asking {
        (self.check)()
    }
}

impl fmt::Debug for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, critical) = (self.name, self.critical);
        f.debug_struct("Dependency")
            .field("name", &name)
            .field("critical", &critical)
            .finish_non_exhaustive()
    }
}

/// The reference.
#[derive(Debug)]
pub struct Vitals {
    rounds: Rounds,
    started: AtomicBool,
    under_way: UnderWay,
}

// ANCHOR: reference
impl Health for Vitals {
    type UnderWay = Ticket;

    fn new(config: Config, dependencies: Vec<Dependency>) -> Vitals {
        let rounds = Rounds::new(config, dependencies);
        Vitals { rounds, started: AtomicBool::new(false), under_way: UnderWay::default() }
    }

    fn started(&self) {
        self.started.store(true, Ordering::Release);
    }

    fn live(&self) -> Report {
        // It answers, so it lives. A deadlock answers nothing, and that is how it is found out.
        Report::pass()
    }

    async fn ready(&self) -> Report {
        if let Some(away) = self.away() {
            return away;
        }
        let seen = self.rounds.latest().await;
        // Once more: the drain may have begun while the dependencies were asked, and one answer
        // too many keeps requests coming for another period of the probe.
        self.away().unwrap_or_else(|| Report::of(seen))
    }

    fn answer(report: &Report) -> Response<String> {
        report.response()
    }

    fn enter(&self) -> Ticket {
        self.under_way.enter()
    }

    fn drain(&self) {
        self.under_way.drain();
    }

    async fn drained(&self, within: Duration) -> Drained {
        self.under_way.drained(within).await
    }
}

impl Vitals {
    /// Whether [`Health::drain`] was said.
    pub fn is_draining(&self) -> bool {
        self.under_way.draining()
    }

    /// Why it is not there for requests, whatever its dependencies say.
    fn away(&self) -> Option<Report> {
        // Two facts and not one state: a late `started` must not undo a drain.
        if self.is_draining() {
            return Some(Report::fail("draining"));
        }
        let started = self.started.load(Ordering::Acquire);
        (!started).then(|| Report::fail("starting"))
    }
}
// ANCHOR_END: reference
