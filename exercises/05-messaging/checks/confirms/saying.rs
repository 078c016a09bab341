//! What `Ok` says.

use super::*;
use std::collections::BTreeMap;

pub(super) async fn waits_for_the_confirm<S: Publisher>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(PATIENT).await?;
    client.arrives(&scene.message(0)).await?;
    for nth in 1..=3 {
        let gate = client.hold_confirms();
        let calling = client.start_one(scene.message(nth));
        let came = meets(&gate, &calling).await?;
        // Who does not wait for it needs some moments to say so.
        tokio::time::sleep(Duration::from_millis(30)).await;
        if !came || calling.is_finished() {
            let saw = word(&calling.await??);
            return Err(client.not("no answer before the confirm is there", saw));
        }
        client.let_go(&gate);
        if let Err(error) = calling.await?? {
            return Err(client.not("ok: it was confirmed", error.to_string()));
        }
    }
    scene.holds(&scene.queue, 4).await
}

pub(super) async fn whole_and_persistent<S: Publisher>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(PATIENT).await?;
    let mut sent = scene.messages(6);
    // One in two has all that a message may have, and the others have none of it.
    for (nth, message) in sent.iter_mut().enumerate().step_by(2) {
        message.correlation = Some(format!("order-{nth}"));
        message.content_type = Some("application/json".to_owned());
        let headers = [("traceparent", format!("00-{nth}")), ("town", "Zürich".to_owned())];
        message.headers = BTreeMap::from(headers.map(|(name, value)| (name.to_owned(), value)));
        message.body.extend([0, 0xff, 0xfe]);
    }
    for message in &sent[..3] {
        client.arrives(message).await?;
    }
    let outcomes = client.publish_all(&sent[3..]).await?;
    if let Some(Err(error)) = outcomes.into_iter().find(Result::is_err) {
        return Err(client.not("3 ok", error.to_string()));
    }
    let found = scene.take(&scene.queue).await?;
    for (nth, message) in sent.iter().enumerate() {
        let Some(delivery) = found.get(nth).map(|found| &found.delivery) else {
            return Err(client.not(format!("{} messages", sent.len()), found.len().to_string()));
        };
        let (expected, saw) = (message, Message::delivered(delivery));
        if *expected != saw {
            return Err(client.not(format!("{expected:?}"), format!("{saw:?}")));
        }
        if *delivery.properties.delivery_mode() != Some(2) {
            let saw = format!("{:?}", delivery.properties.delivery_mode());
            return Err(client.not("delivery-mode 2: it is to outlive the broker", saw));
        }
    }
    match found.len() == sent.len() {
        true => Ok(()),
        false => Err(client.not(format!("{} messages", sent.len()), found.len().to_string())),
    }
}

pub(super) async fn any_size<S: Publisher>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(PATIENT).await?;
    // A frame has 128 KiB. Those at its edge, and some larger.
    let sizes = [0, 1, 131_063, 131_064, 131_065, 400_000];
    let mut sent = scene.messages(sizes.len());
    for (message, size) in sent.iter_mut().zip(sizes) {
        message.body = (0..size).map(|at| (at % 251) as u8).collect();
    }
    for message in &sent {
        client.arrives(message).await?;
    }
    client.all_arrive_soon(&sent).await?;
    let found = scene.take(&scene.queue).await?;
    for (nth, message) in sent.iter().chain(&sent).enumerate() {
        let saw = found.get(nth).map(|found| &found.delivery.data);
        if saw != Some(&message.body) {
            let saw = saw.map_or("none".to_owned(), |body| format!("{} bytes", body.len()));
            return Err(client.not(format!("{} bytes, as they were", message.body.len()), saw));
        }
    }
    Ok(())
}

pub(super) async fn nothing_to_say<S: Publisher>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>(PATIENT).await?;
    client.proxy.stall();
    let nothing = tokio::time::timeout(SOON, client.publish_all(&[])).await;
    if nothing.map(drop).is_err() {
        return Err(client.not("nothing to wait for", "it waits"));
    }
    client.proxy.resume();
    client.all_arrive_soon(&scene.messages(1)).await?;
    client.publish_all(&[]).await?;
    match client.on_the_wire() {
        0 => Err(Finding::inconclusive("nothing was seen on the wire")),
        _ => scene.holds(&scene.queue, 1).await,
    }
}
