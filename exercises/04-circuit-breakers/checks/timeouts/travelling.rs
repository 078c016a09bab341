//! Three hops on a real Redis, and one deadline.

use super::chain::{Door, Heard, Wire, behind, relay, worker};
use super::scene::{Ended, SPANS, is_late, request};
use super::work::{GRACE, Steps, steps};
use circuit_breakers::timeouts::Deadlines;
use grading::{Evidence, Finding, World};
use redis::AsyncCommands;
use std::sync::PoisonError;
use testbed::proxy::Proxy;
use tokio::time::Instant;

/// A caller, three hops, and a Redis.
struct Chain {
    door: Door,
    steps: Steps,
    heard: Heard,
    proxy: Proxy,
}

async fn chain<D: Deadlines>(world: &World, wire: Wire) -> Result<Chain, Finding> {
    let proxy = world.client("hop 3").await?;
    // Its own limits must not save anybody.
    let patient = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let client = redis::Client::open(proxy.url())?;
    let redis = client.get_multiplexed_async_connection_with_config(&patient).await?;
    world.history().turn_page();
    let (steps, work) = steps(world.history(), "hop 3");
    let heard = Heard::default();
    let history = world.history();
    let third = behind::<D>(history, "hop 3", wire, worker(work, redis), heard.clone());
    let second = behind::<D>(history, "hop 2", wire, relay::<D>(third), heard.clone());
    let door = behind::<D>(history, "hop 1", wire, relay::<D>(second), heard.clone());
    Ok(Chain { door, steps, heard, proxy })
}

/// How often the work has reached Redis.
async fn reached(world: &World) -> Result<usize, Finding> {
    Ok(world.look().await?.get::<_, Option<usize>>("work").await?.unwrap_or(0))
}

pub(super) async fn one_deadline<D: Deadlines>(world: World) -> Result<(), Finding> {
    for span in SPANS {
        let chain = chain::<D>(&world, Wire::Deaf).await?;
        let header = span.as_millis().to_string();
        let (history, began) = (world.history().clone(), Instant::now());
        let (door, asked) = (chain.door.clone(), request(&[&header]));
        let asked = async move { door.ask(asked).await };
        let what = format!("asks, time-left: {header}");
        let caller = tokio::spawn(async move { is_late(&history, "caller", &what, asked).await });
        let begun = chain.steps.take(3).await;
        let late = caller.await??;
        if !begun? {
            continue;
        }
        let early = span.saturating_sub(began.elapsed());
        // A millisecond for each hop that rounded down, and no more.
        if early.as_millis() > 3 {
            let saw = format!("Late {early:.0?} before it");
            return Err(Evidence::new("an answer until the deadline", saw).at(late).into());
        }
        chain
            .steps
            .must_end(Some(late), "the caller has gone, and all hops have its deadline")
            .await?;
        let (done, commands) = (chain.steps.done(), reached(&world).await?);
        if commands > done {
            let expected = format!("{done} commands at Redis, one for each step");
            return Err(Evidence::new(expected, commands.to_string()).at(late).into());
        }
        return Ok(());
    }
    Err(Finding::inconclusive("the machine was too busy to begin in time"))
}

pub(super) async fn less_at_each_hop<D: Deadlines>(world: World) -> Result<(), Finding> {
    let chain = chain::<D>(&world, Wire::Attentive).await?;
    let asked = tokio::spawn(chain.door.ask(request(&["8000"])));
    let begun = chain.steps.take(1).await;
    if asked.is_finished() {
        // Only its panic or its error can tell why.
        return match asked.await?.map_err(|error| error.to_string()) {
            Ok(answer) => Err(Evidence::new("work at hop 3", answer.into_body()).into()),
            Err(error) => Err(Evidence::new("work at hop 3", error).into()),
        };
    }
    begun?;
    asked.abort();
    let heard = chain.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let numbers: Option<Vec<u64>> = heard.iter().map(|told| told.parse().ok()).collect();
    let falls = numbers
        .is_some_and(|numbers| numbers.len() == 3 && numbers.windows(2).all(|two| two[1] < two[0]));
    if falls {
        return Ok(());
    }
    let (second, third) =
        (world.history().last("hop 2", "arrives"), world.history().last("hop 3", "arrives"));
    let expected = "less at each hop: whole milliseconds, rounded down";
    Err(Evidence::new(expected, heard.join(", then ")).at(second).at(third).into())
}

pub(super) async fn cancelled_caller<D: Deadlines>(world: World) -> Result<(), Finding> {
    let chain = chain::<D>(&world, Wire::Attentive).await?;
    let call = world.invoke("caller", "asks, time-left: 8000");
    let asked = tokio::spawn(chain.door.ask(request(&["8000"])));
    let begun = chain.steps.take(3).await;
    if asked.is_finished() {
        let ended = Ended::of(asked.await?);
        let step = call.ok(ended.to_string());
        return Err(Evidence::new("work at hop 3", ended.to_string()).at(step).into());
    }
    if !begun? {
        return Err(Finding::inconclusive("the work ended before the caller left"));
    }
    asked.abort();
    let step = call.unknown("hangs up");
    chain.steps.must_end(Some(step), "the caller has hung up").await
}

pub(super) async fn hanging_redis<D: Deadlines>(world: World) -> Result<(), Finding> {
    for span in SPANS {
        let chain = chain::<D>(&world, Wire::Deaf).await?;
        let before = reached(&world).await?;
        let header = span.as_millis().to_string();
        let history = world.history().clone();
        let (door, asked) = (chain.door.clone(), request(&[&header]));
        let asked = async move { door.ask(asked).await };
        let what = format!("asks, time-left: {header}");
        let caller = tokio::spawn(async move { is_late(&history, "caller", &what, asked).await });
        let begun = chain.steps.take(2).await;
        let fault = world.fault("Redis hangs");
        chain.proxy.stall();
        // Allowed to go on as soon as Redis does.
        for _ in 0..20 {
            chain.steps.allow_one();
        }
        let late = caller.await??;
        if !begun? {
            chain.proxy.resume();
            continue;
        }
        // By now the last hop's own clock has run out as well, or never will.
        tokio::time::sleep(GRACE / 10).await;
        drop(fault);
        chain.proxy.resume();
        let wait = Instant::now();
        chain.steps.must_end(Some(late), "the caller has gone").await?;
        // What was sent may still arrive, once. Redis gets a moment for it.
        tokio::time::sleep(GRACE / 20).await;
        let more = reached(&world).await?.saturating_sub(before + 2);
        if more > 1 {
            let expected = "at most the one command that was on its way";
            let saw = format!("{more} more, {:.0?} after Redis went on", wait.elapsed());
            return Err(Evidence::new(expected, saw).at(late).into());
        }
        return Ok(());
    }
    Err(Finding::inconclusive("the machine was too busy to begin in time"))
}
