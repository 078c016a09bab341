//! What a decision costs in round trips, what is kept in Redis, and for how long.

use crate::scene::{Client, Timed, key, keys, patient, quota, slow};
use grading::{Evidence, Finding, World};
use rate_limiting::limiter::{By, Clock, Limiter};
use redis::AsyncCommands;
use std::time::{Duration, Instant};

pub(crate) async fn one_round_trip<S: Limiter>(world: World) -> Result<(), Finding> {
    let key = key(&mut world.random());
    let client = Client::<S>::new(&world, "client", slow(3), patient()).await?;
    client.must(&key, 1, true, "the burst was not touched").await?;
    for (cost, allowed, why) in [
        (1, true, "two units are left"),
        (0, true, "a look is always allowed"),
        (2, false, "one unit is left"),
        (1, true, "one unit is left"),
    ] {
        client.proxy.reset_count();
        client.must(&key, cost, allowed, why).await?;
        let counts = client.proxy.counts();
        if counts.round_trips > 1 {
            let commands: Vec<_> = counts.commands.keys().map(String::as_str).collect();
            let saw = format!("{}: {}", counts.round_trips, commands.join(", "));
            return Err(Evidence::new("one round trip", saw).at(client.last_answer()).into());
        }
    }
    Ok(())
}

/// A TTL in whole seconds, rounded up, is good enough.
const SLACK: Duration = Duration::from_secs(1);

pub(crate) async fn keys_expire<S: Limiter>(world: World) -> Result<(), Finding> {
    let mut look = world.look().await?;
    // Nothing comes back while it is looked at.
    let quota = quota(100, Duration::from_secs(20));
    let key = key(&mut world.random());
    for given in [false, true] {
        for cost in [1, 30, 100] {
            world.history().turn_page();
            let (client, spare) = match given {
                false => (
                    Client::<S>::new(&world, "client", quota, patient()).await?,
                    Clock::Server.spare(),
                ),
                true => {
                    let timed = Timed::<S>::fresh(&world, quota).await?;
                    (timed.client, Duration::from_secs(3_600))
                }
            };
            client.must(&key, cost, true, "the burst was not touched").await?;
            // Who is refused must not keep the key alive either.
            let refused = client.must(&key, 100, false, "a part of the burst is spent").await?;
            let left = keys(&world).await?;
            if left.is_empty() {
                return Err(Evidence::new("a key in Redis that says what was spent", "none")
                    .at(client.last_answer())
                    .into());
            }
            let longest = refused.reset_after + spare + SLACK;
            for (name, life) in left {
                if life.is_none_or(|life| life > longest) {
                    let expected = format!("{name} to expire within {longest:?}");
                    let saw =
                        life.map_or("it lives for ever".to_owned(), |life| format!("{life:?}"));
                    return Err(Evidence::new(expected, saw).at(client.last_answer()).into());
                }
                let _: () = look.del(&name).await?;
            }
        }
    }
    Ok(())
}

pub(crate) async fn nothing_comes_early<S: Limiter>(world: World) -> Result<(), Finding> {
    const BURST: u32 = 5;
    let every = Duration::from_millis(70);
    let quota = quota(BURST, every);
    for attempt in 0..6 {
        let key = format!("{}:{attempt}", key(&mut world.random()));
        let one = Client::<S>::new(&world, "one", quota, patient()).await?;
        let other = Client::<S>::new(&world, "other", quota, patient()).await?;
        for client in [&one, &other] {
            client.must("another", 0, true, "a look").await?;
        }
        world.history().turn_page();
        let began = Instant::now();
        one.must(&key, 3, true, "the burst was not touched").await?;
        other.must(&key, 1, true, "two units are left").await?;
        other.must(&key, 1, true, "one unit is left").await?;
        // The refused one must not keep the key from filling, nor start anything.
        tokio::time::sleep(every * 5 / 2).await;
        let mut spent = 0;
        let mut back = BURST;
        while spent <= BURST {
            let decision = one.decide(&key, 1).await;
            // As much as the machine's clock, which is the server's, can have brought by now.
            back = u32::try_from(began.elapsed().as_micros() / every.as_micros()).unwrap_or(BURST);
            if !decision.allowed {
                break;
            }
            spent += 1;
        }
        if back >= BURST {
            // The machine was busy for so long that all of it may be back: nothing is proved.
            continue;
        }
        if spent > back {
            let expected = format!("{back} units at most: one comes back each {every:?}");
            let saw = format!("{spent} after {:?}", began.elapsed());
            return Err(Evidence::new(expected, saw).at(one.last_answer()).into());
        }
        if spent == 0 {
            let expected = format!("2 units or so: one comes back each {every:?}");
            return Err(Evidence::new(expected, "none").at(one.last_answer()).into());
        }
        tokio::time::sleep(quota.window() + every / 2).await;
        other.must(&key, BURST, true, "a whole window has passed").await?;
        return Ok(());
    }
    Err(Finding::inconclusive("the machine was too busy: the whole burst was back at each look"))
}

pub(crate) async fn cut_everywhere<S: Limiter>(world: World) -> Result<(), Finding> {
    const BURST: u32 = 10;
    let witness = Client::<S>::new(&world, "witness", slow(BURST), patient()).await?;
    let mut landed = 0;
    // Every step of a decision, one after the other: first its request is lost, then its reply.
    'steps: for step in 1..=8 {
        for reply in [false, true] {
            world.history().turn_page();
            let key =
                format!("{}:{step}{}", key(&mut world.random()), if reply { "b" } else { "a" });
            let client = Client::<S>::new(&world, "client", slow(BURST), patient()).await?;
            let cut = match reply {
                false => client.proxy.cut_request(move |request| request.nth == step),
                true => client.proxy.cut_reply(move |request| request.nth == step),
            };
            let decision = client.decide(&key, 2).await;
            if cut.count() == 0 {
                break 'steps;
            }
            landed += 1;
            // What the subject does behind its caller's back belongs to the step as well.
            tokio::time::sleep(Duration::from_millis(5)).await;
            if let Some((left, _)) = keys(&world).await?.iter().find(|(_, life)| life.is_none()) {
                let evidence =
                    Evidence::new("a TTL on every key", format!("{left} lives for ever"));
                return Err(evidence.at(world.history().last("client", "✂")).into());
            }
            let look = witness.must(&key, 0, true, "a look").await?;
            let most = if decision.by == By::State { BURST - 2 } else { BURST };
            if look.remaining > most {
                let expected = format!("{most} left at most: 2 were allowed");
                return Err(witness.broken(expected, &look));
            }
            // Twice what was asked for: a decision may be made again on a new connection.
            if look.remaining < BURST - 4 {
                let expected = format!("{} left at least: 2 were asked for", BURST - 4);
                return Err(witness.broken(expected, &look));
            }
        }
    }
    match landed {
        0 => Err(Finding::inconclusive("a decision sent nothing that could be cut")),
        _ => Ok(()),
    }
}
