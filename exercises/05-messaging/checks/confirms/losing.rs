//! Connections, confirms and exchanges that are not there.

use super::scene::tally;
use super::*;
use messaging::Error;
use std::time::Instant;

pub(super) async fn lost_on_the_way<S: Publisher>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(PATIENT).await?;
    client.arrives(&scene.message(0)).await?;
    for (nth, after) in [(1, true), (2, false), (3, true), (4, false)] {
        scene.world.history().turn_page();
        scene.take(&scene.queue).await?;
        client.proxy.clear_rules();
        let cut = match after {
            true => client.proxy.cut_reply(|request| request.is("basic.publish")),
            false => client.proxy.cut_request(|request| request.is("basic.publish")),
        };
        let message = scene.message(nth);
        let outcome = client.publish(&message).await?;
        landed(cut.count(), "nothing was cut")?;
        if word(&outcome) != "unknown" {
            let expected = "unknown: its confirm was lost with the connection";
            return Err(client.not(expected, word(&outcome)));
        }
        let is_there = usize::from(after);
        scene.holds(&scene.queue, is_there).await?;
        client.arrives_soon(&message).await?;
        let ids = scene.ids().await?;
        let times = ids.get(&message.id).copied().unwrap_or_default();
        if times < 1 + is_there || ids.len() != 1 {
            let expected = format!("{} at least {} times, and no other", message.id, 1 + is_there);
            return Err(client.not(expected, format!("{ids:?}")));
        }
    }
    Ok(())
}

pub(super) async fn killed_in_flight<S: Publisher>(world: World) -> Result<(), Finding> {
    const BATCH: usize = 20;
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(PATIENT).await?;
    client.arrives(&scene.message(0)).await?;
    for _ in 0..2 {
        scene.world.history().turn_page();
        scene.take(&scene.queue).await?;
        client.proxy.reset_count();
        let gate = client.hold_confirms();
        let batch = scene.messages(BATCH);
        let calling = client.start(batch.clone());
        client.comes_to_wire(BATCH, std::slice::from_ref(&calling)).await;
        landed(client.on_the_wire(), "nothing was on the wire")?;
        client.proxy.kill_connections();
        scene.world.history().note("client", "(its connection is killed)");
        let outcomes = calling.await??;
        if outcomes.iter().any(|outcome| word(outcome) != "unknown") {
            return Err(client.not("unknown, all of them: none was confirmed", tally(&outcomes)));
        }
        client.let_go(&gate);
        client.all_arrive_soon(&batch).await?;
        let ids = scene.ids().await?;
        if batch.iter().any(|message| !ids.contains_key(&message.id)) {
            return Err(client.not(format!("{BATCH} in the queue"), ids.len().to_string()));
        }
    }
    Ok(())
}

pub(super) async fn confirmed_stays<S: Publisher>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    // Room for one: the second goes out when the first is confirmed.
    let client = scene.client::<S>(Options { window: 1, ..PATIENT }).await?;
    for _ in 0..2 {
        scene.world.history().turn_page();
        client.arrives_soon(&scene.message(0)).await?;
        client.proxy.reset_count();
        let third = scene.keyed(3, "order.third");
        let gate = client.proxy.hold(|request| request.field("routing-key") == Some("order.third"));
        let back = scene.keyed(2, "nobody.wants");
        let calling = client.start(vec![scene.message(1), back, third, scene.message(4)]);
        let came = meets(&gate, &calling).await?;
        client.proxy.kill_connections();
        scene.world.history().note("client", "(its connection is killed)");
        client.let_go(&gate);
        let outcomes = calling.await??;
        landed(usize::from(came), "the third was not on the wire")?;
        let saw: Vec<&str> = outcomes.iter().map(word).collect();
        if saw[..3] != ["ok", "unroutable", "unknown"] {
            let expected = "ok, unroutable, unknown: the first two were confirmed before";
            return Err(client.not(expected, saw[..3].join(", ")));
        }
    }
    Ok(())
}

pub(super) async fn killed_between<S: Publisher>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(PATIENT).await?;
    client.arrives(&scene.message(0)).await?;
    for nth in 1..=4 {
        if nth % 2 == 0 {
            client.proxy.kill_connections();
        } else {
            // The check's own dies with it, so it is not looked at any more.
            let rabbit = scene.world.rabbit().await?;
            let connections = rabbit.kill_connections().await?;
            landed(connections, "there was no connection")?;
        }
        scene.world.history().note("client", "(its connection is killed)");
        client.arrives_soon(&scene.message(nth)).await?;
    }
    client.all_arrive_soon(&scene.messages(4)).await?;
    let queue = scene.world.rabbit().await?.queue(&scene.queue).await?;
    match queue {
        Some(queue) if queue.ready >= 9 => Ok(()),
        found => {
            let saw = found.map_or("no queue".to_owned(), |queue| queue.to_string());
            Err(client.not("9 messages, of which each was confirmed", saw))
        }
    }
}

pub(super) async fn missing_exchange<S: Publisher>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(PATIENT).await?;
    let nowhere = format!("{}-nowhere", scene.exchange);
    for nth in 0..3 {
        scene.world.history().turn_page();
        client.arrives_soon(&scene.message(nth)).await?;
        let began = Instant::now();
        let outcomes = match nth {
            0 => vec![client.publish_to(&nowhere, &scene.message(10)).await?],
            _ => client.publish_all_to(&nowhere, &scene.messages(5)).await?,
        };
        if outcomes.iter().any(|outcome| word(outcome) != "unknown") {
            return Err(client.not("unknown: the channel was closed", tally(&outcomes)));
        }
        let told = |outcome: &Result<(), NotConfirmed>| match outcome {
            Err(NotConfirmed::Unknown(Error::Broker(error))) => {
                let said = error.to_string();
                said.contains("NOT_FOUND") || said.contains("NOT-FOUND") || said.contains(&nowhere)
            }
            _ => false,
        };
        if !outcomes.iter().any(told) {
            let said = outcomes.into_iter().find_map(Result::err);
            let said = said.map(|error| error.to_string()).unwrap_or_default();
            return Err(client.not("what the broker says: NOT_FOUND, no such exchange", said));
        }
        if began.elapsed() >= PATIENT.timeout {
            let saw = format!("after {:.0?}", began.elapsed());
            return Err(client.not("told at once: the broker has said it", saw));
        }
    }
    client.arrives_soon(&scene.message(3)).await
}

pub(super) async fn starts_alone<S: Publisher>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    if S::open("shop.example:5672", BRISK).is_ok() {
        let expected = "an error of open(): `shop.example:5672` is no url";
        return Err(Evidence::new(expected, "ok").into());
    }
    let proxy = scene.world.rabbit_client("client").await?;
    proxy.refuse();
    let client = scene.client_at::<S>(proxy, BRISK)?;
    for nth in 0..2 {
        let outcome = client.publish(&scene.message(nth)).await?;
        if word(&outcome) != "unknown" {
            return Err(client.not("unknown: the broker is away", word(&outcome)));
        }
    }
    client.proxy.accept().await?;
    scene.world.history().note("client", "(the broker is back)");
    client.arrives_soon(&scene.message(2)).await?;
    client.all_arrive_soon(&scene.messages(3 * BRISK.window)).await
}
