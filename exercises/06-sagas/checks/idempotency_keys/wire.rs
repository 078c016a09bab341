//! Replies and servers that are lost.

use super::*;

pub(super) async fn lost_replies<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let second = scene.warm::<K>("second", PATIENT).await?;
    let mut cuts = 0;
    'steps: for step in 1..=STEPS {
        for reply in [false, true] {
            let client = scene.warm::<K>("client", PATIENT).await?;
            let payment = scene.payment();
            let job = scene.job(&payment);
            let cut = match reply {
                false => client.proxy.cut_request(move |request| request.nth == step),
                true => client.proxy.cut_reply(move |request| request.nth == step),
            };
            let first = client.pay(&payment, &job).await;
            if cut.count() == 0 {
                break 'steps;
            }
            cuts += 1;
            if let Ok(answer) = &first {
                scene.has(&payment.what, 1, "the client was told that it is done").await?;
                second.pays_again(&payment, &job, answer).await?;
            }
            let answer = client.pays(&payment, &job).await?;
            scene.has(&payment.what, 1, "at the first attempt or at a later one").await?;
            second.pays_again(&payment, &job, &answer).await?;
        }
    }
    landed(cuts, "a call asked PostgreSQL nothing")
}

pub(super) async fn postgres_hangs<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let second = scene.warm::<K>("second", PATIENT).await?;
    let counted = scene.payment();
    second.pays_first(&counted, &scene.job(&counted)).await?;
    let last = second.proxy.counts().requests;
    landed(last, "a call asked PostgreSQL nothing")?;
    // Before the first word, and before the last answer, which says that it is committed.
    for last in [None, Some(last)] {
        scene.world.history().turn_page();
        let client = scene.warm::<K>("client", BRISK).await?;
        let payment = scene.payment();
        let job = scene.job(&payment);
        let gate = last.map(|last| client.proxy.hold_reply(move |request| request.nth == last));
        if gate.is_none() {
            client.proxy.stall();
        }
        let hangs = scene.world.fault("PostgreSQL hangs, as the client sees it");
        match tokio::time::timeout(SOON, client.pay(&payment, &job)).await {
            Err(_) => {
                let saw = format!("nothing within {SOON:?}");
                return Err(client.broken("an error: the timeout is 400 ms", saw));
            }
            Ok(Ok(answer)) => {
                let expected = "an error: nobody has said that it is committed";
                return Err(client.broken(expected, scene::told(&answer)));
            }
            Ok(Err(_)) => {}
        }
        drop(hangs);
        client.proxy.clear_rules();
        match gate {
            Some(gate) => gate.open(),
            None => client.proxy.resume(),
        }
        let answer = client.pays(&payment, &job).await?;
        scene.has(&payment.what, 1, "at the first attempt or at a later one").await?;
        second.pays_again(&payment, &job, &answer).await?;
    }
    Ok(())
}

pub(super) async fn postgres_away<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.warm::<K>("client", BRISK).await?;
    let second = scene.warm::<K>("second", PATIENT).await?;
    let payment = scene.payment();
    let job = scene.job(&payment);
    client.proxy.refuse();
    let away = scene.world.fault("PostgreSQL is away, as the client sees it");
    match tokio::time::timeout(SOON, client.pay(&payment, &job)).await {
        Err(_) => return Err(client.broken("an error", format!("nothing within {SOON:?}"))),
        Ok(Ok(answer)) => {
            return Err(client.broken("an error: nobody was asked", scene::told(&answer)));
        }
        Ok(Err(_)) => {}
    }
    scene.has(&payment.what, 0, "PostgreSQL was away").await?;
    client.proxy.accept().await?;
    drop(away);
    let answer = client.pays(&payment, &job).await?;
    let killed = scene.world.postgres().await?.terminate_clients().await?;
    landed(killed, "nobody had a session")?;
    client.pays_again(&payment, &job, &answer).await?;
    second.pays_again(&payment, &job, &answer).await?;
    scene.has(&payment.what, 1, "it was paid once").await
}
