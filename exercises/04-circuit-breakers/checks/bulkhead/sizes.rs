//! How many may be inside, how many may wait, and for how long.

use super::scene::{Answer, LONG, Scene};
use circuit_breakers::bulkhead::{Bulkhead, Config, Counts, Full};
use grading::{Evidence, Finding, SOON, World};
use rand::RngExt;
use std::time::Duration;

/// For those who are to wait in vain.
const BRIEF: Duration = Duration::from_millis(60);

pub(super) async fn never_more_than_places<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let mut random = world.random();
    let (places, queue) = (random.random_range(1..4), random.random_range(3..6));
    let scene = Scene::<B>::set(world, places, queue);
    let mut inside = Vec::new();
    for who in 0..places {
        inside.push(scene.gets_in(who).await?);
    }
    let mut behind = Vec::new();
    for who in places..places + queue {
        behind.push(scene.queues(who).await?);
    }
    // One after the other goes, and never are there more.
    for mut caller in inside.into_iter().chain(behind) {
        scene.is_at_work(&mut caller).await?;
        scene.ends(caller).await?;
        scene.kept_to(places)?;
    }
    let began = scene.dependency.began().len();
    match began == places + queue {
        true => Ok(()),
        false => {
            let saw = format!("{began} calls");
            Err(Evidence::new(format!("{} calls, one each", places + queue), saw).into())
        }
    }
}

pub(super) async fn every_place_is_used<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let places = world.random().random_range(2..5);
    // Nobody may wait here, so whoever needs room in the queue on the way in has none.
    let scene = Scene::<B>::set(world, places, 0);
    let mut inside = Vec::new();
    for who in 0..places {
        inside.push(scene.gets_in(who).await?);
    }
    scene.is_refused(places, "a refusal at once: places taken, and nobody may wait").await?;
    // And again, with the places that came back.
    for caller in inside {
        scene.ends(caller).await?;
    }
    let mut inside = Vec::new();
    for who in 10..10 + places {
        inside.push(scene.gets_in(who).await?);
    }
    for caller in inside {
        scene.ends(caller).await?;
    }
    scene.kept_to(places)
}

pub(super) async fn queue_is_bounded<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let mut random = world.random();
    let (places, queue) = (random.random_range(1..3), random.random_range(1..4));
    let scene = Scene::<B>::set(world, places, queue);
    let mut inside = Vec::new();
    for who in 0..places {
        inside.push(scene.gets_in(who).await?);
    }
    let mut behind = Vec::new();
    for who in places..places + queue {
        behind.push(scene.queues(who).await?);
    }
    let expected = "a refusal at once: places taken, queue full";
    for who in 100..103 {
        scene.is_refused(who, expected).await?;
    }
    // One goes, one moves up, and there is room for one, and not for two.
    let first = inside.swap_remove(0);
    scene.ends(first).await?;
    let mut moved = behind.remove(0);
    scene.is_at_work(&mut moved).await?;
    behind.push(scene.queues(200).await?);
    scene.is_refused(201, expected).await?;
    for mut caller in inside.into_iter().chain([moved]).chain(behind) {
        scene.is_at_work(&mut caller).await?;
        scene.ends(caller).await?;
    }
    scene.kept_to(places)
}

pub(super) async fn longest_wait<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let config = Config { places: 1, queue: 2, longest_wait: BRIEF };
    let scene = Scene::<B>::with(world, config);
    let holder = scene.gets_in(0).await?;
    for who in [1, 2, 3] {
        let mut waits = scene.calls(who);
        let expected = format!("{who} to be told that no place came free in {BRIEF:?}");
        let calls = scene.world.history().last("callers", &format!("{who} calls"));
        let Ok(ended) = tokio::time::timeout(SOON, &mut waits.task).await else {
            let saw = match waits.gate.count() {
                0 => format!("it still waits after {SOON:?}"),
                _ => "it was called".to_owned(),
            };
            return Err(Evidence::new(expected, saw).at(calls).into());
        };
        let Answer { answer, step } = ended?;
        if answer != Err(Full::Waited(BRIEF)) {
            let saw = format!("{answer:?}");
            return Err(Evidence::new(expected, saw).at(calls).at(step).into());
        }
        scene.was_not_called(&waits, step)?;
        // It has left the queue: otherwise the third finds it full.
        scene.waiting(0).await?;
    }
    scene.ends(holder).await?;
    // Nor does a place go to those who gave up.
    let next = scene.gets_in(4).await?;
    scene.ends(next).await?;
    scene.kept_to(1)
}

pub(super) async fn work_is_not_timed<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let config = Config { places: 1, queue: 1, longest_wait: BRIEF };
    let scene = Scene::<B>::with(world, config);
    let first = scene.gets_in(0).await?;
    // The clock of the first one began before that of the second. When the second is out of time,
    // so would be the first, if its work were timed.
    let second = scene.calls(1);
    match tokio::time::timeout(SOON, second.task).await {
        Ok(ended) if ended.as_ref().is_ok_and(|told| told.answer.is_err()) => {}
        Ok(ended) => {
            let Answer { answer, step } = ended?;
            let saw = format!("{answer:?}");
            return Err(Evidence::new("a second caller to be refused", saw).at(step).into());
        }
        Err(_) => {
            let saw = format!("it waits for more than {SOON:?}");
            return Err(Evidence::new("a second caller to give up", saw).into());
        }
    }
    tokio::time::sleep(BRIEF).await;
    scene.ends(first).await
}

pub(super) async fn one_for_each<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let mut random = world.random();
    let (places, queue) = (random.random_range(1..3), random.random_range(1..3));
    let scene = Scene::<B>::set(world, places, queue);
    let other = B::new(Config { places: 1, queue: 0, longest_wait: LONG });
    let mut held = Vec::new();
    for who in 0..places {
        held.push(scene.gets_in(who).await?);
    }
    for who in places..places + queue {
        held.push(scene.queues(who).await?);
    }
    scene.is_refused(100, "a refusal at once: places taken, queue full").await?;
    let call = scene.world.invoke("the other dependency", "calls");
    let answer = tokio::time::timeout(SOON, other.call(async { 7 })).await;
    let expected = "an answer: the bulkhead that is full is not this one";
    match answer {
        Ok(Ok(7)) => call.ok("done"),
        Ok(answer) => {
            let step = call.fail(format!("{answer:?}"));
            return Err(Evidence::new(expected, format!("{answer:?}")).at(step).into());
        }
        Err(_) => {
            let step = call.fail("none");
            let saw = format!("nothing within {SOON:?}");
            return Err(Evidence::new(expected, saw).at(step).into());
        }
    };
    let refused = other.counts().refused;
    if refused != 0 {
        let saw = format!("refused: {refused}");
        return Err(Evidence::new("the other's counts to be its own", saw).into());
    }
    for mut caller in held {
        scene.is_at_work(&mut caller).await?;
        scene.ends(caller).await?;
    }
    Ok(())
}

pub(super) async fn counts_tell<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let scene = Scene::<B>::set(world, 2, 1);
    scene.tells("nobody has come", Counts::default()).await?;
    let first = scene.gets_in(0).await?;
    scene.tells("one at work", Counts { inside: 1, waiting: 0, refused: 0 }).await?;
    let second = scene.gets_in(1).await?;
    scene.tells("two at work", Counts { inside: 2, waiting: 0, refused: 0 }).await?;
    let waits = scene.queues(2).await?;
    scene.tells("and one waits", Counts { inside: 2, waiting: 1, refused: 0 }).await?;
    scene.is_refused(3, "a refusal at once: places taken, queue full").await?;
    scene.tells("one was refused", Counts { inside: 2, waiting: 1, refused: 1 }).await?;
    scene.leaves(waits).await?;
    let what = "who waited has gone, and was not refused";
    scene.tells(what, Counts { inside: 2, waiting: 0, refused: 1 }).await?;
    scene.leaves(second).await?;
    scene.ends(first).await?;
    scene.tells("all have gone", Counts { inside: 0, waiting: 0, refused: 1 }).await?;

    let config = Config { places: 1, queue: 1, longest_wait: BRIEF };
    let scene = Scene::<B>::with(scene.world, config);
    let holder = scene.gets_in(10).await?;
    let gave_up = scene.calls(11).task.await?;
    if gave_up.answer != Err(Full::Waited(BRIEF)) {
        let saw = format!("{:?}", gave_up.answer);
        return Err(Evidence::new("it to give up", saw).at(gave_up.step).into());
    }
    let what = "who gave up after its wait was refused";
    scene.tells(what, Counts { inside: 1, waiting: 0, refused: 1 }).await?;
    scene.ends(holder).await
}
