//! What `Ok` means, and what comes after an error.

use super::*;

pub(super) async fn ok_is_there<S: Courier>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>("client", PATIENT).await?;
    client.sends(&scene.messages(1)).await?;
    scene.queue_comes_to("1 ready", SOON, |queue| queue.ready == 1).await?;

    // It has been sent, and has not arrived.
    let gate = client.proxy.hold(|request| request.is("basic.publish"));
    let late = scene.message();
    let mut publishing = tokio::spawn({
        let (client, late) = (Arc::clone(&client), late.clone());
        async move { client.publish(&late).await }
    });
    let sent = gate.arrived(1, SOON).await;
    let early = tokio::time::timeout(A_MOMENT, &mut publishing).await;
    client.proxy.clear_rules();
    gate.open();
    match early {
        Ok(Ok(Ok(()))) => {
            let step = scene.world.history().last("client", "= done");
            let expected = "no Ok before the broker has the message";
            return Err(Evidence::new(expected, "Ok, with the message on its way").at(step).into());
        }
        Ok(Ok(Err(_))) => return Err(Finding::inconclusive("publishing failed by itself")),
        Ok(Err(panic)) => return Err(panic.into()),
        Err(_) => sent?,
    }
    let _ = publishing.await;
    client.sends(&[late]).await?;

    // And one that never arrives.
    let cut = client.proxy.cut_request(|request| request.is("basic.publish"));
    let lost = scene.message();
    client.sends(std::slice::from_ref(&lost)).await?;
    landed(cut.count(), "nothing was published")?;
    client.proxy.clear_rules();
    let works = Works::well(&scene, "client");
    let _running = client.starts(&scene, 0, 4, &works);
    works.done(&[lost]).await.map(drop)
}

pub(super) async fn publisher_comes_back<S: Courier>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>("client", PATIENT).await?;
    let works = Works::well(&scene, "client");
    let messages = scene.messages(4);
    client.sends(&messages[..1]).await?;
    let fault = scene.world.fault("the broker closes the connection");
    landed(scene.rabbit().await?.kill_connections().await?, "there was no connection")?;
    drop(fault);
    client.sends(&messages[1..2]).await?;
    let fault = scene.world.fault("the connection breaks");
    client.proxy.kill_connections();
    drop(fault);
    client.sends(&messages[2..3]).await?;
    let fault = scene.world.fault("the broker is away");
    client.proxy.refuse();
    let publishing = client.publish(&messages[3]);
    let answer = tokio::time::timeout(PATIENT + SOON, publishing).await;
    if !matches!(answer, Ok(Err(_))) {
        let step = scene.world.history().last("client", "publish");
        let saw = if answer.is_ok() { "Ok" } else { "nothing" };
        return Err(Evidence::new("an error: nobody is there", saw).at(step).into());
    }
    client.proxy.accept().await?;
    drop(fault);
    client.sends(&messages[3..]).await?;
    let _running = client.starts(&scene, 0, 4, &works);
    works.done(&messages).await.map(drop)
}

pub(super) async fn broker_hangs<S: Courier>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>("client", BRISK).await?;
    client.sends(&scene.messages(1)).await?;
    let fault = scene.world.fault("the broker hangs, as the client sees it");
    client.proxy.stall();
    let message = scene.message();
    // The second time there is no connection, and none to be had.
    for _ in 0..2 {
        match tokio::time::timeout(SOON, client.publish(&message)).await {
            Ok(Err(_)) => {}
            Ok(Ok(())) => {
                let step = scene.world.history().last("client", "= done");
                return Err(Evidence::new("an error: nobody confirmed it", "Ok").at(step).into());
            }
            Err(_) => {
                let step = scene.world.history().last("client", "publish");
                let expected = format!("an error in time: the timeout is {BRISK:?}");
                let saw = format!("nothing within {SOON:?}");
                return Err(Evidence::new(expected, saw).at(step).into());
            }
        }
    }
    client.proxy.resume();
    drop(fault);
    client.sends(&[message]).await?;
    let _ = scene.queue_comes_to("2 ready or more", SOON, |queue| queue.ready >= 2).await?;
    Ok(())
}
