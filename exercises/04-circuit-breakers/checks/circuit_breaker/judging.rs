//! Errors that are the caller's own.

use super::scene::{HOUR, MOMENT, Scene, Word};
use circuit_breakers::circuit_breaker::{CircuitBreaker, State};
use grading::{Finding, World};

pub(super) async fn ignored_opens_not<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, HOUR, HOUR);
    for _ in 0..3 * scene.config.failures {
        scene.runs(Word::NotFound, "the dependency is well").await?;
    }
    scene.is(State::Closed, "the dependency is well")
}

pub(super) async fn ignored_keeps_the_row<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, HOUR, HOUR);
    for _ in 1..scene.config.failures {
        scene.runs(Word::Ill, "it is not open yet").await?;
        scene.runs(Word::NotFound, "it is not open yet").await?;
        scene.is(State::Closed, "one failure too few")?;
    }
    scene.runs(Word::Ill, "it is not open yet").await?;
    scene.is(State::Open, "so many failures, and no success in between")
}

pub(super) async fn ignored_heals_not<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, MOMENT, HOUR);
    scene.trip_and_wait().await?;
    for _ in 0..2 * scene.config.probes {
        scene.runs(Word::NotFound, "those before have given their places back").await?;
        scene.is(State::HalfOpen, "no probe has succeeded")?;
    }
    scene.heal().await
}
