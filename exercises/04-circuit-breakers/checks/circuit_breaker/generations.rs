//! Results that come too late to mean anything.

use super::scene::{GAP, HOUR, Held, MOMENT, ROUNDED, Scene, Word};
use circuit_breakers::circuit_breaker::{CircuitBreaker, State};
use grading::{Finding, World};
use std::time::Duration;

/// Calls that begin now, and will end in another generation: as many as would matter.
async fn early<S: CircuitBreaker>(scene: &Scene<S>, word: Word) -> Result<Vec<Held>, Finding> {
    let mut held = Vec::new();
    for _ in 0..scene.config.failures.max(scene.config.probes) {
        let mut call = scene.hold("early", word);
        call.is_in("it is closed").await?;
        held.push(call);
    }
    Ok(held)
}

pub(super) async fn late_success_while_open<S: CircuitBreaker>(
    world: World,
) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, HOUR, HOUR);
    let early = early(&scene, Word::Well).await?;
    scene.trip().await?;
    for call in early {
        call.ends().await?.ran("it was in already")?;
        scene.is(State::Open, "what succeeded had begun before")?;
    }
    scene.refused("it is open for an hour").await.map(|_| ())
}

pub(super) async fn late_success_is_no_probe<S: CircuitBreaker>(
    world: World,
) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, MOMENT, HOUR);
    let (well, not_found) =
        (early(&scene, Word::Well).await?, early(&scene, Word::NotFound).await?);
    let (impatient, panicking) =
        (early(&scene, Word::Well).await?, early(&scene, Word::Panic).await?);
    scene.trip_and_wait().await?;
    let probes = scene.hold_probes("probe").await?;
    for call in well {
        call.ends().await?.ran("it was in already")?;
        scene.is(State::HalfOpen, "no probe has ended yet")?;
    }
    scene.refused("all places are taken by probes").await?;
    for call in not_found {
        call.ends().await?.ran("it was in already")?;
    }
    scene.refused("all places are taken by probes, and who ended was none").await?;
    for call in impatient {
        call.hangs_up().await?;
    }
    scene.refused("all places are taken by probes, and who hung up was none").await?;
    for call in panicking {
        call.panics().await?;
    }
    scene.refused("all places are taken by probes, and who panicked was none").await?;
    for probe in probes {
        scene.is(State::HalfOpen, "not all of the probes have succeeded")?;
        probe.ends().await?.ran("it was in already")?;
    }
    scene.is(State::Closed, "all of the probes have succeeded")
}

pub(super) async fn late_success_ends_no_row<S: CircuitBreaker>(
    world: World,
) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, MOMENT, HOUR);
    let early = early(&scene, Word::Well).await?;
    scene.trip_and_wait().await?;
    scene.heal().await?;
    for _ in 1..scene.config.failures {
        scene.runs(Word::Ill, "it is not open yet").await?;
    }
    for call in early {
        call.ends().await?.ran("it was in already")?;
    }
    scene.runs(Word::Ill, "it is not open yet").await?;
    scene.is(State::Open, "so many in a row: what succeeded had begun before the trip")
}

pub(super) async fn late_failure_while_open<S: CircuitBreaker>(
    world: World,
) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, HOUR, MOMENT);
    let (failing, given_up) = (early(&scene, Word::Ill).await?, early(&scene, Word::Well).await?);
    scene.trip().await?;
    scene.waits(GAP).await;
    for call in failing {
        call.ends().await?.ran("it was in already")?;
    }
    for call in given_up {
        call.hangs_up().await?;
    }
    scene.is(State::Open, "the hour is not over")?;
    let open = scene.refused("the hour is not over").await?;
    if open.retry_after > HOUR - GAP + ROUNDED {
        let expected = format!("an hour less {GAP:?}: what failed late had begun before the trip");
        return Err(scene.saw(expected, format!("retry_after: {:?}", open.retry_after)));
    }
    Ok(())
}

pub(super) async fn late_failure_opens_nothing<S: CircuitBreaker>(
    world: World,
) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, MOMENT, MOMENT);
    let (failing, closing) = (early(&scene, Word::Ill).await?, early(&scene, Word::Ill).await?);
    let given_up = early(&scene, Word::Well).await?;
    scene.trip_and_wait().await?;
    let mut probe = scene.hold("probe", Word::Well);
    probe.is_in("its time is over").await?;
    for call in failing {
        call.ends().await?.ran("it was in already")?;
        scene.is(State::HalfOpen, "what failed had begun before the trip")?;
    }
    probe.ends().await?.ran("it was in already")?;
    for _ in 1..scene.config.probes {
        scene.runs(Word::Well, "a place is free").await?;
    }
    scene.is(State::Closed, "all of the probes have succeeded")?;
    for call in closing {
        call.ends().await?.ran("it was in already")?;
    }
    scene.is(State::Closed, "what failed had begun before it was well again")?;
    // They have waited since before the trip.
    tokio::time::sleep(Duration::from_millis(2)).await;
    for call in given_up {
        call.hangs_up().await?;
    }
    scene.is(State::Closed, "who gave up had begun before it was well again")
}

pub(super) async fn old_probe_frees_nothing<S: CircuitBreaker>(
    world: World,
) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, MOMENT, HOUR);
    scene.trip_and_wait().await?;
    let mut old = Vec::new();
    for _ in 1..scene.config.probes {
        let mut probe = scene.hold("old probe", Word::Well);
        probe.is_in("a place is free").await?;
        old.push(probe);
    }
    scene.runs(Word::Ill, "a place is free").await?;
    scene.is(State::Open, "a probe has failed")?;
    scene.time_passes().await;
    let probes = scene.hold_probes("probe").await?;
    for (nth, probe) in old.into_iter().enumerate() {
        match nth {
            0 => probe.hangs_up().await?,
            _ => _ = probe.ends().await?.ran("it was in already")?,
        }
        scene.refused("all places are taken by the probes of now").await?;
        scene.is(State::HalfOpen, "no probe of now has ended yet")?;
    }
    for probe in probes {
        probe.ends().await?.ran("it was in already")?;
    }
    scene.is(State::Closed, "all of the probes have succeeded")
}

pub(super) async fn old_probe_opens_nothing<S: CircuitBreaker>(
    world: World,
) -> Result<(), Finding> {
    let open_for = 10 * MOMENT;
    let scene = Scene::<S>::set(world, open_for, HOUR);
    scene.trip().await?;
    let mut old = Vec::new();
    for _ in 0..3 {
        scene.time_passes().await;
        let mut probe = scene.hold("old probe", Word::Ill);
        probe.is_in("a place is free").await?;
        old.push(probe);
        scene.runs(Word::Ill, "a place is free").await?;
        scene.is(State::Open, "a probe has failed")?;
    }
    scene.waits(GAP).await;
    let mut old = old.into_iter();
    fails(old.next()).await?;
    // On a slow machine the time is over, and that is the next probe. It fails as well.
    let ended = scene.ask(Word::Ill).await?;
    if ended.is_refused() {
        let open = ended.refused("it is open")?;
        if open.retry_after > open_for - GAP + ROUNDED {
            let expected = format!("{open_for:?} less {GAP:?}: what failed late was an old probe");
            return Err(scene.saw(expected, format!("retry_after: {:?}", open.retry_after)));
        }
    }
    scene.time_passes().await;
    let probes = scene.hold_probes("probe").await?;
    fails(old.next()).await?;
    scene.is(State::HalfOpen, "what failed is no probe of now")?;
    for probe in probes {
        probe.ends().await?.ran("it was in already")?;
    }
    scene.is(State::Closed, "all of the probes have succeeded")?;
    fails(old.next()).await?;
    scene.is(State::Closed, "what failed had begun before it was well again")?;
    for _ in 1..scene.config.failures {
        scene.runs(Word::Ill, "one failure too few since it closed").await?;
    }
    scene.is(State::Closed, "one failure too few since it closed")
}

async fn fails(call: Option<Held>) -> Result<(), Finding> {
    if let Some(call) = call {
        call.ends().await?.ran("it was in already")?;
    }
    Ok(())
}

pub(super) async fn success_makes_nothing_old<S: CircuitBreaker>(
    world: World,
) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, HOUR, HOUR);
    let failing = early(&scene, Word::Ill).await?;
    scene.runs(Word::Well, "it is closed").await?;
    for call in failing {
        call.ends().await?.ran("it was in already")?;
    }
    scene.is(State::Open, "so many in a row, and the state had not changed since they began")
}
