//! Many callers, and large numbers.

use super::probing::{CROWD, crowd};
use super::scene::{HOUR, MOMENT, Scene, Word};
use circuit_breakers::circuit_breaker::{CircuitBreaker, State};
use grading::{Finding, World};

pub(super) async fn closed_lets_all_in<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, MOMENT, HOUR);
    crowd(&scene, CROWD).await?;
    scene.trip_and_wait().await?;
    scene.heal().await?;
    crowd(&scene, CROWD).await?;
    scene.is(State::Closed, "nothing has failed since")
}

pub(super) async fn any_number<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    const FAILURES: u32 = 300;
    const PROBES: u32 = 60;
    let mut scene = Scene::<S>::set(world, MOMENT, HOUR);
    scene.renew(FAILURES, PROBES);
    for nth in 1..FAILURES {
        scene.world.history().turn_page();
        scene.world.history().note("caller", format!("failure {nth} of {FAILURES} in a row"));
        scene.runs(Word::Ill, "it is not open yet").await?;
    }
    scene.is(State::Closed, "one failure too few")?;
    scene.runs(Word::Ill, "it is not open yet").await?;
    scene.is(State::Open, "after so many in a row")?;
    scene.time_passes().await;
    crowd(&scene, PROBES as usize).await?;
    scene.is(State::Closed, "all of the probes have succeeded")?;
    scene.renew(u32::MAX, u32::MAX);
    for _ in 0..20 {
        scene.runs(Word::Ill, "so many failures there never are").await?;
    }
    scene.is(State::Closed, "so many failures there never are")?;
    scene.renew(1, u32::MAX);
    scene.trip_and_wait().await?;
    crowd(&scene, CROWD).await?;
    scene.is(State::HalfOpen, "so many probes there never are")
}
