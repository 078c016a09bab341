//! Many probes, and a report that is good for a while.

use super::scene::{AN_HOUR, PATIENT, PROBER, Scene, Stand, at_once, brief};
use circuit_breakers::health_checks::{Config, Health, Report, Status};
use grading::{Evidence, Finding, SOON, World, comes_to};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testbed::gate::Gate;
use tokio::task::JoinHandle;

const PROBES: usize = 100;

/// A probe in a task of its own. `waiting` counts it once it has asked and has to wait.
fn probe<S: Health>(health: &Arc<S>, waiting: &Arc<AtomicUsize>) -> JoinHandle<Report> {
    let (health, waiting) = (Arc::clone(health), Arc::clone(waiting));
    tokio::spawn(async move {
        let mut ready = pin!(health.ready());
        let mut told = false;
        poll_fn(|context| {
            let answer = ready.as_mut().poll(context);
            if !std::mem::replace(&mut told, true) {
                waiting.fetch_add(1, Ordering::SeqCst);
            }
            answer
        })
        .await
    })
}

async fn all_wait(waiting: &AtomicUsize, expected: usize) -> Result<(), Finding> {
    let began = Instant::now();
    while waiting.load(Ordering::SeqCst) < expected {
        if began.elapsed() > SOON {
            return Err(Finding::inconclusive("the probes did not get as far as to ask"));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

pub(super) async fn flood_is_one_round<S: Health>(world: World) -> Result<(), Finding> {
    let database = Stand::held(&world, "database", Gate::shut());
    let config = Config { timeout: PATIENT, fresh_for: Duration::ZERO };
    let scene = Scene::<S>::running(&world, config, vec![database.critical()]);
    let waiting = Arc::default();
    let call = scene.history.invoke(PROBER, format!("ready(), {PROBES} times at once"));
    let mut first = probe(&scene.health, &waiting);
    comes_to(database.gate(), &mut first).await?;
    let others: Vec<_> = (1..PROBES).map(|_| probe(&scene.health, &waiting)).collect();
    all_wait(&waiting, PROBES).await?;
    database.gate().open();
    for probe in std::iter::once(first).chain(others) {
        let Ok(report) = tokio::time::timeout(SOON, probe).await else {
            return Err(Evidence::new("an answer for each probe", "none").into());
        };
        let report = report?;
        if report.status != Status::Pass {
            return Err(Evidence::new("pass, for all is well", brief(&report)).into());
        }
    }
    call.ok("pass, for all of them");
    database.was_asked(1, "one round is for all who wait for it")
}

pub(super) async fn fresh_is_shared<S: Health>(world: World) -> Result<(), Finding> {
    for broken in [false, true] {
        world.history().turn_page();
        let database = Stand::up(&world, "database");
        let config = Config { timeout: PATIENT, fresh_for: AN_HOUR };
        let scene = Scene::<S>::running(&world, config, vec![database.critical()]);
        database.breaks(broken);
        let status = if broken { Status::Fail } else { Status::Pass };
        for _ in 0..3 {
            scene.must(status, "as the database is").await?;
        }
        database.was_asked(1, "a report is good for an hour here")?;
    }
    Ok(())
}

pub(super) async fn fresh_for_no_longer<S: Health>(world: World) -> Result<(), Finding> {
    const FRESH: Duration = Duration::from_millis(60);
    let database = Stand::up(&world, "database");
    let config = Config { timeout: PATIENT, fresh_for: FRESH };
    let scene = Scene::<S>::running(&world, config, vec![database.critical()]);
    scene.must(Status::Pass, "the database is well").await?;
    for _ in 0..2 {
        for (broken, status) in [(true, Status::Fail), (false, Status::Pass)] {
            database.breaks(broken);
            // The end of a sleep is late and never early: what was fresh is not so any more.
            tokio::time::sleep(FRESH + Duration::from_millis(10)).await;
            scene.must(status, "the report before this one is too old by now").await?;
        }
    }
    Ok(())
}

pub(super) async fn fresh_from_its_end<S: Health>(world: World) -> Result<(), Finding> {
    const FRESH: Duration = Duration::from_millis(300);
    for _ in 0..5 {
        world.history().turn_page();
        let database = Stand::held(&world, "database", Gate::shut());
        let config = Config { timeout: PATIENT, fresh_for: FRESH };
        let scene = Scene::<S>::running(&world, config, vec![database.critical()]);
        let waiting = Arc::default();
        let mut first = probe(&scene.health, &waiting);
        comes_to(database.gate(), &mut first).await?;
        // It takes longer to answer than its answer is good for.
        tokio::time::sleep(FRESH + Duration::from_millis(20)).await;
        let ended = Instant::now();
        database.gate().open();
        let report = first.await?;
        if report.status != Status::Pass {
            return Err(scene.not("pass: it was slow, and in time", &report));
        }
        scene.must(Status::Pass, "all is well").await?;
        if ended.elapsed() < FRESH {
            return database.was_asked(1, "its answer is good from when it was there");
        }
    }
    Err(Finding::inconclusive("the machine is too busy to ask again within 300 ms"))
}

pub(super) async fn prober_hangs_up<S: Health>(world: World) -> Result<(), Finding> {
    for (lane, with_others) in [(PROBER, false), (PROBER, true)] {
        world.history().turn_page();
        let database = Stand::held(&world, "database", Gate::shut());
        let scene = Scene::<S>::running(&world, at_once(PATIENT), vec![database.critical()]);
        let waiting = Arc::default();
        let call = scene.history.invoke(lane, "ready(), the first");
        let mut first = probe(&scene.health, &waiting);
        comes_to(database.gate(), &mut first).await?;
        let mut others = Vec::new();
        if with_others {
            others.extend((0..3).map(|_| probe(&scene.health, &waiting)));
            all_wait(&waiting, 4).await?;
        }
        first.abort();
        // It has gone when it has been joined.
        let _ = first.await;
        call.unknown("hangs up");
        if !with_others {
            others.push(probe(&scene.health, &waiting));
            all_wait(&waiting, 2).await?;
        }
        database.gate().open();
        for other in others {
            let Ok(report) = tokio::time::timeout(PATIENT + SOON / 3, other).await else {
                let expected = "an answer for those who still wait";
                let step = scene.last_answer();
                return Err(Evidence::new(expected, "none: they wait for who hung up")
                    .at(step)
                    .into());
            };
            let report = report?;
            if report.status != Status::Pass {
                return Err(Evidence::new("pass, for all is well", brief(&report)).into());
            }
        }
        scene.must(Status::Pass, "all is well, for later probes too").await?;
    }
    Ok(())
}
