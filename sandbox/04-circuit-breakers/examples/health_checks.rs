//! 04.9 · Health checks: three copies of a service, a Redis that hangs, and a copy that leaves.
//!
//! ```console
//! $ cargo run --example health_checks
//! ```
//!
//! Ends by itself after some six seconds.

use circuit_breakers::BoxError;
use circuit_breakers::health_checks::{
    Config, Counted, Dependency, DrainLayer, Drained, Health, Report, Status, Vitals,
};
use redis::aio::ConnectionManager;
use std::convert::Infallible;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use testbed::load::{Load, Report as Measured, Zipf};
use testbed::redis::Redis;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tower_layer::Layer;
use tower_service::Service;

const COPIES: usize = 3;

/// As an orchestrator is set up, but faster: so often, so long, and so many failures in a row.
const EVERY: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_millis(150);
const FAILURES: u32 = 3;

const CONFIG: Config =
    Config { timeout: Duration::from_millis(100), fresh_for: Duration::from_millis(40) };

#[tokio::main]
async fn main() -> ExitCode {
    page::end(run().await)
}

async fn run() -> anyhow::Result<()> {
    page::title("04.9 health_checks · what a service says of itself, and how it leaves");
    let seed = page::seed()?;
    let redis = testbed::redis::process().await?;
    page::note(redis.origin());
    told(&redis).await?;
    restarts(&redis).await?;
    leaving(seed).await?;
    page::next(&[
        ("cargo lab start health_checks", "write it yourself, and be stopped and killed"),
        ("cargo run -p shop -- up", "then: curl 127.0.0.1:8080/health/ready"),
    ]);
    Ok(())
}

/// A Redis, and a question to it on a connection that comes back by itself and waits as long as it
/// takes.
#[derive(Clone)]
struct Asked {
    connection: ConnectionManager,
    questions: Arc<AtomicU64>,
}

impl Asked {
    fn of(redis: &Redis) -> anyhow::Result<Asked> {
        let connection = connection::open(redis.url(), Duration::from_secs(600))?;
        Ok(Asked { connection, questions: Arc::default() })
    }

    async fn ping(mut self) -> Result<(), BoxError> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        redis::cmd("PING").query_async::<()>(&mut self.connection).await?;
        Ok(())
    }

    fn critical(self) -> Dependency {
        Dependency::critical("redis", move || self.clone().ping())
    }

    fn optional(self) -> Dependency {
        Dependency::optional("redis", move || self.clone().ping())
    }
}

fn service(dependencies: Vec<Dependency>) -> Vitals {
    let health = Vitals::new(CONFIG, dependencies);
    health.started();
    health
}

/// Part 1: what curl would see.
async fn told(redis: &Redis) -> anyhow::Result<()> {
    page::part(1, "What is said while Redis is up, stopped, killed, and back");
    let health = service(vec![Asked::of(redis)?.critical()]);
    let show = async |state: &str| {
        let began = Instant::now();
        let report = health.ready().await;
        let took = began.elapsed();
        let code = |report: &Report| Vitals::answer(report).status().as_u16().to_string();
        let cells = [state.to_owned(), code(&health.live()), code(&report), page::millis(took)];
        (cells.to_vec(), report.json())
    };
    // The first connection is made, so that the figures are those of a probe.
    health.ready().await;
    let mut shown = Vec::new();
    // Who was refused finds out by the next question that somebody is there again.
    for state in ["up", "stopped", "goes on", "killed", "back", "a probe later"] {
        match state {
            "stopped" => redis.stop_process().await?,
            "goes on" => redis.continue_process().await?,
            "killed" => redis.kill().await?,
            "back" => redis.restart().await?,
            _ => {}
        }
        // What was true a moment ago is not asked again.
        tokio::time::sleep(CONFIG.fresh_for * 2).await;
        shown.push(show(state).await);
    }
    let rows: Vec<_> = shown.iter().map(|(cells, _)| cells.clone()).collect();
    page::grid(&["Redis", "live", "ready", "answered after"], &rows);
    page::gap();
    for (cells, json) in shown.iter().filter(|(cells, _)| ["up", "stopped"].contains(&&*cells[0])) {
        page::note(format_args!("GET /health/ready, Redis {}", cells[0]));
        for line in json.replace("[{", "[{\n").replace(",\"output", ",\n\"output").lines() {
            page::note(format_args!("  {line}"));
        }
    }
    Ok(())
}

/// What becomes of the copies while an orchestrator acts on their probes.
struct Fleet {
    restarts: u64,
    in_service: u64,
    questions: u64,
}

/// Three ways to say that Redis is gone.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// One endpoint for both questions, and it asks Redis.
    LiveAsks,
    /// Only readiness asks.
    ReadyFails,
    /// And Redis only helps.
    ReadyWarns,
}

/// Part 2: the same outage, three ways to say so.
async fn restarts(redis: &Redis) -> anyhow::Result<()> {
    page::part(2, "Three copies of a service, and a Redis that is stopped for a second");
    page::note("Each copy is probed every 50 ms: by one that restarts, and by three that send");
    page::note("requests. Three failures in a row count.");
    let mut fleets = Vec::new();
    for manner in [Manner::LiveAsks, Manner::ReadyFails, Manner::ReadyWarns] {
        fleets.push(outage(redis, manner).await?);
    }
    page::heads(&["live asks", "ready fails", "ready warns"]);
    let row = |what: &str, of: &dyn Fn(&Fleet) -> u64| {
        let cells: Vec<_> = fleets.iter().map(|fleet| page::count(of(fleet))).collect();
        page::row(what, &cells[0], &cells[1..], "");
    };
    row("copies restarted", &|fleet| fleet.restarts);
    row("copies left in service, of 3", &|fleet| fleet.in_service);
    row("questions to Redis", &|fleet| fleet.questions);
    page::note("A restart does not wake Redis. And where the service can go on without it, a");
    page::note("readiness that fails closes the shop: all copies share the one Redis.");
    Ok(())
}

async fn outage(redis: &Redis, manner: Manner) -> anyhow::Result<Fleet> {
    let asked = Asked::of(redis)?;
    let restarts = Arc::new(AtomicU64::new(0));
    let (mut probers, mut in_service) = (JoinSet::new(), Vec::new());
    for _ in 0..COPIES {
        let copy = Copy::new(manner, asked.clone());
        let restarts = Arc::clone(&restarts);
        probers.spawn(probe(
            {
                let copy = copy.clone();
                move || copy.clone().live()
            },
            move |well| {
                restarts.fetch_add(u64::from(!well), Ordering::Relaxed);
            },
        ));
        for _ in 0..3 {
            let (copy, sends) = (copy.clone(), Arc::new(AtomicBool::new(true)));
            in_service.push(Arc::clone(&sends));
            probers.spawn(probe(
                move || copy.clone().ready(),
                move |well| {
                    sends.store(well, Ordering::Relaxed);
                },
            ));
        }
    }
    tokio::time::sleep(Duration::from_millis(150)).await;
    redis.stop_process().await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // A copy is in service while one prober sends requests to it.
    let sends = |probers: &[Arc<AtomicBool>]| probers.iter().any(|one| one.load(Ordering::Relaxed));
    let left = in_service.chunks(3).filter(|probers| sends(probers)).count();
    let questions = asked.questions.load(Ordering::Relaxed);
    probers.shutdown().await;
    redis.continue_process().await?;
    let restarts = restarts.load(Ordering::Relaxed);
    Ok(Fleet { restarts, in_service: left as u64, questions })
}

/// One copy of the service.
#[derive(Clone)]
struct Copy {
    manner: Manner,
    asked: Asked,
    health: Arc<Vitals>,
}

impl Copy {
    fn new(manner: Manner, asked: Asked) -> Copy {
        let dependency = match manner {
            Manner::ReadyWarns => asked.clone().optional(),
            _ => asked.clone().critical(),
        };
        Copy { manner, asked, health: Arc::new(service(vec![dependency])) }
    }

    async fn live(self) -> bool {
        match self.manner {
            Manner::LiveAsks => self.asked.ping().await.is_ok(),
            _ => self.health.live().status != Status::Fail,
        }
    }

    async fn ready(self) -> bool {
        match self.manner {
            Manner::LiveAsks => self.asked.ping().await.is_ok(),
            _ => self.health.ready().await.status != Status::Fail,
        }
    }
}

/// Asks again and again, and tells when the answer has been the same often enough: `false` after so
/// many failures in a row, `true` after one success.
async fn probe<F: Future<Output = bool>>(ask: impl Fn() -> F, tell: impl Fn(bool)) {
    let mut failures = 0;
    let mut clock = tokio::time::interval(EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        clock.tick().await;
        let well = tokio::time::timeout(PATIENCE, ask()).await.unwrap_or(false);
        failures = if well { 0 } else { failures + 1 };
        match (well, failures) {
            (true, _) => tell(true),
            (_, FAILURES) => {
                tell(false);
                failures = 0;
            }
            _ => {}
        }
    }
}

/// How a copy leaves.
#[derive(Clone, Copy, PartialEq)]
enum Exit {
    /// Killed where it stands.
    AtOnce,
    /// Readiness fails, and nothing else changes until those who send requests have heard of it.
    /// Then nothing new is accepted, and what is under way is finished.
    Drained,
}

/// Part 3: a deployment under load.
async fn leaving(seed: u64) -> anyhow::Result<()> {
    page::part(3, "One of three copies leaves, under 400 requests a second");
    page::note("A request takes 10 to 60 ms. The balancer looks every 50 ms who is ready.");
    let (killed, _) = deploy(seed, Exit::AtOnce).await;
    let (drained, leaves) = deploy(seed, Exit::Drained).await;
    page::heads(&["killed", "drained"]);
    let row = |what: &str, cell: &dyn Fn(&Measured) -> String| {
        page::row(what, cell(&killed), &[cell(&drained)], "");
    };
    row("requests", &|load| page::count(load.offered));
    row("requests lost", &|load| page::count(load.errors));
    row("half waited at most", &|load| page::millis(load.p50()));
    page::figure("finished after it was told to leave", page::count(leaves.finished as u64));
    page::figure("lost by it", page::count(leaves.lost as u64));
    Ok(())
}

/// Works for a while, drawn beforehand.
#[derive(Clone)]
struct Shop;

impl Service<Duration> for Shop {
    type Response = ();
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<(), Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, work: Duration) -> Self::Future {
        Box::pin(async move {
            tokio::time::sleep(work).await;
            Ok(())
        })
    }
}

/// A copy that listens: as long as its listener is open, whoever comes is served.
struct Listening {
    health: Arc<Vitals>,
    shop: Counted<Vitals, Shop>,
    open: AtomicBool,
    /// Raised when the process is gone, with all that it had under way.
    gone: watch::Sender<bool>,
    /// Whether the balancer sends requests here.
    chosen: AtomicBool,
}

impl Listening {
    fn begin() -> Listening {
        let health = Arc::new(service(Vec::new()));
        let shop = DrainLayer::new(Arc::clone(&health)).layer(Shop);
        let (open, chosen) = (AtomicBool::new(true), AtomicBool::new(true));
        Listening { health, shop, open, gone: watch::Sender::new(false), chosen }
    }

    async fn serve(&self, work: Duration) -> anyhow::Result<()> {
        anyhow::ensure!(self.open.load(Ordering::SeqCst), "connection refused");
        let (mut shop, mut gone) = (self.shop.clone(), self.gone.subscribe());
        tokio::select! {
            Ok(()) = shop.call(work) => Ok(()),
            _ = gone.wait_for(|gone| *gone) => anyhow::bail!("connection reset"),
        }
    }

    async fn leave(&self, exit: Exit) -> Drained {
        if exit == Exit::Drained {
            self.health.drain();
            // Twice as long as the balancer takes to look.
            tokio::time::sleep(EVERY * 2).await;
        }
        self.open.store(false, Ordering::SeqCst);
        let within = if exit == Exit::Drained { Duration::from_secs(5) } else { Duration::ZERO };
        let drained = self.health.drained(within).await;
        self.gone.send_replace(true);
        drained
    }

    /// A process that is gone answers no probe.
    async fn is_ready(&self) -> bool {
        self.open.load(Ordering::SeqCst) && self.health.ready().await.status != Status::Fail
    }
}

async fn deploy(seed: u64, exit: Exit) -> (Measured, Drained) {
    let copies: Arc<Vec<_>> = Arc::new((0..COPIES).map(|_| Listening::begin()).collect());
    let looking = tokio::spawn({
        let copies = Arc::clone(&copies);
        async move {
            loop {
                for copy in copies.iter() {
                    copy.chosen.store(copy.is_ready().await, Ordering::SeqCst);
                }
                tokio::time::sleep(EVERY).await;
            }
        }
    });
    let keys = Zipf::new(51, 0.0);
    let load = Load { rate: 400.0, duration: Duration::from_millis(1_000), seed, keys };
    let running = load.run({
        let copies = Arc::clone(&copies);
        move |arrival| {
            let copies = Arc::clone(&copies);
            async move {
                let chosen: Vec<_> =
                    copies.iter().filter(|copy| copy.chosen.load(Ordering::SeqCst)).collect();
                let copy = chosen[arrival.index as usize % chosen.len()];
                copy.serve(Duration::from_millis(10 + arrival.key as u64)).await
            }
        }
    });
    let leaving = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        copies[0].leave(exit).await
    };
    let ended = tokio::join!(running, leaving);
    looking.abort();
    ended
}
