//! Calls that end without a result.

use super::scene::{HOUR, MOMENT, Scene, Word, judge};
use circuit_breakers::circuit_breaker::{CircuitBreaker, State};
use grading::{Finding, World};
use std::time::{Duration, Instant};

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
    scene.refused("so many have waited in vain").await?;
    // Who runs at all has run for no time.
    let scene = Scene::<S>::set(scene.world, HOUR, Duration::ZERO);
    for call in scene.hold_some("caller", scene.config.failures).await? {
        call.hangs_up().await?;
    }
    scene.is(State::Open, "with a slow_after of zero, who gives up has waited in vain")
}

pub(super) async fn one_row_for_all<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::<S>::set(world, HOUR, MOMENT);
    for _ in 0..2 {
        let held = scene.hold_some("caller", scene.config.failures - 1).await?;
        scene.waits(IN_VAIN).await;
        for call in held {
            call.hangs_up().await?;
        }
        scene.is(State::Closed, "the row is not long enough")?;
        scene.runs(Word::Well, "the row is not long enough").await?;
    }
    scene.is(State::Closed, "a success ends a row of those who gave up, too")?;
    scene.renew(scene.config.failures, scene.config.probes);
    let held = scene.hold_some("caller", 1).await?;
    scene.waits(IN_VAIN).await;
    for call in held {
        call.hangs_up().await?;
    }
    for _ in 1..scene.config.failures {
        scene.runs(Word::Ill, "it is not open yet").await?;
    }
    scene.is(State::Open, "so many in a row: one was given up in vain, and the others failed")
}

pub(super) async fn each_has_its_own_clock<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, HOUR, MOMENT);
    let held = scene.hold_some("caller", scene.config.failures).await?;
    scene.waits(IN_VAIN).await;
    let fresh = scene.hold_some("fresh", 1).await?;
    for call in held {
        call.hangs_up().await?;
    }
    scene.is(State::Open, "so many have waited in vain, and one has just begun")?;
    for call in fresh {
        call.hangs_up().await?;
    }
    // And the other way round: one has waited for long, and those who hang up have not.
    let slow_after = Duration::from_millis(200);
    let scene = Scene::<S>::set(scene.world, HOUR, slow_after);
    let _patient = scene.hold_some("patient", 1).await?;
    scene.waits(slow_after).await;
    let mut early = 0;
    for _ in 0..100 {
        let began = Instant::now();
        for call in scene.hold_some("caller", 1).await? {
            call.hangs_up().await?;
        }
        early += 1;
        if began.elapsed() >= slow_after {
            // The machine was slow, and it was in vain indeed. That row ends here.
            scene.runs(Word::Well, "one was given up in vain at most").await?;
            early = 0;
        }
        scene.is(State::Closed, "who hung up had not run for so long")?;
        if early == scene.config.failures {
            return Ok(());
        }
    }
    Err(Finding::inconclusive("the machine is too busy to hang up in time"))
}

pub(super) async fn unpolled_takes_no_place<S: CircuitBreaker>(
    world: World,
) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, MOMENT, HOUR);
    scene.trip_and_wait().await?;
    let breaker = scene.breaker();
    for _ in 0..2 * scene.config.probes {
        scene.world.history().note("caller", "makes a call, and drops it before it has begun");
        drop(breaker.call(judge, async { Ok("well") }));
    }
    for probe in scene.hold_probes("probe").await? {
        probe.ends().await?.ran("it was in already")?;
    }
    scene.is(State::Closed, "all of the probes have succeeded")
}

pub(super) async fn panic_in_vain_counts<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::<S>::set(world, HOUR, MOMENT);
    for word in [Word::Panic, Word::Riddle] {
        scene.renew(scene.config.failures, scene.config.probes);
        let mut held = Vec::new();
        for _ in 0..scene.config.failures {
            let mut call = scene.hold("caller", word);
            call.is_in("it is closed").await?;
            held.push(call);
        }
        scene.waits(IN_VAIN).await;
        for call in held {
            call.panics().await?;
        }
        scene.is(State::Open, "they had run for so long, and there was no result")?;
    }
    Ok(())
}

pub(super) async fn panic_says_nothing<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::<S>::set(world, HOUR, HOUR);
    for word in [Word::Panic, Word::Riddle] {
        scene.renew(scene.config.failures, scene.config.probes);
        for _ in 0..2 * scene.config.failures {
            panics_once(&scene, word).await?;
        }
        scene.is(State::Closed, "a bug in the caller's code says nothing")?;
        for nth in 1..=scene.config.failures {
            scene.runs(Word::Ill, "it is not open yet").await?;
            if nth < scene.config.failures {
                panics_once(&scene, word).await?;
            }
        }
        scene.is(State::Open, "so many in a row, and what panicked in between says nothing")?;
    }
    Ok(())
}

async fn panics_once<S: CircuitBreaker>(scene: &Scene<S>, word: Word) -> Result<(), Finding> {
    let mut call = scene.hold("caller", word);
    call.is_in("it is not open yet").await?;
    call.panics().await
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
    scene.is(State::Closed, "they were slow, and they were answered")?;
    for _ in 0..scene.config.failures {
        let mut call = scene.hold("caller", Word::NotFound);
        call.is_in("it is closed").await?;
        scene.waits(IN_VAIN).await;
        call.ends().await?.ran("it was in already")?;
    }
    scene.is(State::Closed, "they were slow, and what they asked for was not there")?;
    let scene = Scene::<S>::set(scene.world, MOMENT, MOMENT);
    scene.trip_and_wait().await?;
    let probes = scene.hold_probes("probe").await?;
    scene.waits(IN_VAIN).await;
    for probe in probes {
        scene.is(State::HalfOpen, "not all of the probes have succeeded")?;
        probe.ends().await?.ran("it was in already")?;
    }
    scene.is(State::Closed, "all of the probes were slow, and have succeeded")
}
