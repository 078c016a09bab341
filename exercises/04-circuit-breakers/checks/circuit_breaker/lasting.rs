//! What a clock decides, and what it does not: for how long it is open, and nothing else.

use super::scene::{HOUR, MOMENT, ROUNDED, Scene, Word, judge};
use crate::meeting::beside;
use circuit_breakers::circuit_breaker::{CallError, CircuitBreaker, Config, State};
use grading::{Evidence, Finding, SOON, World};
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Of a trip that is over soon.
const SHORT: Duration = Duration::from_millis(200);

pub(super) async fn each_trip_is_as_long<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, SHORT, HOUR);
    opens_by_row(&scene).await?;
    // One probe after the other fails.
    for _ in 0..3 {
        opens_by_probe(&scene).await?;
    }
    scene.time_passes().await;
    scene.heal().await?;
    opens_by_row(&scene).await?;
    scene.time_passes().await;
    scene.runs(Word::Well, "its time is over").await.map(drop)
}

async fn opens_by_row<S: CircuitBreaker>(scene: &Scene<S>) -> Result<(), Finding> {
    for _ in 0..20 {
        for _ in 1..scene.config.failures {
            scene.runs(Word::Ill, "it is not open yet").await?;
        }
        if opens_for_as_long(scene).await? {
            return Ok(());
        }
        scene.time_passes().await;
        scene.heal().await?;
    }
    Err(Finding::inconclusive("the machine is too busy to be refused in time"))
}

async fn opens_by_probe<S: CircuitBreaker>(scene: &Scene<S>) -> Result<(), Finding> {
    for _ in 0..20 {
        scene.time_passes().await;
        if opens_for_as_long(scene).await? {
            return Ok(());
        }
    }
    Err(Finding::inconclusive("the machine is too busy to be refused in time"))
}

/// One more failure opens it, for as long as configured. False if the machine was too slow to tell;
/// it is open all the same.
async fn opens_for_as_long<S: CircuitBreaker>(scene: &Scene<S>) -> Result<bool, Finding> {
    let began = Instant::now();
    scene.runs(Word::Ill, "it is not open").await?;
    scene.is(State::Open, "this failure opens it")?;
    let ended = scene.ask(Word::Ill).await?;
    let took = began.elapsed() + ROUNDED;
    if !ended.is_refused() && took >= SHORT {
        // Its time was over, and that was the next probe. It has failed, too.
        return Ok(false);
    }
    let open = ended.refused("it has just opened")?;
    if open.retry_after > SHORT || open.retry_after + took < SHORT {
        let (expected, saw) = (format!("{SHORT:?}, as each time"), open.retry_after);
        return Err(Evidence::new(expected, format!("retry_after: {saw:?}")).at(ended.step).into());
    }
    Ok(took < SHORT / 2)
}

pub(super) async fn row_has_no_clock<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, MOMENT, MOMENT);
    for nth in 1..=scene.config.failures {
        scene.is(State::Closed, "the row is not long enough")?;
        if nth > 1 {
            scene.waits(3 * MOMENT).await;
        }
        scene.runs(Word::Ill, "it is not open yet").await?;
    }
    scene.is(State::Open, "so many in a row, and only a success ends a row")
}

pub(super) async fn probes_have_no_clock<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, MOMENT, HOUR);
    scene.trip_and_wait().await?;
    let probes = scene.hold_probes("probe").await?;
    for _ in 0..2 {
        scene.waits(3 * MOMENT).await;
        scene.refused("the probes are still under way, and have all places").await?;
        scene.is(State::HalfOpen, "no probe has ended yet")?;
    }
    for probe in probes {
        probe.hangs_up().await?;
        scene.is(State::HalfOpen, "nobody has waited for an hour")?;
    }
    for _ in 1..scene.config.probes {
        scene.runs(Word::Well, "a place is free").await?;
        scene.waits(3 * MOMENT).await;
        scene.is(State::HalfOpen, "not all of the probes have succeeded")?;
    }
    scene.runs(Word::Well, "a place is free").await?;
    scene.is(State::Closed, "all of the probes have succeeded, each in its time")
}

/// On a clock that moves only if somebody sleeps.
pub(super) async fn refused_at_once<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let (tell, told) = tokio::sync::oneshot::channel();
    // If there is no thread, there is no answer.
    let _ = beside().spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build()?;
        let _ = tell.send(runtime.block_on(time_of_refusals::<S>()));
        std::io::Result::Ok(())
    });
    let Ok(Ok(took)) = tokio::time::timeout(SOON, told).await else {
        let step = world.history().note("caller", "calls while it is open");
        return Err(Evidence::new("a refusal at once", "none").at(step).into());
    };
    for (state, took) in [(State::Open, took.0), (State::HalfOpen, took.1)] {
        let told = took.map(|took| format!("is refused within {took:?} of the clock"));
        let told = told.unwrap_or_else(|| "is not refused".to_owned());
        let step = world.history().note("caller", format!("{state:?}: {told}"));
        if took != Some(Duration::ZERO) {
            return Err(Evidence::new("a refusal at once: nobody sleeps", told).at(step).into());
        }
    }
    Ok(())
}

/// How long a refusal takes while it is open, and while the only place is taken.
async fn time_of_refusals<S: CircuitBreaker>() -> (Option<Duration>, Option<Duration>) {
    let config = Config { failures: 1, open_for: HOUR, probes: 1, slow_after: HOUR };
    let breaker = S::new(config);
    let _ = breaker.call(judge, async { Err("down") }).await;
    let open = time_of_refusal(&breaker).await;
    let breaker = S::new(Config { open_for: Duration::ZERO, ..config });
    let _ = breaker.call(judge, async { Err("down") }).await;
    // Whichever clock it looks at has moved on.
    std::thread::sleep(Duration::from_millis(1));
    tokio::time::advance(Duration::from_millis(1)).await;
    let mut probe = pin!(breaker.call(judge, pending()));
    poll_fn(|context| {
        let _ = probe.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
    (open, time_of_refusal(&breaker).await)
}

async fn time_of_refusal<S: CircuitBreaker>(breaker: &S) -> Option<Duration> {
    let began = tokio::time::Instant::now();
    match breaker.call(judge, async { Ok("well") }).await {
        Err(CallError::Open(_)) => Some(began.elapsed()),
        _ => None,
    }
}
