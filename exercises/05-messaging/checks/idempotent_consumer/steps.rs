//! What is lost, and who leaves, at each step of a delivery.

use super::*;
use testbed::gate::Gate;

pub(super) async fn lost_words<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let mut cuts = 0;
    'steps: for step in 1..=STEPS {
        for reply in [false, true] {
            let client = scene.client::<S>("first", PATIENT).await?;
            client.warm_up(&scene).await?;
            let message = scene.message();
            let cut = match reply {
                false => client.proxy.cut_request(move |request| request.nth == step),
                true => client.proxy.cut_reply(move |request| request.nth == step),
            };
            let answer = client.deliver(&message, Middle::Goes).await;
            if cut.count() == 0 {
                break 'steps;
            }
            cuts += 1;
            let told = match answer {
                Ok(once) => {
                    scene.acknowledged(&client, &message).await?;
                    Some(once)
                }
                Err(_) => None,
            };
            let (once, _) = scene.until_done(&client, &message).await?;
            if told.is_some() && once == Once::First {
                return Err(client.broken("Seen: it was acknowledged before", "First"));
            }
            scene.is(&client, &message, Once::Seen).await?;
        }
    }
    landed(cuts, "a delivery asked PostgreSQL nothing")
}

pub(super) async fn dropped_caller<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let second = scene.client::<S>("second", PATIENT).await?;
    second.warm_up(&scene).await?;
    let mut steps = 0;
    // 0 is the middle of the effect, where nothing is on its way.
    for step in 0..=STEPS {
        // One connection, so that the next message gets the one that was left in the middle.
        let single = Options { connections: 1, ..PATIENT };
        let first = scene.client::<S>("first", single).await?;
        first.warm_up(&scene).await?;
        let message = scene.message();
        let (gate, middle) = match step {
            0 => {
                let gate = Gate::shut();
                (gate.clone(), Middle::Waits(gate))
            }
            _ => (first.proxy.hold(move |request| request.nth == step), Middle::Goes),
        };
        let left = first.start(&message, middle);
        if !meets(&gate, &left).await? {
            let _ = left.await?;
            break;
        }
        steps += 1;
        left.abort();
        let _ = left.await;
        gate.open();
        first.history.note(first.lane, "its caller is gone");
        let next = scene.one_more();
        scene.until_done(&first, &next).await?;
        scene.until_done(&second, &message).await?;
        scene.is(&first, &message, Once::Seen).await?;
        scene.is(&first, &next, Once::Seen).await?;
    }
    landed(steps, "a delivery asked PostgreSQL nothing")
}
