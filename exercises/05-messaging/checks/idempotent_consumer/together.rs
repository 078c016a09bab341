//! The same message to two at once, and different ones.

use super::scene::Client;
use super::*;
use std::sync::Arc;
use testbed::gate::Gate;

pub(super) async fn at_the_same_time<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let second = scene.client::<S>("second", PATIENT).await?;
    second.warm_up(&scene).await?;
    let mut steps = 0;
    for step in 1..=STEPS {
        let first = scene.client::<S>("first", PATIENT).await?;
        first.warm_up(&scene).await?;
        let message = scene.message();
        let gate = first.proxy.hold(move |request| request.nth == step);
        let early = first.start(&message, Middle::Goes);
        if !meets(&gate, &early).await? {
            let _ = early.await?;
            break;
        }
        steps += 1;
        // The other one does its part to the end, or to where it has to wait.
        let late = second.start(&message, Middle::Goes);
        scene.ends_or_waits(&late).await?;
        gate.open();
        let mut firsts = 0;
        for (client, task) in [(&first, early), (&second, late)] {
            if let Ok(once) = task.await? {
                scene.acknowledged(client, &message).await?;
                firsts += usize::from(once == Once::First);
            }
        }
        for client in [&first, &second] {
            let (once, _) = scene.until_done(client, &message).await?;
            firsts += usize::from(once == Once::First);
        }
        if firsts > 1 {
            return Err(second.broken("First to one of them", format!("First to {firsts}")));
        }
    }
    landed(steps, "a delivery asked PostgreSQL nothing")
}

pub(super) async fn waits_for_the_outcome<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let first = scene.client::<S>("first", ENDLESS).await?;
    let second = scene.client::<S>("second", ENDLESS).await?;
    first.warm_up(&scene).await?;
    second.warm_up(&scene).await?;
    // To another process, and to the very same: a publisher that is not sure says it twice.
    for other in [&second, &first] {
        one_fails(&scene, &first, other).await?;
    }
    Ok(())
}

/// `first` is in the middle of an effect that will fail, when `second` is given the same message.
async fn one_fails<S: Inbox>(
    scene: &Scene,
    first: &Arc<Client<S>>,
    second: &Arc<Client<S>>,
) -> Result<(), Finding> {
    let message = scene.message();
    let gate = Gate::shut();
    let early = first.start(&message, Middle::Fails(gate.clone()));
    if !meets(&gate, &early).await? {
        let saw = early.await?.map_or_else(|error| error.to_string(), |once| format!("{once:?}"));
        return Err(first.broken("the effect carried out", saw));
    }
    let late = second.start(&message, Middle::Goes);
    scene.ends_or_waits(&late).await?;
    if !late.is_finished() {
        gate.open();
    }
    // "Somebody else is at it" is a right answer, too: it comes again.
    if late.await?.is_ok() {
        scene.acknowledged(second, &message).await?;
    }
    gate.open();
    if let Ok(once) = early.await? {
        return Err(first.broken("an error: the effect failed", format!("{once:?}")));
    }
    scene.until_done(second, &message).await?;
    scene.is(first, &message, Once::Seen).await
}

pub(super) async fn waits_in_vain<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let first = scene.client::<S>("first", ENDLESS).await?;
    let second = scene.client::<S>("second", BRISK).await?;
    first.warm_up(&scene).await?;
    second.warm_up(&scene).await?;
    let message = scene.message();
    let gate = Gate::shut();
    let early = first.start(&message, Middle::Fails(gate.clone()));
    if !meets(&gate, &early).await? {
        let saw = early.await?.map_or_else(|error| error.to_string(), |once| format!("{once:?}"));
        return Err(first.broken("the effect carried out", saw));
    }
    // As often as on a busy machine one of them really comes to wait.
    for _ in 0..3 {
        let late = second.deliver(&message, Middle::Goes);
        let Ok(late) = tokio::time::timeout(SOON, late).await else {
            let expected = format!("an error: the timeout is {:?}", BRISK.timeout);
            return Err(second.broken(expected, format!("nothing within {SOON:?}")));
        };
        if late.is_ok() {
            scene.acknowledged(&second, &message).await?;
        }
    }
    gate.open();
    if let Ok(once) = early.await? {
        return Err(first.broken("an error: the effect failed", format!("{once:?}")));
    }
    scene.until_done(&second, &message).await?;
    scene.is(&first, &message, Once::Seen).await
}

pub(super) async fn connections_kept<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    for connections in [1, 5] {
        as_many_as::<S>(&scene, Options { connections, ..ENDLESS }).await?;
    }
    Ok(())
}

async fn as_many_as<S: Inbox>(scene: &Scene, options: Options) -> Result<(), Finding> {
    scene.world.history().turn_page();
    let first = scene.client::<S>("first", options).await?;
    let (most, many) = (options.connections, 3 * options.connections);
    let gate = Gate::shut();
    let delivered: Vec<_> = (0..many)
        .map(|_| {
            let message = scene.one_more();
            (first.start(&message, Middle::Waits(gate.clone())), message)
        })
        .collect();
    gate.arrived(most, SOON).await.map_err(|_| {
        let saw = format!("{} of {many} at work", gate.count());
        first.broken(format!("{most} at once: each has a connection"), saw)
    })?;
    // Who takes more shows it soon. The others wait until there is room.
    let _ = gate.arrived(many, Duration::from_millis(400)).await;
    let seen = gate.count();
    gate.open();
    for (delivered, message) in delivered {
        match delivered.await? {
            Ok(Once::First) => scene.acknowledged(&first, &message).await?,
            Ok(Once::Seen) => return Err(first.broken("First", "Seen")),
            Err(error) => return Err(first.broken("First", error.to_string())),
        }
    }
    match seen == most {
        true => Ok(()),
        false => Err(first.broken(format!("{most} at work at once"), format!("{seen}"))),
    }
}

pub(super) async fn others_go_on<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let first = scene.client::<S>("first", ENDLESS).await?;
    let second = scene.client::<S>("second", ENDLESS).await?;
    first.warm_up(&scene).await?;
    second.warm_up(&scene).await?;
    let stock = scene.consumer::<S>("second", "stock", ENDLESS).await?;
    stock.warm_up(&scene).await?;
    let hanging = scene.message();
    let gate = Gate::shut();
    let early = first.start(&hanging, Middle::Waits(gate.clone()));
    if !meets(&gate, &early).await? {
        let saw = early.await?.map_or_else(|error| error.to_string(), |once| format!("{once:?}"));
        return Err(first.broken("the effect carried out", saw));
    }
    // Whoever waits for this message waits alone.
    let again = second.start(&hanging, Middle::Goes);
    scene.ends_or_waits(&again).await?;
    // And to another consumer the same message is another.
    for (client, message) in
        [(&second, scene.one_more()), (&first, scene.one_more()), (&stock, hanging.clone())]
    {
        match tokio::time::timeout(SOON, client.deliver(&message, Middle::Goes)).await {
            Ok(Ok(Once::First)) => scene.acknowledged(client, &message).await?,
            Ok(Ok(Once::Seen)) => return Err(client.broken("First: it is another", "Seen")),
            Ok(Err(error)) => return Err(client.broken("First", error.to_string())),
            Err(_) => {
                let saw = format!("nothing within {SOON:?}");
                let expected = format!("{} done: it is not the one that hangs", message.id);
                return Err(client.broken(expected, saw));
            }
        }
    }
    if early.is_finished() {
        return Err(Finding::inconclusive("the message that was to hang did not"));
    }
    gate.open();
    match early.await? {
        Ok(Once::First) => scene.acknowledged(&first, &hanging).await?,
        Ok(Once::Seen) => return Err(first.broken("First", "Seen")),
        Err(error) => return Err(first.broken("First", error.to_string())),
    }
    // "Somebody else is at it" is a right answer here as well.
    match again.await? {
        Ok(_) => scene.acknowledged(&second, &hanging).await,
        Err(_) => Ok(()),
    }
}
