//! Many callers of one publisher, and some who leave.

use super::window::all_ok;
use super::*;
use std::sync::Arc;
use std::time::Instant;

pub(super) async fn together<S: Publisher>(world: World) -> Result<(), Finding> {
    const CALLERS: usize = 20;
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(PATIENT).await?;
    client.arrives(&scene.message(0)).await?;
    client.proxy.reset_count();
    let gate = client.hold_confirms();
    let calling: Vec<_> = (0..CALLERS).map(|nth| client.start_one(scene.message(nth))).collect();
    let seen = client.comes_to_wire(CALLERS, &calling).await;
    client.let_go(&gate);
    if seen < CALLERS {
        let saw = format!("{seen}: the others wait for its confirm");
        return Err(client.not(format!("{CALLERS} publishes of {CALLERS} callers"), saw));
    }
    for calling in calling {
        all_ok(&client, &[calling.await??])?;
    }
    Ok(())
}

pub(super) async fn one_channel<S: Publisher>(world: World) -> Result<(), Finding> {
    const CALLERS: usize = 50;
    const EACH: usize = 6;
    // Nobody said that there is to be exactly one.
    const A_FEW: usize = CALLERS / 10;
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(Options { window: 16, ..PATIENT }).await?;
    let mut calling = Vec::new();
    for caller in 0..CALLERS {
        let of_caller = |nth| match (caller + nth) % 5 {
            0 => scene.keyed(caller * EACH + nth, "nobody.wants"),
            _ => scene.message(caller * EACH + nth),
        };
        let messages: Vec<Message> = (0..EACH).map(of_caller).collect();
        let client = Arc::clone(&client);
        calling.push(tokio::spawn(async move {
            for message in messages {
                let outcome = client.publish(&message).await?;
                let expected = match message.key.as_str() {
                    "nobody.wants" => "unroutable",
                    _ => "ok",
                };
                if word(&outcome) != expected {
                    let expected = format!("{} to be {expected}", message.id);
                    return Err(client.not(expected, word(&outcome)));
                }
            }
            Ok::<(), Finding>(())
        }));
    }
    for calling in calling {
        calling.await??;
    }
    let (messages, unwanted) = (CALLERS * EACH, CALLERS * EACH / 5);
    scene.holds(&scene.queue, messages - unwanted).await?;
    let opened = client.proxy.counts().commands.get("confirm.select").copied().unwrap_or(0);
    match opened {
        1..=A_FEW => Ok(()),
        _ => {
            let saw = format!("{opened} for {messages} messages");
            Err(client.not("one channel in confirm mode, or a few", saw))
        }
    }
}

pub(super) async fn left_while_connecting<S: Publisher>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    // They leave before the connection stands, and before its channel is in confirm mode.
    for stalls in [true, false] {
        scene.world.history().turn_page();
        let client = scene.client::<S>(PATIENT).await?;
        let gate = client.proxy.hold(|request| request.is("confirm.select"));
        if stalls {
            client.proxy.stall();
        }
        let first = client.start_one(scene.message(0));
        if !stalls && !meets(&gate, &first).await? {
            return Err(client.not("a channel in confirm mode", word(&first.await??)));
        }
        let second = client.start_one(scene.message(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
        for calling in [first, second] {
            calling.abort();
            let _ = calling.await;
        }
        scene.world.history().note("client", "(those who were connecting have left)");
        client.proxy.resume();
        client.let_go(&gate);
        let began = Instant::now();
        client.arrives_soon(&scene.message(2)).await?;
        if began.elapsed() >= PATIENT.timeout {
            let saw = format!("after {:.0?}", began.elapsed());
            return Err(client.not("ok at once: nothing is in its way", saw));
        }
    }
    Ok(())
}

pub(super) async fn dropped_callers<S: Publisher>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let window = BRISK.window;
    let client = scene.client::<S>(Options { window, ..PATIENT }).await?;
    client.arrives(&scene.message(0)).await?;
    for round in 0..4 {
        scene.world.history().turn_page();
        client.proxy.reset_count();
        let gate = client.hold_confirms();
        // These fill the window, one by one or in a batch; these wait for room; and all of them leave.
        let mut calling: Vec<_> = match round % 2 {
            0 => (0..window).map(|nth| client.leaves(vec![scene.message(nth)])).collect(),
            _ => vec![client.leaves(scene.messages(window))],
        };
        let seen = client.comes_to_wire(window, &calling).await;
        if seen < window {
            return Err(client.not(format!("{window} on the wire"), seen.to_string()));
        }
        calling.extend((0..window).map(|nth| client.leaves(vec![scene.message(10 + nth)])));
        tokio::time::sleep(Duration::from_millis(5 * round)).await;
        for calling in calling {
            calling.abort();
            let _ = calling.await;
        }
        // What they have sent is on its way as before.
        let next = client.start(scene.messages(3 * window));
        tokio::time::sleep(Duration::from_millis(60)).await;
        let seen = client.on_the_wire();
        if seen != window {
            client.let_go(&gate);
            let saw = format!("{seen}: those of the callers who left, and more");
            return Err(client.not(format!("{window} on their way unconfirmed"), saw));
        }
        client.let_go(&gate);
        all_ok(&client, &next.await??)?;
    }
    Ok(())
}
