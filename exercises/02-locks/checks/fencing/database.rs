//! Replies, sessions and servers that are lost.

use super::*;

pub(super) async fn lost_reply<S: FencedStock>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let late = scene.client::<S>("late", PATIENT).await?;
    let mut cuts = 0;
    'steps: for step in 1..=STEPS {
        for reply in [false, true] {
            let client = scene.client::<S>("client", PATIENT).await?;
            client.warm_up(&scene).await?;
            let product = scene.another().await?;
            let [a, b] = [0, 1].map(|later| Paper::of(scene.first + later));
            client.finds(&product, scene.units, &a).await?;
            client.proxy.reset_count();
            let cut = match reply {
                false => client.proxy.cut_request(move |request| request.nth == step),
                true => client.proxy.cut_reply(move |request| request.nth == step),
            };
            let mut answer = client.write(&product, scene.units - 1, &a).await;
            if cut.count() == 0 {
                break 'steps;
            }
            cuts += 1;
            // The same again, until it is known.
            let began = Instant::now();
            loop {
                match answer {
                    Ok(()) => break,
                    Err(Error::Fenced { newest, .. }) if newest == a.token => break,
                    Err(error) if began.elapsed() > A_WHILE => {
                        let expected = "a write, or that it was done already";
                        return Err(client.broken(expected, error.to_string()));
                    }
                    Err(_) => {}
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
                answer = client.write(&product, scene.units - 1, &a).await;
            }
            let because = "the write was done, at the first time or at a later one";
            scene.has(&product, scene.units - 1, because).await?;
            let answer = client.write(&product, scene.units - 5, &a).await;
            client.refused(answer, a.token)?;
            late.finds(&product, scene.units - 1, &b).await?;
            late.sets(&product, scene.units - 2, &b).await?;
        }
    }
    landed(cuts, "a write asked PostgreSQL nothing")
}

pub(super) async fn killed_sessions<S: FencedStock>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let (product, units) = (scene.product.as_str(), scene.units);
    let early = scene.client::<S>("early", PATIENT).await?;
    let late = scene.client::<S>("late", PATIENT).await?;
    let [a, b, c] = [0, 1, 2].map(|later| Paper::of(scene.first + later));
    early.finds(product, units, &a).await?;
    late.finds(product, units, &b).await?;
    late.sets(product, units - 1, &b).await?;
    let killed = scene.world.postgres().await?.terminate_clients().await?;
    landed(killed, "nobody had a session")?;
    scene.world.history().note("database", "(its sessions are killed)");

    let what = "a read, over a new connection";
    let newer = || late.read(product, &b);
    let found = late.soon(what, newer).await?;
    if found != units - 1 {
        return Err(late.broken(format!("{} units", units - 1), found.to_string()));
    }
    let began = Instant::now();
    loop {
        match early.write(product, units - 2, &a).await {
            Err(Error::Fenced { .. }) => break,
            Err(error) if began.elapsed() > A_WHILE => {
                return Err(early.broken("a refusal, over a new connection", error.to_string()));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            Ok(()) => return Err(early.broken("refused: the fence outlives a session", "done")),
        }
    }
    scene.has(product, units - 1, "as the later holder wrote it").await?;
    // And so for one that has just been started.
    let client = scene.client::<S>("client", PATIENT).await?;
    let answer = client.write(product, units - 2, &a).await;
    client.refused(answer, b.token)?;
    client.sets(product, units - 2, &c).await
}

pub(super) async fn postgres_stalls<S: FencedStock>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>("client", BRISK).await?;
    let late = scene.client::<S>("late", PATIENT).await?;
    client.warm_up(&scene).await?;
    let product = scene.another().await?;
    let [a, b, c] = [0, 1, 2].map(|later| Paper::of(scene.first + later));
    client.finds(&product, scene.units, &a).await?;
    let hangs = scene.world.fault("PostgreSQL hangs, as the client sees it");
    client.proxy.stall();
    let writing = client.write(&product, scene.units - 5, &a);
    match tokio::time::timeout(SOON, writing).await {
        Err(_) => {
            let saw = format!("nothing within {SOON:?}");
            return Err(client.broken("an error: the timeout is 250 ms", saw));
        }
        Ok(Ok(())) => return Err(client.broken("an error: nothing was answered", "done")),
        Ok(Err(_)) => {}
    }
    late.finds(&product, scene.units, &b).await?;
    late.sets(&product, scene.units - 1, &b).await?;
    client.proxy.resume();
    drop(hangs);
    // What was on its way arrives now, and is too late.
    let what = "a read, now that PostgreSQL answers again";
    client.soon(what, || client.read(&product, &c)).await?;
    scene.has(&product, scene.units - 1, "as the later holder wrote it").await
}
