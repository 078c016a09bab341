//! Sessions and servers that are lost.

use super::scene::{CONSUMER, Client, booking};
use super::*;
use messaging::idempotent_consumer::Error;

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
    // It has a connection, on which it asks and hears nothing.
    let hangs = scene.world.fault("PostgreSQL hangs, as the first one sees it");
    first.proxy.stall();
    ends_in_time(&first, "sweep", first.inbox.sweep()).await?;
    first.proxy.resume();
    drop(hangs);
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

pub(super) async fn postgres_is_gone<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    for connected in [false, true] {
        let first = scene.client::<S>("first", BRISK).await?;
        if connected {
            first.warm_up(&scene).await?;
        }
        let message = scene.message();
        first.proxy.refuse();
        let gone = scene.world.fault("PostgreSQL is gone, as the first one sees it");
        let effect = booking(CONSUMER, &message.id, Middle::Goes);
        let call = format!("deliver {}", message.id);
        ends_in_time(&first, &call, first.inbox.once(&message, effect)).await?;
        ends_in_time(&first, "sweep", first.inbox.sweep()).await?;
        first.proxy.accept().await?;
        drop(gone);
        scene.until_done(&first, &message).await?;
        scene.is(&first, &message, Once::Seen).await?;
    }
    Ok(())
}

/// With an error: nobody has answered.
async fn ends_in_time<S: Inbox, T: std::fmt::Debug>(
    client: &Client<S>,
    call: &str,
    asked: impl Future<Output = Result<T, Error>>,
) -> Result<(), Finding> {
    let asked = client.history.call(client.lane, call, asked);
    match tokio::time::timeout(SOON, asked).await {
        Ok(Err(_)) => Ok(()),
        Ok(Ok(said)) => Err(client.broken("an error: nothing was answered", format!("{said:?}"))),
        Err(_) => {
            let expected = format!("an error of `{call}`: the timeout is {:?}", BRISK.timeout);
            Err(client.broken(expected, format!("nothing within {SOON:?}")))
        }
    }
}
