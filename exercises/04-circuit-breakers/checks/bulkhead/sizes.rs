//! How many may be inside, how many may wait, and for how long.

use super::scene::{Answer, LONG, Scene, poll_once};
use circuit_breakers::bulkhead::{Bulkhead, Config, Counts, Full};
use grading::{Evidence, Finding, SOON, World};
use rand::RngExt;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

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

pub(super) async fn wait_is_configured<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let patience = 8 * BRIEF;
    // A timer may be early by as much as it rounds.
    let rounded = Duration::from_millis(2);
    let patient = Config { places: 1, queue: 1, longest_wait: patience };
    let scene = Scene::<B>::with(world, patient);
    let holder = scene.gets_in(0).await?;
    let hasty = B::new(Config { longest_wait: BRIEF, ..patient });
    let mut holds = pin!(hasty.call(std::future::pending::<()>()));
    if let Some(answer) = poll_once(holds.as_mut()).await {
        return Err(Evidence::new("a place, for it is free", format!("{answer:?}")).into());
    }
    let began = Instant::now();
    let mut first = scene.queues(1).await?;
    // Where one length is for all, the first who came is the first who has to go.
    tokio::time::sleep(BRIEF).await;
    let (note, second) =
        (|text| scene.world.history().note("another bulkhead", text), Instant::now());
    let called = note("2 calls");
    tokio::select! {
        // On a slow machine both may be over. Then the one that had to be first is looked at first.
        biased;
        answer = tokio::time::timeout(SOON, hasty.call(async {})) => {
            let waited = second.elapsed();
            let step = note("2 has its answer");
            if answer != Ok(Err(Full::Waited(BRIEF))) || waited + rounded < BRIEF {
                let expected = format!("2 to be told after {BRIEF:?} that no place came free");
                let saw = format!("{answer:?} after {waited:?}");
                return Err(Evidence::new(expected, saw).at(called).at(step).into());
            }
        }
        ended = &mut first.task => {
            let Answer { answer, step } = ended?;
            let expected = format!("2 to go first, which waits for {BRIEF:?}, and 1 {patience:?}");
            let saw = format!("1 was told {answer:?} after {:?}", began.elapsed());
            return Err(Evidence::new(expected, saw).at(called).at(step).into());
        }
    }
    let Ok(ended) = tokio::time::timeout(SOON, first.task).await else {
        let expected = format!("1 to be told after {patience:?} that no place came free");
        return Err(Evidence::new(expected, "it still waits").into());
    };
    let Answer { answer, step } = ended?;
    let waited = began.elapsed();
    if answer != Err(Full::Waited(patience)) || waited + rounded < patience {
        let expected = format!("1 to be told after {patience:?} that no place came free");
        return Err(Evidence::new(expected, format!("{answer:?} after {waited:?}"))
            .at(step)
            .into());
    }
    scene.ends(holder).await
}

pub(super) async fn no_places<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let scene = Scene::<B>::with(world, Config { places: 0, queue: 0, longest_wait: BRIEF });
    scene.is_refused(0, "a refusal at once: there are no places, and nobody may wait").await?;
    let scene = Scene::<B>::with(scene.world, Config { places: 0, queue: 1, longest_wait: BRIEF });
    let mut waits = scene.calls(1);
    let Ok(ended) = tokio::time::timeout(SOON, &mut waits.task).await else {
        let saw = if waits.gate.count() == 0 { "it still waits" } else { "it was called" };
        return Err(Evidence::new("1 to be told that no place came free", saw).into());
    };
    let Answer { answer, step } = ended?;
    if answer != Err(Full::Waited(BRIEF)) {
        let expected = "1 to be told that no place came free";
        return Err(Evidence::new(expected, format!("{answer:?}")).at(step).into());
    }
    scene.was_not_called(&waits, step)
}

pub(super) async fn any_size<B: Bulkhead>(world: World) -> Result<(), Finding> {
    let no_limit = Config { places: usize::MAX, queue: usize::MAX, longest_wait: Duration::MAX };
    let scene = Scene::<B>::with(world, no_limit);
    let mut inside = Vec::new();
    for who in 0..3 {
        inside.push(scene.gets_in(who).await?);
    }
    scene.tells("three at work", Counts { inside: 3, waiting: 0, refused: 0 }).await?;
    for caller in inside {
        scene.ends(caller).await?;
    }
    // One place, and whoever comes may wait for as long as it takes.
    let scene = Scene::<B>::with(scene.world, Config { places: 1, ..no_limit });
    let first = scene.gets_in(10).await?;
    let mut second = scene.queues(11).await?;
    scene.ends(first).await?;
    scene.is_at_work(&mut second).await?;
    scene.ends(second).await?;
    scene.tells("all have gone", Counts::default()).await?;
    // Large, and zero for whoever counts in half as many bits.
    let places = 1_usize.checked_shl(32).unwrap_or(usize::MAX);
    let scene = Scene::<B>::with(scene.world, Config { places, queue: 0, ..no_limit });
    let first = scene.gets_in(20).await?;
    scene.ends(first).await
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
    // It has the same size: that is no reason to be the same.
    let other = Arc::new(B::new(Config { places, queue, longest_wait: LONG }));
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
    // And whoever fills this one finds all of its places and all of its queue, and nobody else.
    let mut fills = JoinSet::new();
    for _ in 0..places + queue {
        let other = Arc::clone(&other);
        fills.spawn(async move { other.call(std::future::pending::<()>()).await });
    }
    let full = Counts { inside: places, waiting: queue, refused: 0 };
    let fills_up = async {
        while other.counts() != full {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    if tokio::time::timeout(SOON, fills_up).await.is_err() {
        let counts = format!("{:?}", other.counts());
        let step = scene.world.history().note("the other dependency", counts.clone());
        let expected = format!("places and queue of its own, for {} calls: {full:?}", fills.len());
        return Err(Evidence::new(expected, counts).at(step).into());
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
