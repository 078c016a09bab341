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
            match &first {
                Ok(answer) => {
                    scene.has(&payment.what, 1, "the client was told that it is done").await?;
                    second.pays_again(&payment, &job, answer).await?;
                }
                Err(error) => client.honest(&scene, &payment, error).await?,
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
    for last in std::iter::once(None).chain([Some(last); 5]) {
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
                return Err(client.broken(expected, told(&answer)));
            }
            Ok(Err(error)) => client.honest(&scene, &payment, &error).await?,
        }
        // On a busy machine it has not come so far, and tries again.
        let landed = gate.as_ref().map(|gate| gate.count() > 0);
        drop(hangs);
        client.proxy.clear_rules();
        match gate {
            Some(gate) => gate.open(),
            None => client.proxy.resume(),
        }
        let answer = client.pays(&payment, &job).await?;
        scene.has(&payment.what, 1, "at the first attempt or at a later one").await?;
        second.pays_again(&payment, &job, &answer).await?;
        if landed == Some(true) {
            break;
        }
    }
    // A sweep, too, and its connection is there already.
    let sweeper = scene.warm::<K>("client", BRISK).await?;
    sweeper.proxy.stall();
    sweep_fails(&sweeper, "PostgreSQL hangs").await
}

/// A sweep that cannot be done is an error, in time.
async fn sweep_fails<K: Keys>(client: &Client<K>, because: &str) -> Result<(), Finding> {
    let call = client.history.invoke(client.lane, "sweep");
    match tokio::time::timeout(SOON, client.keys.sweep(10)).await {
        Err(_) => {
            call.unknown("still waits");
            let saw = format!("nothing within {SOON:?}");
            Err(client.broken("an error of the sweep: the timeout is 400 ms", saw))
        }
        Ok(Ok(swept)) => {
            call.ok(swept.to_string());
            let expected = format!("an error of the sweep: {because}");
            Err(client.broken(expected, format!("{swept} swept")))
        }
        Ok(Err(error)) => {
            call.fail(error.to_string());
            Ok(())
        }
    }
}

pub(super) async fn connection_hangs<K: Keys>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let second = scene.warm::<K>("second", PATIENT).await?;
    let payment = scene.payment();
    let job = scene.job(&payment);
    let first = second.pays_first(&payment, &job).await?;
    let (mut hung, mut step) = (0, 1);
    for _ in 0..2 * STEPS {
        scene.world.history().turn_page();
        let client = scene.warm::<K>("client", BRISK).await?;
        let gate = client.proxy.hold(move |request| request.nth == step);
        let hangs = scene.world.fault("the client's connection hangs");
        let answer = tokio::time::timeout(SOON, client.pay(&payment, &job)).await;
        drop(hangs);
        match answer {
            Ok(Ok(_)) if gate.count() == 0 => break,
            // On a busy machine it has not come so far.
            _ if gate.count() == 0 => continue,
            Err(_) => {
                let saw = format!("nothing within {SOON:?}");
                return Err(client.broken("an error: the timeout is 400 ms", saw));
            }
            // What hangs need not be what it waits for.
            Ok(Ok(answer)) => client.same(&first, &answer)?,
            Ok(Err(_)) => {}
        }
        // That connection hangs still.
        let Ok(answer) = client.pays(&payment, &job).await else {
            let expected = "the answer, by a connection that does not hang";
            return Err(client.broken(expected, format!("none within {A_WHILE:?}")));
        };
        client.same(&first, &answer)?;
        gate.open();
        (hung, step) = (hung + 1, step + 1);
    }
    landed(hung, "a call asked PostgreSQL nothing")
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
            return Err(client.broken("an error: nobody was asked", told(&answer)));
        }
        Ok(Err(_)) => {}
    }
    scene.has(&payment.what, 0, "PostgreSQL was away").await?;
    sweep_fails(&client, "PostgreSQL is away").await?;
    client.proxy.accept().await?;
    drop(away);
    let answer = client.pays(&payment, &job).await?;
    let killed = scene.world.postgres().await?.terminate_clients().await?;
    landed(killed, "nobody had a session")?;
    client.pays_again(&payment, &job, &answer).await?;
    second.pays_again(&payment, &job, &answer).await?;
    scene.has(&payment.what, 1, "it was paid once").await
}
