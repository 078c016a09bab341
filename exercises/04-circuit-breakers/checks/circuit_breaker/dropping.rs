//! Calls that end without a result.

use super::scene::{HOUR, MOMENT, Scene, Word};
use circuit_breakers::circuit_breaker::{CircuitBreaker, State};
use grading::{Finding, World};
use std::time::Duration;

/// After this a call has run for longer than a slow one may: it is waited for while it runs.
const IN_VAIN: Duration = Duration::from_millis(30);

pub(super) async fn given_up_counts<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, HOUR, MOMENT);
    let held = scene.hold_some("caller", scene.config.failures).await?;
    scene.waits(IN_VAIN).await;
    for call in held {
        call.hangs_up().await?;
    }
    scene.is(State::Open, "so many have waited in vain")?;
    scene.refused("so many have waited in vain").await.map(|_| ())
}

pub(super) async fn hang_up_early_says_nothing<S: CircuitBreaker>(
    world: World,
) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, HOUR, HOUR);
    for _ in 0..3 * scene.config.failures {
        let mut call = scene.hold("caller", Word::Well);
        call.is_in("nobody has waited for an hour").await?;
        call.hangs_up().await?;
    }
    let patient = scene.hold_some("caller", 2 * scene.config.failures).await?;
    scene.waits(2 * IN_VAIN).await;
    for call in patient {
        call.hangs_up().await?;
    }
    scene.is(State::Closed, "nobody has waited for an hour")?;
    // Nor do they end a row.
    for nth in 1..=scene.config.failures {
        scene.runs(Word::Ill, "it is not open yet").await?;
        if nth < scene.config.failures {
            let mut call = scene.hold("caller", Word::Well);
            call.is_in("it is not open yet").await?;
            call.hangs_up().await?;
        }
    }
    scene.is(State::Open, "so many in a row, and what was hung up in between says nothing")
}

pub(super) async fn dropped_probe_frees_place<S: CircuitBreaker>(
    world: World,
) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, MOMENT, HOUR);
    scene.trip_and_wait().await?;
    for _ in 0..2 {
        for probe in scene.hold_probes("probe").await? {
            probe.hangs_up().await?;
        }
        scene.is(State::HalfOpen, "they said nothing")?;
    }
    scene.heal().await
}

pub(super) async fn panicked_probe_frees_place<S: CircuitBreaker>(
    world: World,
) -> Result<(), Finding> {
    probes_panic::<S>(world, Word::Panic).await
}

pub(super) async fn judge_panics<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    probes_panic::<S>(world, Word::Riddle).await
}

async fn probes_panic<S: CircuitBreaker>(world: World, word: Word) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, MOMENT, HOUR);
    scene.trip_and_wait().await?;
    for _ in 0..scene.config.probes {
        let mut probe = scene.hold("probe", word);
        probe.is_in("those before have given their places back").await?;
        probe.panics().await?;
    }
    scene.is(State::HalfOpen, "a bug in the caller's code says nothing")?;
    scene.heal().await
}

pub(super) async fn given_up_probe_opens_anew<S: CircuitBreaker>(
    world: World,
) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, MOMENT, MOMENT);
    scene.trip_and_wait().await?;
    let mut probe = scene.hold("probe", Word::Well);
    probe.is_in("its time is over").await?;
    scene.waits(IN_VAIN).await;
    probe.hangs_up().await?;
    scene.is(State::Open, "the probe has waited in vain")
}

pub(super) async fn slow_success_is_a_success<S: CircuitBreaker>(
    world: World,
) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, HOUR, MOMENT);
    let held = scene.hold_some("caller", 2 * scene.config.failures).await?;
    scene.waits(IN_VAIN).await;
    for call in held {
        call.ends().await?.ran("it was in already")?;
    }
    scene.is(State::Closed, "they were slow, and they were answered")
}
