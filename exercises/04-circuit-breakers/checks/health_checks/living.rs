//! The two questions: who is alive, and who is ready.

use super::scene::{PATIENT, Scene, Stand, at_once, own_redis_at, redis_at, seen};
use circuit_breakers::health_checks::{Dependency, Health, Status};
use grading::{Evidence, Finding, World};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use testbed::gate::Gate;

pub(super) async fn liveness_asks_nobody<S: Health>(world: World) -> Result<(), Finding> {
    let proxy = world.client("redis").await?;
    let quick = Duration::from_millis(100);
    let (redis, asked) = (redis_at(proxy.url())?, Arc::new(AtomicUsize::new(0)));
    // Counted where it is asked, and not on the wire, where a question may be late.
    let redis = Dependency::critical("redis", {
        let asked = Arc::clone(&asked);
        move || {
            asked.fetch_add(1, Ordering::SeqCst);
            redis.ask()
        }
    });
    let scene = Scene::<S>::starting(&world, at_once(quick), vec![redis]);
    let silent = async |why: &str| {
        let before = asked.load(Ordering::SeqCst);
        for _ in 0..5 {
            scene.lives(why)?;
        }
        // What it has started by the way begins to ask when it comes by.
        tokio::time::sleep(Duration::from_millis(10)).await;
        match asked.load(Ordering::SeqCst) - before {
            0 => Ok(()),
            more => {
                let expected = "no question to Redis: its faults are not the process's";
                let step = scene.history.last("redis", "PING");
                Err(Finding::from(Evidence::new(expected, format!("{more} of them")).at(step)))
            }
        }
    };
    silent("it is starting, and answers").await?;
    scene.health.started();
    scene.comes_back("the start").await?;
    silent("all is well").await?;

    world.history().turn_page();
    let band = world.fault("Redis hangs");
    proxy.stall();
    scene.goes("Redis hangs").await?;
    silent("a restart would not wake Redis").await?;
    proxy.resume();
    drop(band);
    scene.comes_back("Redis goes on").await?;

    world.history().turn_page();
    let band = world.fault("Redis is gone");
    proxy.refuse();
    scene.goes("Redis is gone").await?;
    silent("a restart would not bring Redis back").await?;
    drop(band);
    scene.health.drain();
    silent("it is leaving, and has work to finish").await
}

pub(super) async fn not_ready_before_start<S: Health>(world: World) -> Result<(), Finding> {
    let database = Stand::held(&world, "database", Gate::shut());
    let scene = Scene::<S>::starting(&world, at_once(PATIENT / 2), vec![database.critical()]);
    for _ in 0..2 {
        scene.must(Status::Fail, "it is starting").await?;
        scene.lives("who is restarted because it starts never gets to its end")?;
    }
    database.was_asked(0, "the service has not even started")?;
    database.gate().open();
    scene.health.started();
    scene.must(Status::Pass, "it has started, and all is well").await?;
    scene.lives("all is well")
}

pub(super) async fn redis_comes_back<S: Health>(world: World) -> Result<(), Finding> {
    let redis = testbed::redis::process().await?;
    let dependency = own_redis_at(&world, redis.url())?;
    let scene = Scene::<S>::running(&world, at_once(PATIENT), vec![dependency]);
    scene.comes_back("the start").await?;
    for _ in 0..2 {
        redis.kill().await?;
        let band = world.fault("Redis is killed");
        let report = scene.must(Status::Fail, "Redis is dead").await?;
        let wrong = seen(&report, "redis")?;
        if wrong.status != Status::Fail || wrong.output.as_ref().is_none_or(String::is_empty) {
            return Err(scene.not("redis as what fails, and why", &report));
        }
        scene.lives("only Redis is dead")?;
        redis.restart().await?;
        drop(band);
        scene.comes_back("Redis came back").await?;
        world.history().turn_page();
    }
    Ok(())
}
