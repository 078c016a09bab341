//! A machine that is late itself: what was not done by the deadline is not done after it.

use super::scene::{AGES, Ended, Next, SPANS, poll_once, request, turns_late, until, working};
use super::work::steps;
use circuit_breakers::BoxError;
use circuit_breakers::timeouts::{Deadline, Deadlines, Late};
use grading::{Evidence, Finding, History, SOON, World};
use http::Response;
use std::pin::pin;
use std::time::Duration;
use testbed::gate::Gate;
use tokio::time::Instant;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) async fn busy_machine<D: Deadlines>(world: World) -> Result<(), Finding> {
    late_machine(&world, "service", |hop, span| {
        D::serve(hop, request(&[&span.as_millis().to_string()]), AGES)
    })
    .await?;
    late_machine(&world, "next hop", |hop, span| D::ask(hop, until(Deadline::in_time(span)), AGES))
        .await?;
    // A task is polled by its runtime, and by nobody else: so it gets one that can be kept busy.
    let history = world.history().clone();
    let played = tokio::task::spawn_blocking(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build();
        let runtime = runtime.map_err(|error| Finding::inconclusive(error.to_string()))?;
        runtime.block_on(late_task::<D>(&history))
    });
    played.await?
}

async fn late_task<D: Deadlines>(history: &History) -> Result<(), Finding> {
    for span in SPANS {
        history.turn_page();
        let (steps, work) = steps(history, "task");
        let before = Instant::now();
        let call = history.invoke("hop", format!("spawn(…), {span:?} left"));
        let task = D::spawn(Deadline::in_time(span), work.run(async |_| ()));
        if !steps.take(1).await? || before.elapsed() >= span {
            continue;
        }
        let over = {
            let over = history.note("hop", "(the machine is busy until it is too late)");
            std::thread::sleep((span + millis(20)).saturating_sub(before.elapsed()));
            steps.allow_one();
            over
        };
        let ended = tokio::time::timeout(SOON, task).await;
        let late = matches!(ended, Ok(Err(Late)));
        let step = call.ok(if late { "Late" } else { "no Late" });
        if steps.done() > 1 {
            let works = history.last("task", "works");
            let expected = "no step after the deadline, however late the machine is";
            return Err(Evidence::new(expected, "the work goes on first")
                .at(over)
                .at(works)
                .into());
        }
        return match late {
            true => Ok(()),
            false => Err(Evidence::new("Late", "no Late").at(step).into()),
        };
    }
    Err(Finding::inconclusive("the machine was too busy to begin in time"))
}

/// Has `asked` begin in time, and go on when it is too late.
async fn late_machine<F>(
    world: &World,
    lane: &'static str,
    asks: impl Fn(Next, Duration) -> F,
) -> Result<(), Finding>
where
    F: Future<Output = Result<Response<String>, BoxError>>,
{
    for span in SPANS {
        world.history().turn_page();
        let (steps, work) = steps(world.history(), lane);
        let hop = working(world.history(), lane, work);
        let before = Instant::now();
        let mut served = pin!(asks(hop.clone(), span));
        let call = world.invoke("caller", format!("asks, {span:?} left"));
        // Polled until the work waits for its first step.
        while hop.seen().is_empty() && before.elapsed() < span {
            if let Some(ended) = poll_once(&mut served).await.map(Ended::of) {
                let step = call.ok(ended.to_string());
                return Err(Evidence::new("the work to wait", ended.to_string()).at(step).into());
            }
            tokio::time::sleep(millis(1)).await;
        }
        if hop.seen().is_empty() || before.elapsed() >= span {
            continue;
        }
        {
            let _busy = world.fault("the machine is busy: nobody polls it until it is too late");
            tokio::time::sleep((span + millis(20)).saturating_sub(before.elapsed())).await;
            steps.allow_one();
        }
        let ended = tokio::time::timeout(SOON, served).await;
        let ended = match ended {
            Ok(result) => Ended::of(result),
            Err(_) => {
                let saw = format!("nothing within {SOON:?}");
                return Err(Evidence::new("Late", saw).at(call.unknown("still waits")).into());
            }
        };
        let step = call.ok(ended.to_string());
        if steps.done() > 0 {
            let works = world.history().last(lane, "works");
            let expected = "no step after the deadline, however late the machine is";
            return Err(Evidence::new(expected, "the work goes on first").at(works).into());
        }
        if !matches!(ended, Ended::Late) {
            return Err(Evidence::new("Late", ended.to_string()).at(step).into());
        }
        return Ok(());
    }
    Err(Finding::inconclusive("the machine was too busy to begin in time"))
}

pub(super) async fn ready_too_late<D: Deadlines>(world: World) -> Result<(), Finding> {
    late_to_be_ready(&world, "service", |hop, span| {
        D::serve(hop, request(&[&span.as_millis().to_string()]), AGES)
    })
    .await?;
    let asks = |hop, span| D::ask(hop, until(Deadline::in_time(span)), AGES);
    late_to_be_ready(&world, "next hop", asks).await
}

/// Has `asked` wait until its hop is ready, which it is when it is too late.
async fn late_to_be_ready<F>(
    world: &World,
    lane: &'static str,
    asks: impl Fn(Next, Duration) -> F,
) -> Result<(), Finding>
where
    F: Future<Output = Result<Response<String>, BoxError>>,
{
    for span in SPANS {
        world.history().turn_page();
        let gate = Gate::shut();
        let connects = gate.clone();
        let hop = Next::new(world.history(), lane).connecting(move || {
            let connects = connects.clone();
            async move {
                connects.pass().await;
                Ok(())
            }
        });
        let before = Instant::now();
        let mut served = pin!(asks(hop.clone(), span));
        let call = world.invoke("caller", format!("asks, {span:?} left"));
        while gate.count() == 0 && before.elapsed() < span {
            if let Some(ended) = poll_once(&mut served).await.map(Ended::of) {
                let step = call.ok(ended.to_string());
                return Err(Evidence::new("it to connect", ended.to_string()).at(step).into());
            }
            tokio::time::sleep(millis(1)).await;
        }
        if gate.count() == 0 || before.elapsed() >= span {
            continue;
        }
        {
            let _busy = world.fault("the machine is busy: nobody polls it until it is too late");
            tokio::time::sleep((span + millis(20)).saturating_sub(before.elapsed())).await;
            gate.open();
        }
        turns_late(call, served).await?;
        return hop.uncalled("it was ready when the deadline was over");
    }
    Err(Finding::inconclusive("the machine was too busy to begin in time"))
}
