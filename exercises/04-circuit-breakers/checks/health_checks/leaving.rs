//! The way out: not ready first, then nobody is lost, or it is said how many.

use super::scene::{AN_HOUR, PATIENT, PROBER, Scene, Stand, at_once};
use circuit_breakers::health_checks::{Config, DrainLayer, Drained, Health, Status};
use grading::{Evidence, Finding, History, SOON, World, comes_to};
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use testbed::gate::Gate;
use tokio::task::JoinHandle;
use tower_layer::Layer;
use tower_service::Service;

pub(super) async fn drain_fails_readiness<S: Health>(world: World) -> Result<(), Finding> {
    let database = Stand::up(&world, "database");
    let config = Config { timeout: PATIENT, fresh_for: AN_HOUR };
    let scene = Scene::<S>::running(&world, config, vec![database.critical()]);
    scene.must(Status::Pass, "all is well").await?;
    scene.history.note(PROBER, "(drain)");
    scene.health.drain();
    for why in ["it is leaving, whatever the last report said", "a late start undoes no drain"] {
        scene.must(Status::Fail, why).await?;
        scene.lives("it has work to finish, and who is killed finishes nothing")?;
        scene.history.note(PROBER, "(started, once more)");
        scene.health.started();
    }
    scene.health.drain();
    scene.must(Status::Fail, "a second drain changes nothing").await?;
    database.was_asked(1, "who leaves has no use for the answer")
}

pub(super) async fn drain_during_a_probe<S: Health>(world: World) -> Result<(), Finding> {
    let database = Stand::held(&world, "database", Gate::shut());
    let scene = Scene::<S>::running(&world, at_once(PATIENT), vec![database.critical()]);
    let call = scene.history.invoke(PROBER, "ready()");
    let health = Arc::clone(&scene.health);
    let mut probe = tokio::spawn(async move { health.ready().await });
    comes_to(database.gate(), &mut probe).await?;
    let drained = scene.history.note("service", "drain()");
    scene.health.drain();
    database.gate().open();
    let Ok(report) = tokio::time::timeout(PATIENT + SOON / 3, probe).await else {
        return Err(Evidence::new("an answer", "none").at(drained).into());
    };
    let report = report?;
    let step = call.ok(super::scene::brief(&report));
    if report.status == Status::Fail {
        return Ok(());
    }
    let expected = "fail: by the time of the answer it was leaving";
    Err(Evidence::new(expected, super::scene::brief(&report)).at(drained).at(step).into())
}

/// What a customer's request does.
#[derive(Clone, Copy, PartialEq)]
enum Work {
    Answers,
    Panics,
}

/// Serves as soon as the gate is open.
#[derive(Clone)]
struct Shop {
    gate: Gate,
}

impl Service<Work> for Shop {
    type Response = ();
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<(), Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, work: Work) -> Self::Future {
        let gate = self.gate.clone();
        Box::pin(async move {
            gate.pass().await;
            assert!(work == Work::Answers, "a handler that meets what it did not expect");
            Ok(())
        })
    }
}

/// A request through the drain layer that has come as far as `gate`.
async fn request<S: Health>(
    health: &Arc<S>,
    gate: &Gate,
    work: Work,
) -> Result<JoinHandle<()>, Finding> {
    let mut shop = DrainLayer::new(Arc::clone(health)).layer(Shop { gate: gate.clone() });
    let came = gate.count();
    let served = tokio::spawn(async move {
        let Ok(()) = shop.call(work).await;
    });
    gate.arrived(came + 1, SOON).await?;
    Ok(served)
}

fn brief(drained: Drained) -> String {
    format!("{} finished, {} lost", drained.finished, drained.lost)
}

/// Waits for the end of a drain, which is due.
async fn ends(
    history: &History,
    drain: impl Future<Output = Drained>,
    expected: Drained,
) -> Result<(), Finding> {
    let Ok(saw) = tokio::time::timeout(SOON, drain).await else {
        let step = history.note("service", "drained() = ? no answer");
        let evidence = Evidence::new(format!("drained: {}", brief(expected)), "it still waits");
        return Err(evidence.at(step).into());
    };
    let step = history.note("service", format!("drained() = {}", brief(saw)));
    if saw == expected {
        return Ok(());
    }
    Err(Evidence::new(brief(expected), brief(saw)).at(step).into())
}

/// Holds that a drain has not ended, since somebody is under way.
async fn goes_on(
    history: &History,
    drain: Pin<&mut impl Future<Output = Drained>>,
    under_way: usize,
) -> Result<(), Finding> {
    match tokio::time::timeout(Duration::from_millis(30), drain).await {
        Err(_) => Ok(()),
        Ok(saw) => {
            let step = history.note("service", format!("drained() = {}", brief(saw)));
            let expected = format!("that it waits: {under_way} under way");
            Err(Evidence::new(expected, brief(saw)).at(step).into())
        }
    }
}

pub(super) async fn under_way_is_waited_for<S: Health>(world: World) -> Result<(), Finding> {
    let history = world.history();
    let scene = Scene::<S>::running(&world, at_once(PATIENT), Vec::new());
    let health = &scene.health;
    let gates = [Gate::shut(), Gate::shut(), Gate::shut(), Gate::shut()];
    let [early, first, second, late] = &gates;
    // These are served before anybody thinks of leaving.
    let mut served = Vec::new();
    for _ in 0..3 {
        served.push(request(health, early, Work::Answers).await?);
    }
    early.open();
    for request in served {
        request.await?;
    }
    history.note("customer", "(3 requests, answered)");
    let first_one = request(health, first, Work::Answers).await?;
    let second_one = request(health, second, Work::Answers).await?;
    history.note("customer", "2 requests under way");
    history.note("service", "drain()");
    health.drain();
    let late_one = request(health, late, Work::Answers).await?;
    history.note("customer", "a third, that has not heard of it");
    first.open();
    first_one.await?;
    history.note("customer", "the first is answered");
    let mut drain = pin!(health.drained(Duration::from_secs(600)));
    goes_on(history, drain.as_mut(), 2).await?;
    second.open();
    second_one.await?;
    history.note("customer", "the second is answered");
    goes_on(history, drain.as_mut(), 1).await?;
    late.open();
    late_one.await?;
    history.note("customer", "the third is answered");
    ends(history, drain, Drained { finished: 3, lost: 0 }).await
}

pub(super) async fn lost_are_counted<S: Health>(world: World) -> Result<(), Finding> {
    const WITHIN: Duration = Duration::from_millis(80);
    let history = world.history();
    let scene = Scene::<S>::running(&world, at_once(PATIENT), Vec::new());
    let mut under_way: Vec<_> = (0..5).map(|_| scene.health.enter()).collect();
    history.note("customer", "5 requests under way");
    scene.health.drain();
    history.note("service", "drain()");
    under_way.truncate(3);
    history.note("customer", "2 are answered, 3 hang");
    let began = Instant::now();
    let drain = scene.health.drained(WITHIN);
    ends(history, drain, Drained { finished: 2, lost: 3 }).await?;
    if began.elapsed() < WITHIN {
        let saw = format!("{:?}", began.elapsed());
        return Err(Evidence::new(format!("{WITHIN:?} for those that hang"), saw).into());
    }
    drop(under_way);
    // `drained` is enough to begin a drain.
    let scene = Scene::<S>::running(&world, at_once(PATIENT), Vec::new());
    ends(history, scene.health.drained(WITHIN), Drained::default()).await?;
    scene.must(Status::Fail, "it was drained").await.map(drop)
}

pub(super) async fn drained_twice<S: Health>(world: World) -> Result<(), Finding> {
    const WITHIN: Duration = Duration::from_millis(60);
    let history = world.history();
    let scene = Scene::<S>::running(&world, at_once(PATIENT), Vec::new());
    let under_way = scene.health.enter();
    history.note("customer", "1 request under way");
    // One that goes away while it waits, two that wait, and one with less patience.
    let mut gone = Box::pin(scene.health.drained(Duration::from_secs(600)));
    goes_on(history, gone.as_mut(), 1).await?;
    drop(gone);
    let mut first = pin!(scene.health.drained(Duration::from_secs(600)));
    let mut second = pin!(scene.health.drained(Duration::from_secs(600)));
    goes_on(history, first.as_mut(), 1).await?;
    goes_on(history, second.as_mut(), 1).await?;
    ends(history, scene.health.drained(WITHIN), Drained { finished: 0, lost: 1 }).await?;
    drop(under_way);
    history.note("customer", "it is answered");
    ends(history, first, Drained { finished: 1, lost: 0 }).await?;
    ends(history, second, Drained { finished: 1, lost: 0 }).await
}

pub(super) async fn who_breaks_off<S: Health>(world: World) -> Result<(), Finding> {
    let history = world.history();
    let scene = Scene::<S>::running(&world, at_once(PATIENT), Vec::new());
    let (gate, never) = (Gate::shut(), Gate::shut());
    let panics = request(&scene.health, &gate, Work::Panics).await?;
    let hangs_up = request(&scene.health, &never, Work::Answers).await?;
    history.note("customer", "2 requests under way");
    history.note("service", "drain()");
    scene.health.drain();
    gate.open();
    if panics.await.is_ok() {
        return Err(Finding::inconclusive("the handler did not panic"));
    }
    history.note("customer", "one panics");
    hangs_up.abort();
    if hangs_up.await.is_ok() {
        return Err(Finding::inconclusive("the request was answered, and not broken off"));
    }
    history.note("customer", "one hangs up");
    let drain = scene.health.drained(Duration::from_secs(600));
    ends(history, drain, Drained { finished: 2, lost: 0 }).await
}
