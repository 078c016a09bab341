//! From closed to open, and what open means.

use super::scene::{GAP, HOUR, MOMENT, ROUNDED, Scene, Word, judge};
use circuit_breakers::circuit_breaker::{CallError, CircuitBreaker, State};
use grading::{Evidence, Finding, World};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) async fn row_opens<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::<S>::set(world, HOUR, HOUR);
    for failures in [scene.config.failures, 1, scene.config.failures + 1] {
        scene.renew(failures, scene.config.probes);
        scene.is(State::Closed, "as it is made")?;
        for _ in 1..failures {
            scene.runs(Word::Ill, "it is not open yet").await?;
            scene.is(State::Closed, "one failure too few")?;
        }
        scene.runs(Word::Ill, "it is not open yet").await?;
        scene.is(State::Open, "after so many in a row")?;
        scene.refused("it is open").await?;
    }
    Ok(())
}

pub(super) async fn success_ends_the_row<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, HOUR, HOUR);
    for _ in 0..3 {
        for _ in 1..scene.config.failures {
            scene.runs(Word::Ill, "a success has ended the row before").await?;
        }
        scene.runs(Word::Well, "the row is not long enough").await?;
    }
    scene.is(State::Closed, "there were never so many in a row")
}

pub(super) async fn open_means_no_call<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, HOUR, HOUR);
    scene.trip().await?;
    // More than a hundred, for some let one in a hundred through, to see.
    for _ in 0..150 {
        let open = scene.refused("it is open for an hour").await?;
        if open.retry_after.is_zero() || open.retry_after > HOUR {
            let saw = format!("retry_after: {:?}", open.retry_after);
            return Err(scene.saw("a retry_after of at most an hour, and not now", saw));
        }
    }
    scene.waits(3 * MOMENT).await;
    scene.refused("the hour is not over").await?;
    scene.is(State::Open, "the hour is not over")
}

pub(super) async fn retry_after_is_kept<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let open_for = 5 * MOMENT;
    let scene = Scene::<S>::set(world, open_for, HOUR);
    for _ in 0..10 {
        let began = Instant::now();
        scene.trip().await?;
        let ended = scene.ask(Word::Well).await?;
        if began.elapsed() > open_for && !ended.is_refused() {
            // The machine was slow, and the time was over. It is half-open now: close it again.
            for _ in 1..scene.config.probes {
                scene.runs(Word::Well, "a probe").await?;
            }
            continue;
        }
        let open = ended.refused("it has just opened")?;
        if open.retry_after > open_for {
            let saw = format!("{:?}", open.retry_after);
            return Err(scene.saw(format!("at most {open_for:?} to wait"), saw));
        }
        tokio::time::sleep(open.retry_after + Duration::from_millis(2)).await;
        scene.runs(Word::Well, "it was told to come now").await?;
        return Ok(());
    }
    Err(Finding::inconclusive("the machine is too busy to be refused within 100 ms"))
}

pub(super) async fn retry_after_counts_down<S: CircuitBreaker>(
    world: World,
) -> Result<(), Finding> {
    let mut scene = Scene::<S>::set(world, HOUR, HOUR);
    let mut tries = 0;
    let open = loop {
        for _ in 1..scene.config.failures {
            scene.runs(Word::Ill, "it is not open yet").await?;
        }
        // The hour begins with the last failure of the row, and not with the first.
        scene.waits(GAP).await;
        let began = Instant::now();
        scene.runs(Word::Ill, "it is not open yet").await?;
        let open = scene.refused("it is open for an hour").await?;
        let took = began.elapsed() + ROUNDED;
        if open.retry_after + took < HOUR {
            let saw = format!("retry_after: {:?}", open.retry_after);
            return Err(scene.saw("an hour, which has just begun", saw));
        }
        if took < GAP {
            break open;
        }
        // The machine was slow, and an hour that began too early would not have shown.
        tries += 1;
        if tries == 10 {
            return Err(Finding::inconclusive("the machine is too busy to be refused in time"));
        }
        scene.renew(scene.config.failures, scene.config.probes);
    };
    scene.waits(GAP).await;
    let later = scene.refused("the hour is not over").await?;
    if later.retry_after > HOUR - GAP + ROUNDED {
        let expected = format!("{GAP:?} less than {:?}", open.retry_after);
        return Err(scene.saw(expected, format!("retry_after: {:?}", later.retry_after)));
    }
    // While probes are under way nobody knows.
    let scene = Scene::<S>::set(scene.world, 5 * MOMENT, HOUR);
    scene.trip_and_wait().await?;
    let probes = scene.hold_probes("probe").await?;
    let open = scene.refused("all places are taken").await?;
    if !open.retry_after.is_zero() {
        let saw = format!("retry_after: {:?}", open.retry_after);
        return Err(scene.saw("zero: nobody knows how long the probes will take", saw));
    }
    for probe in probes {
        probe.ends().await?.ran("it was in already")?;
    }
    Ok(())
}

pub(super) async fn for_ever<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    // A clock ends long before the last of them does.
    let ages = [u64::MAX, i64::MAX.unsigned_abs()].map(Duration::from_secs);
    let mut world = world;
    for time in [Duration::MAX].into_iter().chain(ages) {
        world = lasts_for_ever::<S>(world, time).await?;
    }
    Ok(())
}

async fn lasts_for_ever<S: CircuitBreaker>(world: World, time: Duration) -> Result<World, Finding> {
    let scene = Scene::<S>::set(world, time, time);
    let held = scene.hold_some("caller", scene.config.failures).await?;
    for call in held {
        call.hangs_up().await?;
    }
    scene.is(State::Closed, "nobody has waited for ever")?;
    scene.trip().await?;
    let open = scene.refused("it is open for ever").await?;
    if open.retry_after < HOUR {
        let saw = format!("retry_after: {:?}", open.retry_after);
        return Err(scene.saw("for ever, or as long as a clock can hold", saw));
    }
    Ok(scene.world)
}

pub(super) async fn none_is_read_as_one<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let mut scene = Scene::<S>::set(world, MOMENT, HOUR);
    scene.renew(0, 0);
    scene.runs(Word::Ill, "it is closed").await?;
    scene.is(State::Open, "0 failures are read as 1")?;
    scene.time_passes().await;
    let mut probe = scene.hold("probe", Word::Well);
    probe.is_in("0 probes are read as 1").await?;
    scene.refused("the only place is taken").await?;
    probe.ends().await?.ran("it was in already")?;
    scene.is(State::Closed, "0 probes are read as 1, and it has succeeded")
}

pub(super) async fn one_for_each<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, HOUR, HOUR);
    let other = Arc::new(S::new(scene.config));
    scene.trip().await?;
    let state = other.state();
    let step = scene.world.history().note("another breaker", format!("is {state:?}"));
    if state != State::Closed {
        let expected = "Closed: what is down is before the first breaker";
        return Err(Evidence::new(expected, format!("{state:?}")).at(step).into());
    }
    for _ in 0..scene.config.probes {
        let answer = other.call(judge, async { Ok("well") }).await;
        let step = scene.world.history().note("another breaker", format!("is asked: {answer:?}"));
        if answer != Ok("well") {
            return Err(Evidence::new("its answer", format!("{answer:?}")).at(step).into());
        }
    }
    scene.is(State::Open, "what is well is before another breaker")?;
    scene.refused("it is open for an hour").await.map(drop)
}

pub(super) async fn calls_overlap<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, HOUR, HOUR);
    let mut slow = scene.hold("slow", Word::Well);
    slow.is_in("it is closed").await?;
    scene.runs(Word::Well, "it is closed").await?;
    scene.is(State::Closed, "nothing has failed")?;
    slow.ends().await?.ran("it was in already")?;
    Ok(())
}

pub(super) async fn passes_on<S: CircuitBreaker>(world: World) -> Result<(), Finding> {
    let scene = Scene::<S>::set(world, HOUR, HOUR);
    for (word, expected) in [
        (Word::Well, Ok("well")),
        (Word::Ill, Err(CallError::Call("down"))),
        (Word::NotFound, Err(CallError::Call("no such order"))),
    ] {
        let before = scene.asked();
        let ended = scene.ask(word).await?;
        if ended.result != expected {
            let saw = format!("{:?}", ended.result);
            return Err(Evidence::new(format!("{expected:?}"), saw).at(ended.step).into());
        }
        let asked = scene.asked() - before;
        if asked != 1 {
            return Err(Evidence::new("one call", format!("{asked}")).at(ended.step).into());
        }
    }
    Ok(())
}
