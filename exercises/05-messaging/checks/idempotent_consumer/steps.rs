//! What is lost, and who leaves, at each step of a delivery.

use super::*;
use messaging::idempotent_consumer::Error;
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
                Err(Error::NoId) => {
                    return Err(client.broken("an error that it may come again after", "NoId"));
                }
                Err(error @ (Error::Effect(_) | Error::Hidden)) => {
                    let because = format!("`{error}` says that nothing was done");
                    scene.holds(client.consumer, &message, 0, &because).await?;
                    None
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

/// Nobody is late here but the server, and each of its steps takes a multiple of this.
const SHORT: Options = Options { timeout: Duration::from_millis(200), connections: 1, ..BRISK };

pub(super) async fn never_answered<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let second = scene.client::<S>("second", PATIENT).await?;
    second.warm_up(&scene).await?;
    let (mut steps, mut too_slow) = (0, 0);
    for seen in [false, true] {
        let mut step = 1;
        while step <= STEPS {
            // One connection, so that whoever keeps it has none.
            let first = scene.client::<S>("first", SHORT).await?;
            first.warm_up(&scene).await?;
            let message = scene.message();
            if seen {
                scene.until_done(&second, &message).await?;
            }
            let gate = first.proxy.hold_reply(move |request| request.nth == step);
            // And no more goes out, so that nobody learns from the server that it is over.
            first.proxy.hold_at(&Gate::shut(), move |request| request.nth > step);
            let Ok(answer) =
                tokio::time::timeout(SOON, first.deliver(&message, Middle::Goes)).await
            else {
                let expected = format!("an end: the timeout is {:?}", SHORT.timeout);
                return Err(first.broken(expected, format!("nothing within {SOON:?}")));
            };
            if answer.is_ok() {
                scene.acknowledged(&first, &message).await?;
            }
            if gate.count() == 0 {
                // On a busy machine, it may have been given up before it came so far.
                if answer.is_ok() || too_slow == 10 {
                    break;
                }
                too_slow += 1;
                continue;
            }
            (steps, step) = (steps + 1, step + 1);
            let note = "(nothing ever comes on that connection; on a new one all is well)";
            first.history.note(first.lane, note);
            let next = scene.one_more();
            scene.until_done(&first, &next).await?;
            scene.until_done(&second, &message).await?;
        }
    }
    landed(steps, "a delivery asked PostgreSQL nothing")
}

pub(super) async fn left_running<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let brief = Options { timeout: Duration::from_secs(1), ..PATIENT };
    let first = scene.client::<S>("first", brief).await?;
    let second = scene.client::<S>("second", PATIENT).await?;
    first.warm_up(&scene).await?;
    second.warm_up(&scene).await?;
    let message = scene.message();
    let gate = first
        .proxy
        .hold(|request| request.arguments.iter().any(|argument| argument.contains("pg_sleep")));
    let left = first.start(&message, Middle::Takes(LONG));
    if !meets(&gate, &left).await? {
        return Err(Finding::inconclusive("the effect did not come to its long statement"));
    }
    left.abort();
    let _ = left.await;
    // Its statement is on the way, and no word that takes it back can overtake it.
    first.history.note(first.lane, "its caller is gone, and its statement goes on");
    gate.open();
    scene.until_done(&second, &message).await?;
    scene.is(&first, &message, Once::Seen).await
}

/// Longer than whoever takes [`BRISK`] for granted waits, or is caught with it.
const LONGER: Duration = Duration::from_millis(3300);

pub(super) async fn long_effect<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let first = scene.client::<S>("first", ENDLESS).await?;
    first.warm_up(&scene).await?;
    let (slow, idle) = (scene.message(), scene.one_more());
    let gate = Gate::shut();
    let tasks = [
        (first.start(&slow, Middle::Takes(LONGER)), slow),
        (first.start(&idle, Middle::Waits(gate.clone())), idle),
    ];
    tokio::time::sleep(LONGER).await;
    gate.open();
    for (task, message) in tasks {
        match task.await? {
            Ok(Once::First) => scene.acknowledged(&first, &message).await?,
            Ok(Once::Seen) => return Err(first.broken("First", "Seen")),
            Err(error) => {
                let expected = format!("First: the timeout is {:?}", ENDLESS.timeout);
                return Err(first.broken(expected, error.to_string()));
            }
        }
    }
    Ok(())
}
