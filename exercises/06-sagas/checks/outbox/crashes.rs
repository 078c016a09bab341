//! Connections and servers that are lost, or do not answer.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) async fn cut_anywhere<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let (mut cuts, mut order, mut all) = (0, 0, Vec::new());
    'steps: for step in 1..=STEPS {
        for reply in [false, true] {
            order += 1;
            let relay = scene.watched_relay::<S>("relay", PATIENT).await?;
            let messages = [1, 2].map(|nth| scene.message(order, nth));
            // A connection, and what is prepared on it.
            let _ = relay.quietly().await;
            scene.commit(&relay, &messages).await?;
            scene.world.history().turn_page();
            relay.proxy.reset_count();
            let cut = match reply {
                false => relay.proxy.cut_request(move |request| request.nth == step),
                true => relay.proxy.cut_reply(move |request| request.nth == step),
            };
            let answer = relay.forward().await;
            let published = scene.broker.ids().len();
            if cut.count() == 0 {
                break 'steps;
            }
            cuts += 1;
            let _ = relay.until(2 * order as usize, SOON).await;
            scene.in_order(&messages, "they are committed, whatever connection was cut")?;
            relay.rest().await?;
            let again = scene.broker.ids().into_iter().nth(published);
            if let (Ok(Forwarded { sent: 2, .. }), Some(again)) = (answer, again) {
                let expected = "an error, or both marked: the connection was cut";
                let saw = format!("2 sent, and {again} once more by the next call");
                return Err(relay.broken(expected, saw));
            }
            all.extend(messages);
        }
    }
    // What is confirmed by now does not come again.
    let relay = scene.relay::<S>("relay", PATIENT).await?;
    relay.rest().await?;
    let times = scene.broker.ids().len();
    relay.rest().await?;
    if let Some(again) = scene.broker.ids().get(times) {
        let expected = format!("no more of {again}: it is confirmed");
        return Err(scene.broken(expected, "it comes again and again", again));
    }
    scene.in_order(&all, "they are committed, whatever connection was cut")?;
    landed(cuts, "forwarding asked PostgreSQL nothing")
}

pub(super) async fn killed_sessions<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let relay = scene.relay::<S>("relay", PATIENT).await?;
    let [before, after] = [1, 2].map(|nth| scene.message(1, nth));
    scene.commit(&relay, std::slice::from_ref(&before)).await?;
    relay.until(1, SOON).await?;
    let killed = scene.world.postgres().await?.terminate_clients().await?;
    landed(killed, "nobody had a session")?;
    // The shop's own was among them, and may not have heard of it yet.
    *scene.shop.lock().await = scene.client().await?;
    scene.note("database", "(its sessions are killed)");
    scene.commit(&relay, std::slice::from_ref(&after)).await?;
    relay.until(2, SOON).await?;
    relay.rest().await?;
    scene.got(&[before, after], "the sessions were killed between the two")
}

pub(super) async fn postgres_stalls<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let relay = scene.relay::<S>("relay", BRISK).await?;
    let [before, after] = [1, 2].map(|nth| scene.message(1, nth));
    scene.commit(&relay, std::slice::from_ref(&before)).await?;
    relay.until(1, SOON).await?;
    relay.rest().await?;
    let hangs = scene.world.fault("PostgreSQL hangs, as the relay sees it");
    relay.proxy.stall();
    match tokio::time::timeout(SOON, relay.forward()).await {
        Err(_) => {
            let saw = format!("nothing within {SOON:?}");
            return Err(relay.broken("an error: the timeout is 250 ms", saw));
        }
        Ok(Ok(_)) => return Err(relay.broken("an error: nothing was answered", "an answer")),
        Ok(Err(_)) => {}
    }
    scene.commit(&relay, std::slice::from_ref(&after)).await?;
    relay.proxy.resume();
    drop(hangs);
    relay.until(2, SOON).await?;
    scene.in_order(&[before, after], "PostgreSQL answers again")
}

pub(super) async fn broker_hangs<S: Outbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let relay = scene.relay::<S>("relay", SHORT_TURN).await?;
    let other = scene.relay::<S>("other", SHORT_TURN).await?;
    // More than would fit, were each given as long as the whole turn.
    let messages: Vec<Message> = (1..=20).map(|order| scene.message(order, 1)).collect();
    scene.commit(&relay, &messages).await?;
    let (gate, hanging) = (Gate::shut(), Arc::new(AtomicBool::new(true)));
    let hangs_still = Arc::clone(&hanging);
    let rule = move |_: &Message| hangs_still.load(Ordering::SeqCst);
    scene.broker.rule(usize::MAX, rule, Fate::Held(gate.clone()));
    let hangs = scene.world.fault("the broker hangs, as the relay sees it");
    match tokio::time::timeout(SOON, relay.forward()).await {
        Err(_) => {
            let saw = format!("nothing within {SOON:?}");
            return Err(relay.broken("an end: a turn is 300 ms", saw));
        }
        Ok(Ok(Forwarded { sent: 1.., .. })) => {
            return Err(relay.broken("nothing sent: nothing was confirmed", "something sent"));
        }
        Ok(Ok(Forwarded { unknown: 0, .. })) if gate.count() > 0 => {
            let expected = "it told as unknown: it was published, and no confirm came";
            return Err(relay.broken(expected, "none unknown"));
        }
        Ok(_) => {}
    }
    hanging.store(false, Ordering::SeqCst);
    landed(gate.count(), "nothing was published")?;
    other.until(messages.len(), A_WHILE).await?;
    drop(hangs);
    gate.open();
    relay.rest().await?;
    scene.in_order(&messages, "the broker answers the other relay")
}
