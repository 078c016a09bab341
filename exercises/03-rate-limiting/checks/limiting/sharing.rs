//! Many clients at one quota: whose clock counts, and what fits between two steps.

use crate::scene::{Client, key, patient, quota, slow};
use grading::{Child, Evidence, Finding, SOON, World, comes_to};
use rate_limiting::limiter::{By, Limiter};
use std::sync::Arc;
use std::time::Duration;

pub(crate) async fn server_clock<S: Limiter>(world: World) -> Result<(), Finding> {
    let every = Duration::from_millis(100);
    let key = key(&mut world.random());
    // What was spent is known for a second: who decides by an old time does not get away with a
    // key that has expired meanwhile.
    let client = Client::<S>::new(&world, "client", quota(10, every), patient()).await?;
    client.must("another", 0, true, "a look").await?;
    world.history().turn_page();
    client.must(&key, 10, true, "the burst was not touched").await?;
    let late = client.proxy.hold(|_| true);
    let client = Arc::new(client);
    let mut asking = tokio::spawn({
        let (client, key) = (Arc::clone(&client), key.clone());
        async move { client.decide(&key, 1).await }
    });
    comes_to(&late, &mut asking).await?;
    tokio::time::sleep(every * 3 / 2).await;
    client.proxy.clear_rules();
    late.open();
    let decision = asking.await?;
    if decision.allowed && decision.by == By::State {
        return Ok(());
    }
    let expected = format!("allowed: when it came to Redis, a unit's {every:?} had passed");
    Err(client.broken(expected, &decision))
}

pub(crate) async fn no_room_between<S: Limiter>(world: World) -> Result<(), Finding> {
    const BURST: u32 = 3;
    // The first request of a decision is held, then the second, until there is none to hold.
    for step in 1..=6 {
        let key = format!("{}:{step}", key(&mut world.random()));
        let slow_one = Client::<S>::new(&world, "slow", slow(BURST), patient()).await?;
        let quick = Client::<S>::new(&world, "quick", slow(BURST), patient()).await?;
        for client in [&slow_one, &quick] {
            client.must("another", 0, true, "a look").await?;
        }
        world.history().turn_page();
        slow_one.proxy.reset_count();
        let gate = slow_one.proxy.hold(move |request| request.nth == step);
        let slow_one = Arc::new(slow_one);
        let mut asking = tokio::spawn({
            let (client, key) = (Arc::clone(&slow_one), key.clone());
            async move { client.decide(&key, 1).await }
        });
        tokio::select! {
            came = gate.arrived(1, SOON) => came?,
            ended = &mut asking => {
                let _ = ended?;
                return match step {
                    1 => Err(Finding::inconclusive("a decision sent nothing that could be held")),
                    _ => Ok(()),
                };
            }
        }
        quick.must(&key, BURST, true, "nobody else has spent anything yet").await?;
        let spent = quick.last_answer();
        gate.open();
        let decision = asking.await?;
        if decision.allowed {
            let expected = format!("refused: the burst of {BURST} was spent before it went on");
            let evidence = Evidence::new(expected, "allowed, from what it had read before");
            return Err(evidence.at(spent).at(slow_one.last_answer()).into());
        }
    }
    Ok(())
}

/// The second process: a limiter of its own, that spends all it gets of each key it hears.
pub(crate) async fn spender<S: Limiter>(mut child: Child) {
    let url: String = child.arguments();
    let limiter = S::open(&url, slow(OF_BOTH), patient()).expect("the parent's URL can be read");
    Child::say("ready");
    loop {
        let key = child.hear().await;
        let mut spent = 0;
        while spent < 2 * OF_BOTH && limiter.decide(&key, 1).await.allowed {
            spent += 1;
        }
        Child::say(&spent.to_string());
    }
}

const OF_BOTH: u32 = 5;

pub(crate) async fn two_processes<S: Limiter>(world: World) -> Result<(), Finding> {
    let key = key(&mut world.random());
    let here = Client::<S>::new(&world, "here", slow(OF_BOTH), patient()).await?;
    let wire = world.client("there").await?;
    let mut there = world.process(&wire.url())?;
    there.expect("ready", SOON).await?;
    here.must(&key, 2, true, "nobody has spent anything yet").await?;
    let call = world.history().invoke("there", format!("decide({key}, 1), again and again"));
    there.say(&key).await;
    let spent = there.expect("how much it spent", SOON).await?;
    let step = call.ok(format!("{spent} allowed"));
    if spent != "3" {
        let expected = "3 units for the other process: of 5, this one has spent 2";
        return Err(Evidence::new(expected, spent).at(here.last_answer()).at(step).into());
    }
    here.must(&key, 1, false, "the two processes have spent all 5").await?;
    Ok(())
}

pub(crate) async fn keys_apart<S: Limiter>(world: World) -> Result<(), Finding> {
    let (one, other) = (
        Client::<S>::new(&world, "one", slow(4), patient()).await?,
        Client::<S>::new(&world, "other", slow(4), patient()).await?,
    );
    let first = key(&mut world.random());
    let similar = [format!("{first}:at"), format!("{first}:level"), first.to_uppercase()];
    let odd = ["", "{", "a b\r\n", "user:{7}"].map(str::to_owned);
    one.must(&first, 4, true, "the burst was not touched").await?;
    for key in similar.iter().chain(&odd) {
        one.must(key, 3, true, "another key has a quota of its own").await?;
        other.must(key, 2, false, "one unit of this key is left, whoever asks").await?;
        other.must(key, 1, true, "one unit of this key is left, whoever asks").await?;
    }
    other.must(&first, 1, false, "it was spent, by another client").await?;
    Ok(())
}
