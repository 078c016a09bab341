//! A task beside: it ends with the request that it was for.

use super::scene::{AGES, SPANS, poll_once};
use super::work::steps;
use circuit_breakers::timeouts::{Deadline, Deadlines, Late};
use grading::{Evidence, Finding, SOON, World};
use std::time::Duration;
use tokio::time::Instant;

pub(super) async fn task_ends<D: Deadlines>(world: World) -> Result<(), Finding> {
    for span in SPANS {
        world.history().turn_page();
        let (steps, work) = steps(world.history(), "task");
        let began = Instant::now();
        let call = world.invoke("hop", format!("spawn(…), {span:?} left"));
        let task = D::spawn(Deadline::in_time(span), work.run(async |_| ()));
        // Nobody polls it: the hop is waiting for something else.
        if !steps.take(3).await? {
            if began.elapsed() >= span {
                continue;
            }
            let step = call.unknown("");
            let expected = "the work to go on until its deadline";
            return Err(Evidence::new(expected, "it was dropped").at(step).into());
        }
        tokio::time::sleep(span.saturating_sub(began.elapsed())).await;
        let over = world.history().note("hop", "(the deadline)");
        steps.must_end(Some(over), "its deadline is over").await?;
        let ended = tokio::time::timeout(SOON, task).await;
        return match ended {
            Ok(Err(Late)) => {
                call.ok("Late");
                not_before::<D>(&world).await
            }
            Ok(Ok(_)) => {
                let step = call.ok("an answer");
                Err(Evidence::new("Late", "an answer of work that has none").at(step).into())
            }
            Err(_) => {
                let step = call.unknown("still waits");
                Err(Evidence::new("Late", format!("nothing within {SOON:?}")).at(step).into())
            }
        };
    }
    Err(Finding::inconclusive("the machine was too busy to begin in time"))
}

/// It has all of its time.
async fn not_before<D: Deadlines>(world: &World) -> Result<(), Finding> {
    let (span, began) = (Duration::from_millis(60), Instant::now());
    let call = world.invoke("hop", format!("spawn(…), {span:?} left, and waits for it"));
    let task = D::spawn(Deadline::in_time(span), std::future::pending::<()>());
    let ended = tokio::time::timeout(SOON, task).await;
    let early = span.saturating_sub(began.elapsed());
    let step = call.ok(format!("{ended:?}"));
    match ended {
        Ok(Err(Late)) if early.is_zero() => Ok(()),
        Ok(Err(Late)) => {
            let saw = format!("Late {early:.0?} before the deadline");
            Err(Evidence::new("work until the deadline", saw).at(step).into())
        }
        other => Err(Evidence::new("Late", format!("{other:?}")).at(step).into()),
    }
}

pub(super) async fn task_is_taken_along<D: Deadlines>(world: World) -> Result<(), Finding> {
    for polled in [false, true] {
        world.history().turn_page();
        let (steps, work) = steps(world.history(), "task");
        let call = world.invoke("hop", format!("spawn(…), {AGES:?} left"));
        let mut task = Box::pin(D::spawn(Deadline::in_time(AGES), work.run(async |_| ())));
        if !steps.take(3).await? {
            let step = call.unknown("");
            let expected = "the work to go on: its caller waits, and there is time";
            return Err(Evidence::new(expected, "it was dropped").at(step).into());
        }
        if polled && poll_once(&mut task.as_mut()).await.is_some() {
            return Err(Evidence::new("the work to go on", "it ended").into());
        }
        drop(task);
        let step = call.unknown("the hop is dropped, and this with it");
        steps.must_end(Some(step), "nobody waits for it any more").await?;
    }
    Ok(())
}

pub(super) async fn task_answers<D: Deadlines>(world: World) -> Result<(), Finding> {
    let call = world.invoke("hop", "spawn(…), and waits for it");
    let task = D::spawn(Deadline::in_time(AGES), async {
        tokio::task::yield_now().await;
        "what came of it"
    });
    let ended = tokio::time::timeout(SOON, task).await;
    let told = match ended {
        Ok(Ok("what came of it")) => None,
        Ok(other) => Some(format!("{other:?}")),
        Err(_) => Some(format!("nothing within {SOON:?}")),
    };
    if let Some(told) = told {
        let step = call.ok(told.clone());
        return Err(Evidence::new("what came of the work", told).at(step).into());
    }
    call.ok("what came of it");

    world.history().turn_page();
    let call = world.invoke("hop", "spawn(…) with nothing left");
    let (steps, work) = steps(world.history(), "task");
    steps.allow_one();
    let task = D::spawn(Deadline::in_time(Duration::ZERO), work.run(async |_| ()));
    let ended = tokio::time::timeout(SOON, task).await;
    let late = matches!(ended, Ok(Err(Late)));
    let step = call.ok(if late { "Late" } else { "no Late" });
    if !late || steps.done() > 0 {
        let saw = format!("{} steps, and {}", steps.done(), if late { "Late" } else { "no Late" });
        return Err(Evidence::new("Late, and no step", saw).at(step).into());
    }

    world.history().turn_page();
    let call = world.invoke("hop", "spawn(…) of work that panics");
    let waiting = tokio::spawn(async {
        // Not by panic!(), which would be told of as if it were a bug of the code under test.
        let bug = async { std::panic::resume_unwind(Box::new("a bug in the work")) };
        let ended: Result<(), Late> = D::spawn(Deadline::in_time(AGES), bug).await;
        ended
    });
    match tokio::time::timeout(SOON, waiting).await {
        Ok(Err(stopped)) if stopped.is_panic() => Ok(()),
        Ok(Ok(ended)) => {
            let step = call.ok(format!("{ended:?}"));
            let expected = "the panic of the work: a bug is not a lateness";
            Err(Evidence::new(expected, format!("{ended:?}")).at(step).into())
        }
        _ => {
            let step = call.unknown("still waits");
            Err(Evidence::new("the panic of the work", "nothing at all").at(step).into())
        }
    }
}
