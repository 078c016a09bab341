//! What a result means: errors that are the caller's own, and who says so.

use super::scene::{Answer, HOUR, MOMENT, Scene, Word};
use circuit_breakers::circuit_breaker::{CircuitBreaker, Judgement, State};
use grading::{Finding, SOON, World};
use std::sync::Arc;

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

pub(super) async fn judge_decides<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::<S>::set(world, HOUR, HOUR);
    for _ in 0..scene.config.failures {
        scene.runs(Word::Busy, "it is not open yet").await?;
    }
    scene.is(State::Open, "so many in a row that the judge calls failures, answers or not")?;
    scene.renew(scene.config.failures, scene.config.probes);
    for _ in 0..3 {
        for _ in 1..scene.config.failures {
            scene.runs(Word::Ill, "a success has ended the row before").await?;
        }
        scene.runs(Word::SoldOut, "the row is not long enough").await?;
    }
    scene.is(State::Closed, "the judge calls `sold out` a success, and it ends the row")
}

pub(super) async fn judge_may_look<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, HOUR, HOUR);
    let (breaker, (tell, told)) = (scene.breaker(), tokio::sync::oneshot::channel());
    scene.world.history().note("caller", "calls, and its judge looks at state()");
    // In a thread of its own: whoever waits for himself never gives it back.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let looks = Arc::clone(&breaker);
        let judge = |_: &Answer| {
            let _ = looks.state();
            Judgement::Success
        };
        let result = runtime.block_on(breaker.call(judge, async { Ok("well") }));
        let _ = tell.send(result.is_ok());
        std::io::Result::Ok(())
    });
    match tokio::time::timeout(SOON, told).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(scene.saw("the answer", "an error")),
        Ok(Err(_)) => Err(scene.saw("the answer", "a panic")),
        Err(_) => {
            let expected = "an answer: no lock is held while the judge thinks";
            Err(scene.saw(expected, format!("none within {SOON:?}")))
        }
    }
}
