//! Half-open: who is let in, and what comes of it.

use super::scene::{HOUR, MOMENT, Scene, Word};
use circuit_breakers::circuit_breaker::{CircuitBreaker, State};
use grading::{Evidence, Finding, SOON, World};
use std::time::{Duration, Instant};
use testbed::gate::Gate;
use tokio::task::JoinSet;

pub(super) const CROWD: usize = 100;

/// A hundred callers at once. Each is refused, or comes to a gate in the dependency that stays shut
/// until all of them are one or the other: nobody gets in because somebody else was quick.
pub(super) async fn crowd<S: CircuitBreaker>(
    scene: &Scene<S>,
    places: usize,
) -> Result<(), Finding> {
    let gate = Gate::shut();
    let mut callers = JoinSet::new();
    for _ in 0..CROWD {
        callers.spawn(scene.calling("crowd", Word::Well, Some(gate.clone())));
    }
    let mut refused = 0;
    let began = Instant::now();
    while refused + gate.count() < CROWD {
        if began.elapsed() > SOON {
            let saw = format!("{} in, {refused} refused, the others wait", gate.count());
            return Err(scene.saw("each of a hundred is let in or refused at once", saw));
        }
        tokio::select! {
            Some(ended) = callers.join_next() => refused += usize::from(ended?.is_refused()),
            _ = gate.arrived(gate.count() + 1, Duration::from_millis(100)) => {}
        }
    }
    let (inside, first) = (gate.count(), scene.world.history().last("dependency", "is asked"));
    if inside != places {
        let expected = format!("{places} of {CROWD} let in");
        return Err(Evidence::new(expected, format!("{inside}")).at(first).into());
    }
    gate.open();
    while let Some(ended) = callers.join_next().await {
        ended?;
    }
    Ok(())
}

pub(super) async fn hundred_at_half_open<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::<S>::set(world, MOMENT, HOUR);
    for probes in [scene.config.probes, 1, scene.config.probes + 1] {
        scene.renew(scene.config.failures, probes);
        scene.trip_and_wait().await?;
        crowd(&scene, probes as usize).await?;
    }
    Ok(())
}

pub(super) async fn succeeded_probes_count<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, MOMENT, HOUR);
    scene.trip_and_wait().await?;
    for _ in 1..scene.config.probes {
        scene.runs(Word::Well, "a place is free").await?;
    }
    crowd(&scene, 1).await
}

pub(super) async fn all_probes_have_to_succeed<S: CircuitBreaker>(
    world: World,
) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, MOMENT, HOUR);
    scene.trip_and_wait().await?;
    for _ in 1..scene.config.probes {
        scene.runs(Word::Well, "a place is free").await?;
        scene.is(State::HalfOpen, "not all of the probes have succeeded")?;
    }
    // The last one fails. Had it closed before, this would be one failure of many.
    scene.runs(Word::Ill, "a place is free").await?;
    scene.is(State::Open, "a probe has failed")?;
    scene.time_passes().await;
    scene.heal().await
}

pub(super) async fn failed_probe_opens_anew<S: CircuitBreaker>(
    world: World,
) -> Result<(), Finding> {
    let open_for = 5 * MOMENT;
    let scene = Scene::<S>::set(world, open_for, HOUR);
    scene.trip().await?;
    for _ in 0..10 {
        scene.time_passes().await;
        let began = Instant::now();
        scene.runs(Word::Ill, "its time is over").await?;
        scene.is(State::Open, "a probe has failed")?;
        let ended = scene.ask(Word::Ill).await?;
        if ended.is_refused() {
            return Ok(());
        }
        if began.elapsed() < open_for {
            return ended.refused("it has opened anew").map(|_| ());
        }
        // The machine was slow, and that was the next probe. It has failed, too.
    }
    Err(Finding::inconclusive("the machine is too busy to be refused within 100 ms"))
}

pub(super) async fn closed_counts_anew<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, MOMENT, HOUR);
    for _ in 0..2 {
        scene.trip_and_wait().await?;
        scene.heal().await?;
        for _ in 1..scene.config.failures {
            scene.runs(Word::Ill, "one failure too few since it closed").await?;
        }
        scene.is(State::Closed, "one failure too few since it closed")?;
        scene.runs(Word::Well, "it is closed").await?;
    }
    Ok(())
}

pub(super) async fn state_agrees<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, MOMENT, HOUR);
    scene.is(State::Closed, "as it is made")?;
    scene.trip_and_wait().await?;
    scene.is(State::Open, "nobody has been let in yet")?;
    let mut probe = scene.hold("probe", Word::Well);
    probe.is_in("its time is over").await?;
    scene.is(State::HalfOpen, "somebody is in, to see")?;
    probe.ends().await?.ran("it was in already")?;
    for _ in 1..scene.config.probes {
        scene.is(State::HalfOpen, "not all of the probes have succeeded")?;
        scene.runs(Word::Well, "a place is free").await?;
    }
    scene.is(State::Closed, "all of the probes have succeeded")
}
