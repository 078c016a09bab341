//! How dependencies are asked: at once, in time, and no longer.

use super::scene::{PATIENT, PROBER, Scene, Stand, at_once, own_redis_at, seen, well};
use circuit_breakers::health_checks::{Config, Dependency, Drained, Health, Status};
use grading::{Evidence, Finding, SOON, World};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testbed::gate::Gate;

pub(super) async fn hanging_redis<S: Health>(world: World) -> Result<(), Finding> {
    const TIMEOUT: Duration = Duration::from_millis(200);
    let redis = testbed::redis::process().await?;
    let dependency = own_redis_at(&world, redis.url())?;
    let scene = Scene::<S>::running(&world, at_once(TIMEOUT), vec![dependency]);
    scene.comes_back("the start").await?;
    world.history().turn_page();
    redis.stop_process().await?;
    let band = world.fault("Redis is stopped (SIGSTOP): connections stay open, nothing answers");
    for _ in 0..2 {
        // A busy machine may be late, by no more than this.
        let report = scene.ready_within(TIMEOUT + Duration::from_secs(1)).await?;
        if report.status != Status::Fail {
            return Err(scene.not("fail: Redis does not answer", &report));
        }
        let took = seen(&report, "redis")?.took;
        // Whole milliseconds are precise enough for people.
        if took + Duration::from_millis(1) < TIMEOUT {
            let expected = format!("{TIMEOUT:?}, for which Redis was waited for");
            return Err(Evidence::new(expected, format!("{took:?}"))
                .at(scene.last_answer())
                .into());
        }
        scene.lives("only Redis hangs")?;
    }
    redis.continue_process().await?;
    drop(band);
    scene.comes_back("Redis went on").await
}

pub(super) async fn all_at_once<S: Health>(world: World) -> Result<(), Finding> {
    // None of them answers before all have been asked.
    let barrier = Gate::barrier(3);
    let names = ["database", "redis", "bus"];
    let dependencies = names.map(|name| Stand::held(&world, name, barrier.clone()).critical());
    let scene = Scene::<S>::running(&world, at_once(PATIENT / 2), dependencies.into());
    let report = scene.must(Status::Pass, "each answers as soon as all have been asked").await?;
    for name in names {
        seen(&report, name)?;
    }
    Ok(())
}

pub(super) async fn hanging_together<S: Health>(world: World) -> Result<(), Finding> {
    const TIMEOUT: Duration = Duration::from_millis(200);
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let hang = |name| Dependency::critical(name, std::future::pending);
    let scene = Scene::<S>::running(&world, at_once(TIMEOUT), names.map(hang).into());
    let band = world.fault("all eight hang");
    let began = Instant::now();
    let report = scene.must(Status::Fail, "nobody answers").await?;
    let took = began.elapsed();
    drop(band);
    for name in names {
        seen(&report, name)?;
    }
    // Five timeouts are a busy machine. Eight are one after the other.
    if took > TIMEOUT * 5 {
        let evidence = Evidence::new(format!("a report after {TIMEOUT:?}"), format!("{took:?}"));
        return Err(evidence.at(scene.last_answer()).into());
    }
    Ok(())
}

pub(super) async fn timeout_is_configured<S: Health>(world: World) -> Result<(), Finding> {
    let (short, long) = (Duration::from_millis(60), Duration::from_millis(600));
    let hangs = || vec![Dependency::critical("database", std::future::pending)];
    let patient = Scene::<S>::running(&world, at_once(long), hangs());
    let hasty = Scene::<S>::running(&world, at_once(short), hangs());
    let band = world.fault("the database hangs");
    let (began, health) = (Instant::now(), Arc::clone(&patient.health));
    let first = world.history().note(PROBER, format!("ready(), where it has {long:?}"));
    let mut waits = tokio::spawn(async move { health.ready().await });
    // Where one timeout is for all, the first that was asked is the first to answer.
    tokio::time::sleep(short).await;
    tokio::select! {
        // On a slow machine both may be over. Then the one that had to be first is looked at first.
        biased;
        report = hasty.must(Status::Fail, "the database does not answer") => drop(report?),
        report = &mut waits => {
            report?;
            let expected = format!("the first answer from who has {short:?}");
            let saw = format!("it is from who has {long:?}");
            return Err(Evidence::new(expected, saw).at(first).into());
        }
    }
    let Ok(report) = tokio::time::timeout(long + SOON, waits).await else {
        let evidence = Evidence::new(format!("an answer after {long:?}"), "none");
        return Err(evidence.at(first).into());
    };
    let (report, took) = (report?, began.elapsed());
    drop(band);
    if report.status != Status::Fail || took + Duration::from_millis(2) < long {
        let expected = format!("fail, after {long:?} for which it was waited for");
        let saw = format!("{} after {took:?}", super::scene::brief(&report));
        return Err(Evidence::new(expected, saw).at(first).into());
    }
    Ok(())
}

pub(super) async fn for_ever<S: Health>(world: World) -> Result<(), Finding> {
    let database = Stand::up(&world, "database");
    let config = Config { timeout: Duration::MAX, fresh_for: Duration::MAX };
    let scene = Scene::<S>::running(&world, config, vec![database.critical()]);
    for _ in 0..2 {
        let report = scene.ready_within(SOON).await?;
        let why = "pass, with the database: a timeout of for ever is none";
        if report.status != Status::Pass || seen(&report, "database").is_err() {
            return Err(scene.not(why, &report));
        }
    }
    database.was_asked(1, "its answer is good for ever")?;
    let drained = tokio::time::timeout(SOON, scene.health.drained(Duration::MAX)).await;
    let step = world.history().note("service", "drained(for ever)");
    match drained {
        Ok(drained) if drained == Drained::default() => Ok(()),
        drained => {
            let expected = "the end at once, for nothing is under way";
            Err(Evidence::new(expected, format!("{drained:?}")).at(step).into())
        }
    }
}

pub(super) async fn panicking_check<S: Health>(world: World) -> Result<(), Finding> {
    let asked = Arc::new(AtomicUsize::new(0));
    let database = Stand::up(&world, "database");
    let odd = Dependency::critical("odd", move || {
        let nth = asked.fetch_add(1, Ordering::SeqCst);
        // Before there is a future at all.
        assert!(nth != 0, "a check that cannot even be asked");
        async move {
            tokio::task::yield_now().await;
            assert!(nth != 1, "a check that meets what it did not expect");
            Ok(())
        }
    });
    let dependencies = vec![odd, database.critical()];
    let scene = Scene::<S>::running(&world, at_once(PATIENT), dependencies);
    for why in ["it panicked when it was asked", "it panicked on its way"] {
        let band = world.fault("the check of `odd` panics");
        let report = scene.must(Status::Fail, why).await?;
        drop(band);
        if seen(&report, "odd")?.status != Status::Fail {
            return Err(scene.not("`odd` as what fails", &report));
        }
        if seen(&report, "database")?.status != Status::Pass {
            return Err(scene.not("the database as it is: well", &report));
        }
        scene.lives("a bad check is no reason to die")?;
    }
    scene.must(Status::Pass, "it does not panic any more").await.map(drop)
}

/// Counts those that are there.
struct There(Arc<AtomicUsize>);

impl There {
    fn comes(there: &Arc<AtomicUsize>) -> There {
        there.fetch_add(1, Ordering::SeqCst);
        There(Arc::clone(there))
    }
}

impl Drop for There {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(super) async fn given_up<S: Health>(world: World) -> Result<(), Finding> {
    const ROUNDS: usize = 5;
    let (there, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let hangs = Dependency::critical("database", {
        let (there, asked) = (Arc::clone(&there), Arc::clone(&asked));
        move || {
            let there = There::comes(&there);
            asked.fetch_add(1, Ordering::SeqCst);
            async move {
                std::future::pending::<()>().await;
                drop(there);
                Ok(())
            }
        }
    });
    let other = Dependency::critical("redis", well);
    let timeout = Duration::from_millis(50);
    let scene = Scene::<S>::running(&world, at_once(timeout), vec![hangs, other]);
    let band = world.fault("the database hangs");
    for _ in 0..ROUNDS {
        scene.must(Status::Fail, "the database does not answer").await?;
    }
    drop(band);
    if asked.load(Ordering::SeqCst) < ROUNDS {
        return Err(Evidence::new(
            format!("{ROUNDS} rounds, for a report was good for nobody else"),
            format!("{}", asked.load(Ordering::SeqCst)),
        )
        .into());
    }
    let began = Instant::now();
    while there.load(Ordering::SeqCst) > 0 {
        if began.elapsed() > SOON {
            let left = there.load(Ordering::SeqCst);
            let expected = "no question left waiting: each of them holds a task, and a connection";
            let evidence = Evidence::new(expected, format!("{left} after {ROUNDS} rounds"));
            return Err(evidence.at(scene.last_answer()).into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
