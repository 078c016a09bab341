//! What a result means: errors that are the caller's own, and who says so.

use super::scene::{Answer, HOUR, MOMENT, Scene, Word, judge};
use crate::meeting::beside;
use circuit_breakers::circuit_breaker::{CircuitBreaker, Judgement, State};
use grading::{Finding, SOON, World};
use tokio::sync::oneshot;

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
    scene.is(State::Closed, "the judge calls `sold out` a success, and it ends the row")?;
    let scene = Scene::<S>::set(scene.world, MOMENT, HOUR);
    scene.trip_and_wait().await?;
    scene.runs(Word::Busy, "its time is over").await?;
    scene.is(State::Open, "the judge calls the probe's answer a failure")?;
    scene.time_passes().await;
    for _ in 0..scene.config.probes {
        scene.runs(Word::SoldOut, "a place is free").await?;
    }
    scene.is(State::Closed, "the judge calls the probes' errors successes")
}

pub(super) async fn judge_may_look<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, HOUR, HOUR);
    scene.world.history().note("caller", "calls, and its judge looks at state()");
    let (breaker, looks) = (scene.breaker(), scene.breaker());
    let judge = move |_: &Answer| {
        let _ = looks.state();
        Judgement::Success
    };
    let answered = aside(async move { breaker.call(judge, async { Ok("well") }).await.is_ok() });
    is_answered(&scene, answered, "no lock is held while the judge thinks").await
}

pub(super) async fn call_may_look<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, HOUR, HOUR);
    scene.world.history().note("caller", "calls, and the call looks at state()");
    let (breaker, looks) = (scene.breaker(), scene.breaker());
    let call = async move {
        let _ = looks.state();
        Ok("well")
    };
    let answered = aside(async move { breaker.call(judge, call).await.is_ok() });
    is_answered(&scene, answered, "no lock is held while the call runs").await
}

pub(super) async fn judges_overlap<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, HOUR, HOUR);
    scene.world.history().note("slow", "calls, and its judge thinks");
    // A judge is no future, and thinks on its thread.
    let (think, thinks) = std::sync::mpsc::channel::<()>();
    let (came, comes) = oneshot::channel();
    let breaker = scene.breaker();
    let judge_slowly = move |_: &Answer| {
        let _ = came.send(());
        let _ = thinks.recv();
        Judgement::Success
    };
    let slow = aside(async move { breaker.call(judge_slowly, async { Ok("well") }).await.is_ok() });
    if !matches!(tokio::time::timeout(SOON, comes).await, Ok(Ok(()))) {
        return Err(scene.saw("a judge is asked what the answer means", "it is not"));
    }
    scene.world.history().note("caller", "calls");
    let breaker = scene.breaker();
    let other = aside(async move { breaker.call(judge, async { Ok("well") }).await.is_ok() });
    let overlaps = is_answered(&scene, other, "no lock is held while another's judge thinks").await;
    drop(think);
    overlaps?;
    is_answered(&scene, slow, "its judge has come to an end").await
}

/// In a thread of its own: whoever waits for himself never gives it back.
fn aside(work: impl Future<Output = bool> + Send + 'static) -> oneshot::Receiver<bool> {
    let (tell, told) = oneshot::channel();
    // If there is no thread, there is no answer.
    let _ = beside().spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let _ = tell.send(runtime.block_on(work));
        std::io::Result::Ok(())
    });
    told
}

async fn is_answered<S: CircuitBreaker>(
    scene: &Scene<S>,
    answered: oneshot::Receiver<bool>,
    why: &str,
) -> Result<(), Finding> {
    match tokio::time::timeout(SOON, answered).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(scene.saw("the answer", "an error")),
        Ok(Err(_)) => Err(scene.saw("the answer", "a panic")),
        Err(_) => Err(scene.saw(format!("an answer: {why}"), format!("none within {SOON:?}"))),
    }
}
