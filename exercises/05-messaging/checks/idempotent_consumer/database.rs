//! Sessions and servers that are lost.

use super::*;

pub(super) async fn killed_sessions<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let first = scene.client::<S>("first", PATIENT).await?;
    let message = scene.message();
    scene.is(&first, &message, Once::First).await?;
    let killed = scene.world.postgres().await?.terminate_clients().await?;
    landed(killed, "nobody had a session")?;
    scene.world.history().note("first", "(its sessions are killed)");
    scene.is(&first, &message, Once::Seen).await?;
    let next = scene.one_more();
    scene.until_done(&first, &next).await?;
    // And now in the middle of an effect.
    let message = scene.message();
    let gate = testbed::gate::Gate::shut();
    let hit = first.start(&message, Middle::Waits(gate.clone()));
    if !meets(&gate, &hit).await? {
        return Err(first.broken("the effect carried out", "it was not"));
    }
    let killed = scene.world.postgres().await?.terminate_clients().await?;
    landed(killed, "nobody had a session")?;
    scene.world.history().note("first", "(its sessions are killed)");
    gate.open();
    if let Ok(once) = hit.await? {
        return Err(first.broken("an error: its session was killed", format!("{once:?}")));
    }
    scene.until_done(&first, &message).await?;
    scene.is(&first, &message, Once::Seen).await
}

pub(super) async fn postgres_stalls<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let first = scene.client::<S>("first", BRISK).await?;
    let second = scene.client::<S>("second", PATIENT).await?;
    second.warm_up(&scene).await?;
    first.warm_up(&scene).await?;
    for in_the_middle in [false, true] {
        let message = scene.message();
        let gate = testbed::gate::Gate::shut();
        let mut middle = Middle::Goes;
        if in_the_middle {
            middle = Middle::Waits(gate.clone());
        } else {
            first.proxy.stall();
        }
        let hangs = scene.world.fault("PostgreSQL hangs, as the first one sees it");
        let delivery = first.start(&message, middle);
        if in_the_middle {
            if !meets(&gate, &delivery).await? {
                return Err(first.broken("the effect carried out", "it was not"));
            }
            first.proxy.stall();
            gate.open();
        }
        match tokio::time::timeout(SOON, delivery).await {
            Err(_) => {
                let saw = format!("nothing within {SOON:?}");
                return Err(first.broken("an error: the timeout is 500 ms", saw));
            }
            Ok(answer) => {
                if let Ok(once) = answer? {
                    let saw = format!("{once:?}");
                    return Err(first.broken("an error: nothing was answered", saw));
                }
            }
        }
        // Somebody else need not wait for the network to come back.
        scene.until_done(&second, &message).await?;
        first.proxy.resume();
        drop(hangs);
        scene.is(&first, &message, Once::Seen).await?;
    }
    let next = scene.one_more();
    scene.until_done(&first, &next).await.map(drop)
}
